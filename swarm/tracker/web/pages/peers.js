// Peers: who is in the swarm, and how each is; with an id in the address all that is known of one.
import { html, useEffect, useRef, useState } from "../lib/html.js";
import { bytes, clean, count, counted, rate, short } from "../lib/format.js";
import { useMessages } from "../lib/live.js";
import { Ago, Card, Chip, Field, Heading, Missing, Name, PeerLink } from "../lib/parts.js";
import { go, href, hrefHere } from "../lib/router.js";
import { CAUSE, STATE, STATES } from "../lib/states.js";
import { call, usePages } from "../lib/store.js";
import { Table } from "../lib/table.js";
import { HEALTH, Health, Offset, StateMark } from "./peers/marks.js";
import { One } from "./peers/one.js";

const PATH = "/api/v1/figures/peers";
const FILTERS = ["search", "state", "site", "label", "dataset"];
const SETTLE_MS = 300;

export default {
  id: "peers", title: "Peers", group: "Swarm", key: "p", icon: "peers", view: Peers,
  crumbs: ([id]) => (id ? [{ text: short(id, 12), to: href(["peers", id]) }] : []),
  search: async (text) => {
    const { peers } = await call("GET", `${PATH}?limit=8&search=${encodeURIComponent(text)}`);
    return peers.map((row) => ({ title: short(row.id, 16), detail: `${clean(row.role, 20)}${row.site ? `, ${clean(row.site, 40)}` : ""}`, icon: "peers", href: href(["peers", row.id]) }));
  },
};

function Peers({ params, query }) {
  return params[0] ? html`<${One} key=${params[0]} id=${params[0]} />` : html`<${All} query=${query} />`;
}

function pathOf(query, cursor) {
  const asked = new URLSearchParams();
  for (const name of FILTERS) if (query.get(name)) asked.set(name, query.get(name));
  if (cursor) asked.set("cursor", cursor);
  return String(asked) ? `${PATH}?${asked}` : PATH;
}

// What the stream tells of peers that are listed is put into their rows.
function useChanges(isListed) {
  const [changed, set] = useState(new Map());
  useMessages("peers", ({ peers }) => {
    const own = peers.filter((row) => isListed(row.id));
    if (own.length) set((now) => new Map([...now, ...own.map((row) => [row.id, row])]));
  });
  return changed;
}

function All({ query }) {
  const list = usePages((cursor) => pathOf(query, cursor), (answer) => answer.peers, (answer) => answer.next);
  const listed = useRef(new Set());
  listed.current = new Set(list.rows.map((row) => row.id));
  const changed = useChanges((id) => listed.current.has(id));
  const rows = list.rows.map((row) => changed.get(row.id) ?? row);
  const { matching = 0, total = 0 } = list.answer ?? {};
  const isFiltered = FILTERS.some((name) => query.get(name));
  return html`<${Heading} title="Peers">Everybody who reports to a tracker, seeds and trackers among them.<//>
  <${Filters} query=${query} />
  <${Card} title="Peers" note=${list.answer ? (isFiltered ? `${count(matching)} of ${count(total)}` : counted(total, "peer")) : ""} flush>
    ${list.error && !list.rows.length ? html`<${Missing} answer=${list} what="The list of peers" />` : html`<${Table} label="List of peers" isPure rows=${rows} keyOf=${(row) => row.id} more=${list.more} isLoading=${list.isLoading}
      empty=${isFiltered ? "No peer is like this." : "No peer has reported yet."} columns=${[
        { id: "id", label: "peer", isHead: true, value: (row) => row.id, cell: (row) => html`<${PeerLink} id=${row.id} /> ${row.role !== "peer" && html`<${Chip}>${clean(row.role, 20)}<//>`}` },
        { id: "health", label: "health", value: (row) => Object.keys(HEALTH).indexOf(row.health), cell: (row) => html`<${Health} health=${row.health} />` },
        { id: "state", label: "state", value: (row) => STATES.indexOf(row.state), cell: (row) => html`<${StateMark} state=${row.state} />${row.cause && html`<span class="soft small" title=${clean(row.reason)}>${CAUSE[row.cause] ?? clean(row.cause, 30)}</span>`}` },
        { id: "site", label: "site", narrow: false, value: (row) => row.site, cell: (row) => html`<${Name} text=${row.site || "–"} one />` },
        { id: "out", label: "gives", num: true, narrow: false, value: (row) => row.rate_out_bytes_per_s, cell: (row) => html`<span title="${bytes(row.sent_bytes)} so far">${rate(row.rate_out_bytes_per_s)}</span>` },
        { id: "in", label: "takes", num: true, narrow: false, value: (row) => row.rate_in_bytes_per_s, cell: (row) => html`<span title="${bytes(row.received_bytes)} so far">${rate(row.rate_in_bytes_per_s)}</span>` },
        { id: "clock", label: "clock", num: true, narrow: false, value: (row) => Math.abs(row.clock_offset_s ?? 0), cell: (row) => html`<${Offset} seconds=${row.clock_offset_s} />` },
        { id: "version", label: "program", narrow: false, value: (row) => row.version, cell: (row) => html`<${Name} text=${row.version || "–"} most=${24} />` },
        { id: "heard", label: "heard", num: true, narrow: false, value: (row) => -row.heard, cell: (row) => html`<${Ago} at=${row.heard} />` },
      ]} />`}<//>`;
}

function Filters({ query }) {
  const [typed, setTyped] = useState({});
  const timer = useRef(0);
  useEffect(() => () => clearTimeout(timer.current), []);
  const put = (name, value) => {
    setTyped((now) => ({ ...now, [name]: value }));
    clearTimeout(timer.current);
    timer.current = setTimeout(() => { go(hrefHere({ [name]: value.trim() || null }), { replace: true }); setTyped({}); }, SETTLE_MS);
  };
  const text = (name, placeholder) => html`<input type="search" placeholder=${placeholder} maxlength="120" spellcheck="false" autocomplete="off"
    value=${typed[name] ?? query.get(name) ?? ""} onInput=${(event) => put(name, event.target.value)} />`;
  return html`<form class="filters" role="search" aria-label="Peers" onSubmit=${(event) => event.preventDefault()}>
    <${Field} label="Find">${text("search", "id, site or label")}<//>
    <${Field} label="State"><select value=${query.get("state") ?? ""} onChange=${(event) => go(hrefHere({ state: event.target.value || null }))}>
      <option value="">any</option>${STATES.map((state) => html`<option key=${state} value=${state}>${STATE[state].word}</option>`)}</select><//>
    <${Field} label="Site">${text("site", "all of its name")}<//>
    <${Field} label="Label">${text("label", "rack=a")}<//>
    <${Field} label="Follows">${text("dataset", "maps/roads")}<//>
    ${FILTERS.some((name) => query.get(name)) && html`<a class="button" href=${href(["peers"])}>All peers</a>`}</form>`;
}

