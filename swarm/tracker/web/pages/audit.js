// Audit: what was done in the swarm, and what was refused. For admins.
import { html, useState } from "../lib/html.js";
import { ago, clean, count, moment } from "../lib/format.js";
import { Card, Chip, Field, Heading, Missing, Name, Notice } from "../lib/parts.js";
import { RANGES, go, hrefHere, rangeOf } from "../lib/router.js";
import { useNow, usePages } from "../lib/store.js";
import { Table } from "../lib/table.js";

export default { id: "audit", title: "Audit", group: "Governance", key: "u", icon: "audit", needs: "admin", hasRange: true, view: Audit };

const REFUSED = new Set(["refused", "denied", "deny"]);

function Audit({ query }) {
  const range = query.get("range") ? rangeOf(query) : "";
  const actor = query.get("actor") ?? "";
  const [text, setText] = useState(query.get("find") ?? "");
  const now = useNow(10);
  const since = range ? Math.floor(now / 60) * 60 - RANGES[range] : 0;
  const list = usePages((before) => `/api/v1/audit?since=${since}${actor ? `&actor=${encodeURIComponent(actor)}` : ""}${before ? `&before=${before}` : ""}`,
    (answer) => answer.events, (answer) => (answer.before ? String(answer.before) : ""));
  const words = text.toLowerCase();
  const rows = words ? list.rows.filter((row) => [row.actor, row.action, row.subject, row.detail].join(" ").toLowerCase().includes(words)) : list.rows;
  const search = (event) => { event.preventDefault(); go(hrefHere({ actor: event.target.elements.actor.value.trim() || null })); };
  return html`<${Heading} title="Audit">What was done, and what was refused, newest first. The pages are chained by hash in the object store.<//>
  ${(list.answer?.missing ?? []).map((line) => html`<${Notice} key=${line} tone="bad">${clean(line, 400)}<//>`)}
  <${Card} title="Events" note=${range ? `of the last ${range}` : "all that is kept; choose a time range above"} flush>
    <form class="form body" onSubmit=${search}>
      <${Field} label="Done by (all of the name)"><input name="actor" value=${actor} placeholder="user:alice" autocomplete="off" spellcheck="false" /><//>
      <${Field} label="Among these, with the words" grow><input type="search" value=${text} onInput=${(event) => setText(event.target.value)} autocomplete="off" /><//>
      <button class="button">Filter</button>
      ${actor && html`<a class="button is-bare" href=${hrefHere({ actor: null })}>By anybody</a>`}
    </form>
    ${list.error ? html`<${Missing} answer=${list} what="The audit" />` : html`<${Table} label="Audit" rows=${rows} more=${list.more} isLoading=${list.isLoading}
      keyOf=${(row, at) => `${row.serial}.${at}`} empty="Nothing of this kind was noted." columns=${[
        { id: "when", label: "when", cell: (row) => html`<time class="nowrap" title=${moment(row.wall_time)}>${ago(row.wall_time, now)}</time>` },
        { id: "actor", label: "who", isHead: true, cell: (row) => html`<a href=${hrefHere({ actor: row.actor })}><${Name} text=${row.actor.replace(/^(peer:.{12}).+/, "$1…")} one /></a>` },
        { id: "action", label: "did", cell: (row) => html`<${Chip} tone=${REFUSED.has(row.action) ? "bad" : "calm"}
          icon=${REFUSED.has(row.action) ? "cross" : "check"}>${clean(row.action, 60)}<//>` },
        { id: "subject", label: "to", cell: (row) => html`<${Name} text=${row.subject} />` },
        { id: "detail", label: "detail", narrow: false, cell: (row) => html`<${Name} text=${row.detail} />` },
        { id: "count", label: "times", num: true, narrow: false, cell: (row) => count(row.count) },
      ]} />`}<//>`;
}
