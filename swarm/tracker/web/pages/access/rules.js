// The rules of the policy and their history. Whoever is admin of everything can change them here, as with `aetherfs access`.
import { html, useState } from "../../lib/html.js";
import { ago, clean, count, counted, moment, span } from "../../lib/format.js";
import { Icon } from "../../lib/icons.js";
import { Card, Confirmed, Field, Missing, Name } from "../../lib/parts.js";
import { toast } from "../../lib/say.js";
import { call, reload, useAnswer, useNow, usePages } from "../../lib/store.js";
import { Table } from "../../lib/table.js";

const RIGHTS = ["read", "publish", "tag", "delete", "admin"];
const words = (rule) => `${rule.subject} ${rule.right} ${rule.pattern}`;

async function change(body, told) {
  const answer = await call("POST", "/api/v1/access", body);
  await reload("/api/v1/access");
  toast(`${told} It is version ${count(answer.serial)} of the policy${answer.recalled ? `; ${counted(answer.recalled, "member has", "members have")} lost something` : ""}.`);
}

export function Rules({ me }) {
  const answer = useAnswer("/api/v1/access", 30);
  const mayChange = me.everywhere("admin");
  const rules = answer.data?.rules ?? [];
  return html`<${Card} title="Rules" note=${answer.data ? `version ${count(answer.data.serial)}; grants live ${span(answer.data.grant_lifetime_s)}` : ""} flush>
    ${!answer.data ? html`<${Missing} answer=${answer} what="The policy" />` : html`
    ${mayChange && html`<${NewRule} />`}
    <${Table} label="Rules" rows=${rules} keyOf=${words} by="subject" empty="There is no rule: only trackers and seeds may do anything." columns=${[
      { id: "subject", label: "subject", isHead: true, value: (row) => row.subject, cell: (row) => html`<${Name} text=${row.subject} />` },
      { id: "right", label: "right", value: (row) => row.right },
      { id: "pattern", label: "datasets", value: (row) => row.pattern, cell: (row) => (row.pattern === "@token" ? "what its token named" : html`<code>${clean(row.pattern)}</code>`) },
      ...(mayChange ? [{ id: "remove", label: "", num: true, cell: (row) => html`<${Confirmed} title="Remove the rule" tone="is-grave" look="is-quiet" icon="cross"
        asks=${`“${clean(words(row))}” will count no more. Grants that rest on it are recalled.`}
        act=${() => change({ remove: [row] }, "The rule is removed.")}>Remove<//>` }] : []),
    ]} />`}<//>`;
}

function NewRule() {
  const [error, setError] = useState("");
  const add = async (event) => {
    event.preventDefault();
    const form = event.target, { subject, right, pattern } = form.elements;
    const rule = { subject: subject.value.trim(), right: right.value, pattern: pattern.value.trim() };
    try { await change({ allow: [rule] }, "The rule counts now."); setError(""); form.reset(); }
    catch (problem) { setError(clean(problem.message, 400)); }
  };
  return html`<form class="form body" onSubmit=${add}>
    <${Field} label="Subject" grow><input name="subject" required maxlength="256" placeholder="user:alice, group:ops, label:site=paris, members" autocomplete="off" spellcheck="false" /><//>
    <${Field} label="Right"><select name="right">${RIGHTS.map((one) => html`<option key=${one}>${one}</option>`)}</select><//>
    <${Field} label="Datasets" grow><input name="pattern" required maxlength="129" placeholder="maps/*" autocomplete="off" spellcheck="false" /><//>
    <button class="button is-main"><${Icon} name="plus" />Allow</button>
    ${error && html`<p class="wrong" role="alert">${error}</p>`}</form>`;
}

export function History() {
  const now = useNow(10);
  const list = usePages((before) => `/api/v1/access/history${before ? `?before=${before}` : ""}`, (answer) => answer.versions,
    (answer) => (answer.versions.length && answer.versions.at(-1).serial > 1 ? String(answer.versions.at(-1).serial) : ""));
  return html`<${Card} title="Versions of the policy" note="newest first" flush>
    ${list.error ? html`<${Missing} answer=${list} what="The history" />` : html`<${Table} label="Versions of the policy" rows=${list.rows} keyOf=${(row) => row.serial}
      more=${list.more} isLoading=${list.isLoading} empty="The policy is the one that a new swarm begins with." columns=${[
        { id: "serial", label: "version", num: true, isHead: true, cell: (row) => count(row.serial) },
        { id: "change", label: "change", cell: (row) => html`<${Name} text=${row.change} most=${600} />` },
        { id: "by", label: "by", cell: (row) => html`<${Name} text=${row.by} one />` },
        { id: "rules", label: "rules", num: true, narrow: false, cell: (row) => count(row.rules) },
        { id: "when", label: "when", num: true, cell: (row) => html`<time title=${moment(row.wall_time)}>${ago(row.wall_time, now)}</time>` },
      ]} />`}<//>`;
}
