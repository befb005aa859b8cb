// Origin and cost: what seeds and producers had to give themselves, what the object store was asked for, and what that costs.
import { html, useMemo } from "../lib/html.js";
import { bytes, clean, count, percent, rate } from "../lib/format.js";
import { useFigure } from "../lib/live.js";
import { Chart } from "../lib/chart.js";
import { Card, Chip, Heading, Id, Missing, Name, PeerLink, SourceBar, TagLink, Tiles, Verdict } from "../lib/parts.js";
import { href, rangeOf } from "../lib/router.js";
import { ofWhole, useSeries } from "../lib/series.js";
import { Table } from "../lib/table.js";

export default { id: "origin", title: "Origin and cost", group: "Swarm", key: "c", icon: "origin", hasRange: true, view: OriginPage };

// Prices of single requests are millionths: three digits that say something.
export function money({ amount, currency }) {
  if (!Number.isFinite(amount)) return "–";
  const digits = amount === 0 || amount >= 100 ? 2 : Math.min(9, Math.max(2, 2 - Math.floor(Math.log10(Math.abs(amount)))));
  return `${amount.toFixed(digits)} ${clean(currency, 8)}`;
}

// Nine in ten bytes from peers are good in any swarm. A small one cannot have that: there the origin is spared if it gave each block about once.
const SPARED = 0.9, ONCE = 1.1;
const isSpared = ({ offload, copies }) => offload >= SPARED || (copies !== null && copies <= ONCE);

function OriginPage({ query }) {
  const answer = useFigure("origin");
  const { data } = answer;
  return html`<${Heading} title="Origin and cost">The origin are seeds and the producer. What peers give each other costs nothing there.<//>
  ${!data ? html`<${Card}><${Missing} answer=${answer} what="What the origin carried" /><//>` : html`<${Judged} data=${data} />
    <${Tiles} items=${[
      { label: "offload", value: percent(data.offload), detail: "of all that was fetched came from peers" },
      { label: "copies given", value: copiesOf(data), detail: "by the origin; one is the least" },
      { label: "given by seeds", value: bytes(data.given_bytes), detail: "by their own word" },
      { label: "gives now", value: rate(data.rate_bytes_per_s) },
      { label: "store requests", value: count(requestsOf(data.requests)), detail: `${count(data.requests.retries)} retried` },
      { label: "from the store", value: bytes(data.requests.received_bytes), detail: `${bytes(data.requests.sent_bytes)} to it` },
      { label: "cost", value: money(data.cost), detail: clean(data.prices, 80) },
    ]} />`}
  <div class="grid"><${Traffic} range=${rangeOf(query)} />
    ${data && html`<${Card} title="Where the bytes came from"><${SourceBar} sources=${data.sources} format=${bytes} />
      <p class="soft small">${bytes(data.sources.wasted)} were fetched twice; ${bytes(data.sources.wire)} went over the wire.</p><//>`}</div>
  ${data && html`<${Seeds} rows=${data.seeds} /><${Items} rows=${data.items} /><${ByKind} requests=${data.requests} />`}`;
}

const copiesOf = ({ copies }) => (copies === null ? "–" : copies.toFixed(2));
const requestsOf = (requests) => requests.put + requests.list + requests.get + requests.head + requests.delete;

function Judged({ data }) {
  const away = data.seeds.filter((seed) => seed.store !== "answers").length;
  const told = data.offload === null ? "Nobody has fetched anything yet."
    : `The origin gave ${data.copies === null ? "" : `${copiesOf(data)} copies, `}${percent(1 - data.offload)} of the bytes; ${percent(data.offload)} came from peers.`;
  if (away) return html`<${Verdict} tone="bad" icon="alert">${told} The object store does not answer ${away === data.seeds.length ? "the seeds" : `${count(away)} of ${count(data.seeds.length)} seeds`}.<//>`;
  const tone = data.offload !== null && isSpared(data) ? "good" : "calm";
  return html`<${Verdict} tone=${tone} icon=${tone === "good" ? "check" : "idle"}>${told}<//>`;
}

