// What pages are put together from: headings, cards, tiles, names, bars, forms, tables of a few words. See README.md.
import { html, useEffect, useRef, useState } from "./html.js";
import { NONE, ago, clean, count, moment, percent, short } from "./format.js";
import { Icon } from "./icons.js";
import { href } from "./router.js";
import { STATE, STATES, TREND } from "./states.js";
import { useWords } from "./store.js";

// The head of a page: one <h1>, a sentence, and what can be done.
export const Heading = ({ title, children, actions }) => html`<div class="heading">
  <div><h1>${title}</h1>${children && html`<p>${children}</p>`}</div>
  ${actions && html`<div class="actions">${actions}</div>`}</div>`;

export const Card = ({ title, note, actions, flush = false, children, id }) => html`<section class="card" id=${id}
    aria-label=${typeof title === "string" ? title : undefined}>
  ${title && html`<header><h2>${title}${note && html` <span class="note">${note}</span>`}</h2>${actions}</header>`}
  <div class=${flush ? "flush" : "body"}>${children}</div></section>`;

// items: [{ label, value, detail, tone }].
export const Tiles = ({ items }) => html`<dl class="tiles">${items.filter(Boolean).map(({ label, value, detail, tone }) => html`
  <div key=${label} class="tile ${tone ? `is-${tone}` : ""}"><dt>${label}</dt><dd>${value ?? NONE}</dd>
  ${detail && html`<dd>${detail}</dd>`}</div>`)}</dl>`;

// A name that somebody else chose. What cannot be seen is spelled out; it never turns the text around it.
export const Name = ({ text, one = false, mono = false, most }) => {
  const shown = clean(text, most);
  return html`<bdi class="name ${one ? "one" : ""} ${mono ? "mono" : ""}" title=${one ? shown : undefined}>${shown}</bdi>`;
};

// A signature or a peer's id, its beginning; the whole of it is in the title.
export const Id = ({ id, digits = 10, to }) => {
  const text = html`<code title=${clean(id)}>${id ? short(id, digits) : NONE}</code>`;
  return to && id ? html`<a href=${to}>${text}</a>` : text;
};

// How long ago that was, as time goes on; the moment is in the title.
export const Ago = ({ at }) => html`<time class="nowrap" title=${moment(at)}>${useWords(at, ago)}</time>`;

export const PeerLink = ({ id, digits = 10 }) => html`<${Id} id=${id} digits=${digits} to=${href(["peers", id])} />`;
export const TagLink = ({ dataset, tag }) => html`<a href=${href(["rollout", ...dataset.split("/"), tag])}>
  <${Name} text=${`${dataset}:${tag}`} /></a>`;

// `says` stands in place of its usual word.
export const Trend = ({ trend, says }) => {
  const { word, tone, icon } = TREND[trend] ?? TREND.idle;
  return html`<span class="chip tone-${tone}"><${Icon} name=${icon} />${says ?? word}</span>`;
};

export const Chip = ({ tone = "calm", icon, children }) => html`<span class="chip tone-${tone}">
  ${icon && html`<${Icon} name=${icon} />`}${children}</span>`;

// A sentence of the tracker's: what stands between `backticks` is a name.
export const Said = ({ text, most = 400 }) => clean(text, most).split("`").map((part, at) => (at % 2 ? html`<code key=${at}>${part}</code>` : part));

// The one sentence that a page begins with.
export const Verdict = ({ trend, tone, icon, children }) => {
  const known = TREND[trend] ?? TREND.idle;
  return html`<p class="verdict tone-${tone ?? known.tone}"><${Icon} name=${icon ?? known.icon} size=${26} />
    <span>${children}</span></p>`;
};

// Shares of a whole, side by side: parts [{ word, value, color (custom property), pattern }].
export const Bar = ({ parts, thin = false, label }) => {
  const total = parts.reduce((sum, part) => sum + part.value, 0);
  const words = parts.filter((part) => part.value > 0).map((part) => `${part.word} ${part.text ?? count(part.value)}`);
  return html`<div class="bar ${thin ? "thin" : ""}" role="img" aria-label="${label ? `${label}: ` : ""}${words.join(", ") || "nothing"}">
    ${total > 0 && parts.filter((part) => part.value > 0).map((part) => html`<span key=${part.word} class="eased p-${part.pattern ?? "solid"}"
      style=${{ "--fill": `var(${part.color})`, flex: `${part.value} 0 0` }} title="${part.word}: ${part.text ?? count(part.value)}"></span>`)}</div>`;
};

export const Legend = ({ parts, line = false }) => html`<ul class="legend">${parts.map((part) => html`<li key=${part.word}>
  <span class="swatch ${line ? "line" : `p-${part.pattern ?? "solid"}`}"
    style=${{ "--fill": `var(${part.color})`, "--dash": part.dash ? "dashed" : "solid" }}></span>
  ${part.word}${part.text !== undefined || part.value !== undefined ? html` <b>${part.text ?? count(part.value)}</b>` : ""}</li>`)}</ul>`;

