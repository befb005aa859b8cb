// The explainer: may somebody do something, by which rule, and what would allow it; or why a refusal came about.
import { html, useState } from "../../lib/html.js";
import { clean, moment } from "../../lib/format.js";
import { Icon } from "../../lib/icons.js";
import { Card, Field, Missing, Verdict } from "../../lib/parts.js";
import { go, hrefHere } from "../../lib/router.js";
import { useAnswer } from "../../lib/store.js";

const RIGHTS = ["read", "publish", "tag", "delete", "admin"];

export function Explain({ query, me }) {
  const isAdmin = me.anywhere("admin");
  const [who, right, dataset, denial] = ["who", "right", "dataset", "denial"].map((name) => query.get(name) ?? "");
  const path = denial ? `/api/v1/access/denials/${encodeURIComponent(denial)}`
    : dataset ? `/api/v1/access/explain?${new URLSearchParams({ who: who || "me", right: right || "read", dataset })}` : null;
  const answer = useAnswer(path);
  const ask = (event) => {
    event.preventDefault();
    const { elements } = event.target;
    go(hrefHere({ tab: "explain", denial: null, who: elements.who?.value.trim() || null, right: elements.right.value, dataset: elements.dataset.value.trim() || null }));
  };
  const look = (event) => {
    event.preventDefault();
    go(hrefHere({ tab: "explain", denial: event.target.elements.denial.value.trim() || null, who: null, right: null, dataset: null }));
  };
  return html`<div class="grid">
    <${Card} title="May somebody do something?"><form class="form" onSubmit=${ask}>
      ${isAdmin && html`<${Field} label="Who (empty: you)" grow><input name="who" key=${who} defaultValue=${who} placeholder="user:alice, service:ci, peer:ID" autocomplete="off" spellcheck="false" /><//>`}
      <${Field} label="Right"><select name="right">${RIGHTS.map((one) => html`<option key=${one} selected=${one === (right || "read")}>${one}</option>`)}</select><//>
      <${Field} label="Dataset" grow><input name="dataset" key=${dataset} defaultValue=${dataset} placeholder="scope/name" required autocomplete="off" spellcheck="false" /><//>
      <button class="button is-main">Explain</button></form><//>
    <${Card} title="Why was something refused?"><form class="form" onSubmit=${look}>
      <${Field} label="The refusal's number, as its message told it" grow><input name="denial" key=${denial} defaultValue=${denial} placeholder="d-0123456789ab" required autocomplete="off" spellcheck="false" /><//>
      <button class="button is-main">Look it up</button></form><//>
  </div>
  ${path && (answer.data ? html`<${Explained} found=${answer.data} />` : html`<${Card}><${Missing} answer=${answer} what="The explainer" /><//>`)}`;
}

function Explained({ found }) {
  const [isCopied, setCopied] = useState(false);
  const copy = () => navigator.clipboard?.writeText(found.remedy).then(() => setCopied(true));
  const isCommand = found.remedy.startsWith("aetherfs ");
  return html`<${Verdict} tone=${found.allowed ? "good" : "bad"} icon=${found.allowed ? "check" : "cross"}>
      ${clean(found.who)} ${found.allowed ? "may" : "may not"} ${found.right} ${clean(found.dataset)}<//>
  <${Card} title="Why"><dl class="facts">
    <dt>Because</dt><dd>${clean(found.why, 600)}</dd>
    <dt>Asked as</dt><dd class="row">${found.subjects.map((one) => html`<span key=${one} class="label">${clean(one)}</span>`)}</dd>
    ${found.at > 0 && html`<dt>Refused</dt><dd>${moment(found.at)}</dd>`}
    ${found.remedy && html`<dt>What would allow it</dt><dd class="row">${isCommand ? html`<code class="command">${clean(found.remedy, 600)}</code>
      <button type="button" class="button" onClick=${copy}><${Icon} name=${isCopied ? "check" : "copy"} />${isCopied ? "Copied" : "Copy"}</button>` : clean(found.remedy, 600)}</dd>`}
  </dl><//>`;
}
