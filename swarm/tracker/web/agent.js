// The page of one agent, on loopback: how this peer is. It asks the agent alone, and changes nothing.
import { html, render, useEffect, useState } from "./lib/html.js";
import { choice, choose, useChoice } from "./lib/choices.js";
import { ago, bytes, clean, count, counted, moment, percent, rate, short, span } from "./lib/format.js";
import { Chart } from "./lib/chart.js";
import { Icon } from "./lib/icons.js";
import { movedBetween } from "./lib/moved.js";
import { Bar, Card, Chip, Heading, Id, Name, Notice, Said, Tiles, Verdict } from "./lib/parts.js";
import { useAnswer, useNow } from "./lib/store.js";
import { Table } from "./lib/table.js";

const EVERY_S = 2;
const POINTS = 300;
const THEMES = { auto: "light", light: "dark", dark: "auto" };
const SOON_S = 86_400;

function Page() {
  const answer = useAnswer("/api/v1/agent/own", EVERY_S);
  const { data, error } = answer;
  const now = useNow(1);
  const rates = useRates(data);
  useEffect(() => { if (data) document.title = `${short(data.peer, 8)} · AetherFS agent`; }, [data?.peer]);
  return html`<div class="frame"><${Top} isLive=${Boolean(data && !error)} />
    ${error && data && html`<div class="staleness" role="status">Stale since ${moment(data.at)}: the agent does not answer. Does it still run? See <code>aetherfs status</code>.</div>`}
    <main id="main" tabindex="-1">${!data ? html`<p class="empty" aria-busy=${!error}>${error ? clean(error.message, 300) : "Loading…"}</p>` : html`<${All} data=${data} now=${now} rates=${rates} />`}</main></div>`;
}

function Top({ isLive }) {
  const theme = useChoice("theme");
  const next = () => choose("theme", THEMES[choice("theme")] ?? "auto");
  return html`<header class="top"><span class="brand"><img src=${document.querySelector("link[rel=icon]").href} alt="" />AetherFS agent</span>
    <nav class="row agent-links" aria-label="Also here"><a href="/fs/">Files</a><a href="/api/">API</a></nav>
    <span class="live ${isLive ? "is-live" : "is-stale"}"><span>${isLive ? `every ${EVERY_S} s` : "not live"}</span></span>
    <button type="button" class="button is-icon" onClick=${next}><${Icon} name=${{ light: "sun", dark: "moon" }[theme] ?? "auto"} /><span class="unseen">Theme: ${theme}</span></button></header>`;
}

function All({ data, now, rates }) {
  return html`<${Heading} title=${html`This ${clean(data.role, 20)} <code title=${clean(data.peer)}>${short(data.peer, 12)}</code>`}>
      ${data.site ? html`At <${Name} text=${data.site} most=${80} />, runs` : "Runs"} for ${span(data.uptime_s)}${data.profile !== "none" ? html`, profile <${Name} text=${data.profile} />` : ""}.<//>
    <${Judged} data=${data} />
    ${data.waiting_for.length > 0 && html`<${Notice} tone="warn" icon="slow">It waits for ${data.waiting_for.map((text, at) => html`${at > 0 && "; "}<${Name} key=${at} text=${text} />`)}.<//>`}
    <${Numbers} data=${data} rates=${rates} />
    <${Tags} data=${data} />
    <${Chart} title="Gives and takes" note="since this page was opened" x=${rates.map((point) => point[0])} format=${rate} height=${150} series=${[
      { word: "gives", values: rates.map((point) => point[1]), color: "--series-1", fill: true },
      { word: "takes", values: rates.map((point) => point[2]), color: "--series-2", dash: true }]} />
    <div class="grid"><${Holdings} rows=${data.holdings} /><${Neighbours} data=${data} /></div>
    <div class="grid"><${Trackers} data=${data} /><${About} data=${data} now=${now} /></div>`;
}

function Judged({ data }) {
  const failing = data.tags.filter((tag) => tag.problem && !tag.is_paused), busy = data.tags.filter((tag) => tag.phase);
  const left = data.certificate_expires - data.at;
  if (left < 0) return html`<${Verdict} tone="bad" icon="cross">Its certificate has expired: it is not let in any more.<//>`;
  if (data.store.startsWith("away")) return html`<${Verdict} tone="bad" icon="alert">The object store is ${clean(data.store, 80)}.<//>`;
  if (failing.length) return html`<${Verdict} tone="bad" icon="alert"><${Name} text=${failing[0].ref} />: ${clean(failing[0].problem, 200)}${failing.length > 1 ? ` (and ${counted(failing.length - 1, "other")})` : ""}<//>`;
  if (busy.length) return html`<${Verdict} tone="busy" icon="play"><${Name} text=${busy[0].ref} />: ${clean(busy[0].phase, 200)}${busy.length > 1 ? ` (and ${counted(busy.length - 1, "other")})` : ""}<//>`;
  if (left < SOON_S) return html`<${Verdict} tone="warn" icon="slow">Its certificate expires in ${span(left)}.<//>`;
  if (data.tags.length && !data.follows) return html`<${Verdict} tone="warn" icon="pause">This process does not follow what is subscribed: run <code>aetherfs peer</code>.<//>`;
  const told = data.tags.length ? `Everything that it follows is current: ${counted(data.tags.length, "tag")}.` : "It follows no tag.";
  return html`<${Verdict} tone=${data.tags.length ? "good" : "calm"} icon=${data.tags.length ? "check" : "idle"}>${told}<//>`;
}