function Traffic({ range }) {
  const all = useSeries("rate_bytes_per_s", range), origin = useSeries("origin_rate_bytes_per_s", range);
  const [x, rates, origins] = useMemo(() => ofWhole(all.points, origin.points), [all.points, origin.points]);
  return html`<${Chart} title="Traffic" note="of blocks, last ${range}" x=${x} format=${rate} height=${170} series=${[
    { word: "all consumers take", values: rates, color: "--series-1", fill: true },
    { word: "of it from the origin", values: origins, color: "--series-2", dash: true }]} />`;
}

const Seeds = ({ rows }) => html`<${Card} title="Seeds" flush><${Table} label="List of seeds" rows=${rows} keyOf=${(row) => row.peer} empty="No seed has reported yet." columns=${[
  { id: "peer", label: "seed", isHead: true, cell: (row) => html`<${PeerLink} id=${row.peer} />` },
  { id: "store", label: "object store", cell: (row) => (row.store === "answers" ? html`<${Chip} tone="good" icon="check">answers<//>` : html`<span class="row"><${Chip} tone="bad" icon="alert">away<//><${Name} text=${row.store} most=${160} /></span>`) },
  { id: "rate", label: "gives", num: true, narrow: false, value: (row) => row.rate_bytes_per_s, cell: (row) => rate(row.rate_bytes_per_s) },
  { id: "given", label: "given", num: true, value: (row) => row.given_bytes, cell: (row) => bytes(row.given_bytes) },
  { id: "requests", label: "requests", num: true, narrow: false, value: (row) => requestsOf(row.requests), cell: (row) => count(requestsOf(row.requests)) },
  { id: "cost", label: "cost", num: true, narrow: false, value: (row) => row.cost.amount, cell: (row) => money(row.cost) },
  { id: "site", label: "site", narrow: false, value: (row) => row.site, cell: (row) => html`<${Name} text=${row.site || "–"} one />` },
]} /><//>`;

const Items = ({ rows }) => html`<${Card} title="Rollouts and publishes" note="what each has cost" flush><${Table} label="Cost of rollouts and publishes" rows=${rows} keyOf=${(row, at) => `${row.kind}${row.dataset}@${row.version}${row.tag}${at}`} most=${25}
  empty="Nothing was rolled out or published since the trackers began." columns=${[
    { id: "what", label: "what", isHead: true, value: (row) => `${row.dataset}:${row.tag}`, cell: (row) => (row.tag ? html`<${TagLink} ...${row} />` : html`<a href=${href(["datasets", ...row.dataset.split("/")])}><${Name} text=${row.dataset} /></a>`) },
    { id: "kind", label: "kind", narrow: false, cell: (row) => html`<${Chip} icon=${row.kind === "publish" ? "plus" : "rollout"}>${row.kind === "publish" ? "publish" : "rollout"}<//>` },
    { id: "version", label: "version", narrow: false, cell: (row) => html`<${Id} id=${row.version} digits=${8} />` },
    { id: "offload", label: "offload", num: true, value: (row) => row.offload, cell: (row) => percent(row.offload) },
    { id: "copies", label: "copies", num: true, narrow: false, value: (row) => row.copies, cell: (row) => copiesOf(row) },
    { id: "origin", label: "by the origin", num: true, narrow: false, value: (row) => row.sources.origin, cell: (row) => bytes(row.sources.origin) },
    { id: "peers", label: "by peers", num: true, narrow: false, value: (row) => row.sources.peers, cell: (row) => bytes(row.sources.peers) },
    { id: "requests", label: "requests", num: true, narrow: false, value: (row) => requestsOf(row.requests), cell: (row) => count(requestsOf(row.requests)) },
    { id: "cost", label: "cost", num: true, value: (row) => row.cost.amount, cell: (row) => money(row.cost) },
  ]} /><//>`;

const KINDS = [["put", "writes"], ["get", "reads"], ["list", "listings"], ["head", "looks"], ["delete", "deletions"], ["retries", "retries, among all of them"]];
const ByKind = ({ requests }) => html`<${Card} title="Requests to the object store" flush><${Table} label="Requests by kind" keyOf=${(row) => row[0]} rows=${KINDS} columns=${[
  { id: "kind", label: "kind", isHead: true, cell: ([kind]) => html`<code>${kind.toUpperCase()}</code>` },
  { id: "says", label: "what for", cell: (row) => row[1] },
  { id: "count", label: "requests", num: true, cell: ([kind]) => count(requests[kind]) },
]} /><//>`;