export const statesOf = (counts) => STATES.map((state) => ({ ...STATE[state], value: counts?.[state] ?? 0 }));

// Peers by state, as a bar with its words beneath.
export const StateBar = ({ counts, legend = true, label = "peers by state" }) => {
  const parts = statesOf(counts);
  return html`<div class="figure"><${Bar} parts=${parts} label=${label} />
    ${legend && html`<${Legend} parts=${parts.filter((part) => part.value > 0)} />`}</div>`;
};

// Bytes by where they came from.
export const SourceBar = ({ sources, format }) => {
  const parts = [
    { word: "from peers", value: sources?.peers ?? 0, color: "--peers" },
    { word: "from the origin", value: sources?.origin ?? 0, color: "--origin", pattern: "cross" },
    { word: "reused", value: sources?.reused ?? 0, color: "--reused", pattern: "dots" },
  ].map((part) => ({ ...part, text: format(part.value) }));
  return html`<div class="figure"><${Bar} parts=${parts} label="bytes by source" thin /><${Legend} parts=${parts} /></div>`;
};

// What stands where an answer is not there: loading, refused, or not known to this tracker.
export const Missing = ({ answer, what = "This" }) => {
  const { error, isLoading } = answer;
  if (isLoading) return html`<p class="empty" aria-busy="true">Loading…</p>`;
  if (!error) return null;
  if (error.isMissing) return html`<p class="empty">${what} is not available from this tracker.</p>`;
  return html`<div class="body"><p class="notice tone-bad"><${Icon} name="alert" /><span>${clean(error.message, 600)}
    ${error.denial ? html` <a href=${href(["access"], { tab: "explain", denial: error.denial })}>See why</a>.` : ""}</span></p></div>`;
};

export const Notice = ({ tone = "calm", icon = "alert", children }) => html`<p class="notice tone-${tone}">
  <${Icon} name=${icon} /><span>${children}</span></p>`;

export const Field = ({ label, children, grow }) => html`<label class="field ${grow ? "grow" : ""}"><span>${label}</span>${children}</label>`;

export function Tabs({ label, items }) {
  const element = useRef(null), known = items.filter(Boolean);
  const here = known.find(({ isHere }) => isHere)?.title;
  useEffect(() => { // on a narrow screen they are scrolled sideways
    const { current: row } = element, tab = row.querySelector("[aria-current]");
    if (tab) row.scrollLeft = tab.offsetLeft - row.offsetLeft - (row.clientWidth - tab.offsetWidth) / 2;
  }, [here]);
  return html`<nav ref=${element} class="tabs" aria-label=${label}>${known.map(({ title, to, isHere }) => html`
    <a key=${title} href=${to} aria-current=${isHere ? "page" : undefined}>${title}</a>`)}</nav>`;
}

// A dialog of the platform: it keeps the focus in, gives it back, and ends with Escape.
export const Dialog = ({ title, onClose, children, name = "" }) => {
  const element = useRef(null);
  useEffect(() => { if (!element.current.open) element.current.showModal(); }, []);
  return html`<dialog ref=${element} class=${name} aria-label=${title} onClose=${onClose}
      onClick=${(event) => { if (event.target === element.current) element.current.close(); }}>
    ${children(() => element.current.close())}</dialog>`;
};

// A button that asks first, then acts: `act(reason)` resolves or throws. `asks`: what is going to happen, in a sentence.
export const Confirmed = ({ children, title, asks, act, tone = "", look = tone, icon, wantsReason = false, disabled = false, why }) => {
  const [isOpen, open] = useState(false);
  const [state, set] = useState({ isBusy: false, error: "" });
  const reason = useRef("");
  const run = async (close) => {
    set({ isBusy: true, error: "" });
    try { await act(reason.current); set({ isBusy: false, error: "" }); close(); }
    catch (error) { set({ isBusy: false, error: clean(error.message, 600) }); }
  };
  return html`<button type="button" class="button ${look}" disabled=${disabled} title=${why} onClick=${() => open(true)}>
      ${icon && html`<${Icon} name=${icon} />`}${children}</button>
    ${isOpen && html`<${Dialog} title=${title} onClose=${() => open(false)}>${(close) => html`<form class="inside"
        onSubmit=${(event) => { event.preventDefault(); run(close); }}>
      <h2>${title}</h2><p>${asks}</p>
      ${wantsReason && html`<${Field} label="Why (shown in the history and the audit)" grow>
        <input maxlength="256" autocomplete="off" onInput=${(event) => { reason.current = event.target.value; }} /><//>`}
      ${state.error && html`<p class="wrong" role="alert">${state.error}</p>`}
      <div class="buttons"><button type="button" class="button" onClick=${close}>Cancel</button>
        <button type="submit" class="button ${tone || "is-main"}" disabled=${state.isBusy}>${state.isBusy ? "Working…" : children}</button></div>
    </form>`}<//>`}`;
};

export const originShare = (sources) => (sources?.share_origin ?? null) === null ? NONE : percent(sources.share_origin);