// Totals turned into rates, from one answer to the next.
function useRates(data) {
  const [{ points }, set] = useState({ points: [], last: null });
  useEffect(() => {
    if (!data) return;
    set(({ points: known, last }) => {
      const point = last && movedBetween(last, data);
      return { last: data, points: point ? [...known, point].slice(-POINTS) : known };
    });
  }, [data?.at]);
  return points;
}

function Numbers({ data, rates }) {
  const [, gives, takes] = rates.at(-1) ?? [];
  return html`<${Tiles} items=${[
    { label: "gives", value: rate(gives), detail: `${bytes(data.sent_bytes)} so far` },
    { label: "takes", value: rate(takes), detail: `${bytes(data.received_bytes)} so far${data.coming_bytes ? `, ${bytes(data.coming_bytes)} of blocks on their way` : ""}` },
    { label: "neighbours", value: count(data.open_channels), detail: "with an open channel" },
    { label: "holds", value: bytes(data.held_bytes), detail: counted(data.held_blocks, "block") },
    { label: "memory", value: bytes(data.resident_bytes), detail: `${bytes(data.memory_bytes)} of ${data.memory_most_bytes ? bytes(data.memory_most_bytes) : "any"} for blocks` },
    { label: "bad blocks", value: count(data.bad_blocks), tone: data.bad_blocks ? "bad" : "", detail: "refused by their hash" },
  ]} />`;
}

function Standing({ row }) {
  if (row.is_paused) return html`<${Chip} tone="warn" icon="pause">paused<//>`;
  if (row.phase) return html`<${Chip} tone="busy" icon="play">at work<//>`;
  if (row.problem) return html`<${Chip} tone="bad" icon="cross">failed<//>`;
  if (!row.version) return html`<${Chip} icon="idle">none yet<//>`;
  return row.is_stale ? html`<${Chip} tone="warn" icon="slow">not confirmed<//>` : html`<${Chip} tone="good" icon="check">current<//>`;
}

const filesOf = (ref) => `/fs/${ref.split("/").map(encodeURIComponent).join("/").replace("%3A", "/")}/`;
const Tags = ({ data }) => html`<${Card} title="Follows" note=${data.tags.length ? counted(data.tags.length, "tag") : ""} flush><${Table} label="What it follows" rows=${data.tags} keyOf=${(row, at) => `${row.ref}${at}`}
  empty=${html`Nothing. Let it follow a tag with <code>aetherfs subscribe NAME:TAG DIRECTORY</code>.`} columns=${[
    { id: "ref", label: "tag", isHead: true, value: (row) => row.ref, cell: (row) => html`<a href=${filesOf(row.ref)}><${Name} text=${row.ref} /></a>` },
    { id: "state", label: "state", cell: (row) => html`<${Standing} row=${row} />` },
    { id: "words", label: "what, or why", cell: (row) => html`<${Said} text=${row.phase || row.problem} />` },
    { id: "version", label: "version", narrow: false, cell: (row) => (row.version ? html`<${Id} id=${row.version} /> <span class="soft small">entry ${count(row.serial)}</span>` : "") },
  ]} /><//>`;

const Holdings = ({ rows }) => html`<${Card} title="Holds" note=${rows.length ? counted(rows.length, "version") : ""} flush><${Table} label="What it holds" rows=${rows} keyOf=${(row) => `${row.dataset}@${row.version}`} most=${15}
  empty="Nothing yet." columns=${[
    { id: "dataset", label: "dataset", isHead: true, value: (row) => row.dataset, cell: (row) => html`<${Name} text=${row.dataset} />` },
    { id: "version", label: "version", narrow: false, cell: (row) => html`<${Id} id=${row.version} />` },
    { id: "held", label: "held", num: true, value: (row) => row.held / Math.max(1, row.blocks), cell: (row) => html`<span title="${count(row.held)} of ${counted(row.blocks, "block")}">${row.blocks ? percent(row.held / row.blocks) : "–"}</span>
      <${Bar} thin label="held" parts=${[{ word: "held", value: row.held, color: "--state-fetching" }, { word: "missing", value: row.blocks - row.held, color: "--line" }]} />` },
    { id: "bytes", label: "size", num: true, value: (row) => row.bytes, cell: (row) => bytes(row.bytes) },
  ]} /><//>`;

const Neighbours = ({ data }) => html`<${Card} title="Neighbours" note="since it began" flush><${Table} label="Bytes by neighbour" rows=${data.neighbours} keyOf=${(row) => row.peer} most=${15} empty="None yet." columns=${[
  { id: "peer", label: "peer", isHead: true, cell: (row) => html`<${Id} id=${row.peer} />` },
  { id: "sent", label: "gave it", num: true, value: (row) => row.sent_bytes, cell: (row) => bytes(row.sent_bytes) },
  { id: "received", label: "took from it", num: true, value: (row) => row.received_bytes, cell: (row) => bytes(row.received_bytes) },
  { id: "open", label: "channel", narrow: false, value: (row) => row.is_open, cell: (row) => (row.is_open ? "open" : html`<span class="soft">closed</span>`) },
]} /><//>`;

const Trackers = ({ data }) => html`<${Card} title="Trackers" note=${clean(data.tracker_state, 60)} flush><${Table} label="Trackers, as they are asked" rows=${data.trackers} keyOf=${(row) => row.address} empty="It knows no tracker: it finds others by the DHT." columns=${[
  { id: "address", label: "tracker", isHead: true, cell: (row) => (row.dashboard ? html`<a href=${row.dashboard} rel="noreferrer"><${Name} text=${row.address} /></a>` : row.address.includes(":") ? html`<${Name} text=${row.address} />` : html`<${Id} id=${row.address} />`) },
  { id: "state", label: "state", cell: (row) => (row.state === "answers" ? html`<${Chip} tone="good" icon="check">answers<//>` : html`<${Name} text=${row.state} most=${160} />`) },
  { id: "answered", label: "answered", num: true, cell: (row) => (row.answered_s_ago === null ? "–" : `${span(row.answered_s_ago)} ago`) },
]} /><//>`;

const limit = (text) => (text === "none" ? "no limit" : html`<code>${clean(text, 200)}</code>`);
const About = ({ data, now }) => html`<${Card} title="About it"><dl class="facts">
  <dt>id</dt><dd><code>${clean(data.peer)}</code></dd>
  <dt>program</dt><dd>${clean(data.program, 40)}, started ${ago(data.at - data.uptime_s, now)}</dd>
  <dt>certificate</dt><dd>until ${moment(data.certificate_expires)}</dd>
  <dt>upload</dt><dd>${limit(data.upload)}${data.is_metered ? "; its link is metered: it gives to its own site alone" : ""}</dd>
  <dt>download</dt><dd>${limit(data.download)}</dd>
  <dt>DHT</dt><dd>knows ${counted(data.dht_nodes, "node")}, keeps ${counted(data.dht_records, "record")}</dd>
  ${data.store && html`<dt>object store</dt><dd><${Name} text=${data.store} /></dd>`}</dl><//>`;

const place = document.getElementById("app");
place.replaceChildren();
render(html`<${Page} />`, place);
