// One peer: what it follows, gives, takes, holds and waits for. Totals are since its process began.
import { html, useEffect, useState } from "../../lib/html.js";
import { ago, bytes, clean, count, counted, moment, percent, rate, short, span } from "../../lib/format.js";
import { useFigure } from "../../lib/live.js";
import { Chart, Figure } from "../../lib/chart.js";
import { Bar, Card, Chip, Heading, Id, Missing, Name, Notice, PeerLink, Said, TagLink, Tiles, Verdict } from "../../lib/parts.js";
import { href } from "../../lib/router.js";
import { CAUSE } from "../../lib/states.js";
import { useNow } from "../../lib/store.js";
import { Table } from "../../lib/table.js";
import { Health, Offset, StateMark } from "./marks.js";

const POINTS = 300;
const TONES = { current: "good", verifying: "busy", fetching: "busy", waiting: "warn", unaware: "calm", failed: "bad", lost: "bad" };

export function One({ id }) {
  const answer = useFigure(`peer:${id}`);
  const now = useNow(1);
  const { data } = answer;
  const rates = useRates(data);
  return html`<${Heading} title=${html`Peer <code title=${clean(id)}>${short(id, 12)}</code>`} actions=${data && html`<a class="button" href=${href(["flow"], { of: id })}>Its flow</a>`}>
    ${data && html`<${Who} data=${data} now=${now} />`}<//>
  ${!data ? html`<${Card}><${Missing} answer=${answer} what="This peer" /><//>` : html`<${Verdictof} item=${data.item} now=${now} />
    <${Numbers} data=${data} now=${now} />
    ${data.waiting_for.length > 0 && html`<${Notice} tone="warn" icon="slow">It waits for ${data.waiting_for.map((text, at) => html`${at > 0 && "; "}<${Name} key=${at} text=${text} />`)}.<//>`}
    <${Following} rows=${data.following} now=${now} />
    <div class="grid"><${Rates} rates=${rates} /><${Storage} storage=${data.storage} /></div>
    <${Links} data=${data} />
    <${Holdings} rows=${data.holdings} />
    <${About} data=${data} id=${id} now=${now} />`}`;
}

function Who({ data, now }) {
  const { item } = data;
  return html`A ${clean(item.role, 20)}${item.site ? html` at <${Name} text=${item.site} most=${80} />` : " of no site"}, heard ${ago(item.heard, now)}, runs for ${span(now - data.started)}.
    ${item.labels.map((label) => html` <span key=${label} class="label">${clean(label, 80)}</span>`)}`;
}

function Verdictof({ item, now }) {
  if (item.health === "gone") return html`<${Verdict} tone="bad" icon="cross">It was not heard for ${span(now - item.heard)}.<//>`;
  if (!item.state) return html`<${Verdict} tone="calm" icon="idle">It follows no tag.${item.health === "doubtful" ? " Others miss it." : ""}<//>`;
  const words = item.state === "current" ? "Everything that it follows is current." : item.reason ? html`<${Said} text=${`It is behind: ${item.reason}.`} />` : `It is ${clean(item.state, 20)}.`;
  return html`<${Verdict} tone=${item.health === "doubtful" ? "warn" : TONES[item.state]} icon=${item.state === "current" ? "check" : "slow"}>${words}${item.health === "doubtful" ? " Others miss it." : ""}<//>`;
}

function Numbers({ data, now }) {
  const { item } = data;
  const offset = item.clock_offset_s;
  return html`<${Tiles} items=${[
    { label: "health", value: html`<${Health} health=${item.health} />`, detail: `heard ${ago(item.heard, now)}` },
    { label: "gives", value: rate(item.rate_out_bytes_per_s), detail: `${bytes(data.sent_bytes)} in all` },
    { label: "takes", value: rate(item.rate_in_bytes_per_s), detail: `${bytes(data.received_bytes)} in all` },
    { label: "on the line", value: bytes(data.line_sent_bytes + data.line_received_bytes), detail: `${bytes(data.line_sent_bytes)} out, ${bytes(data.line_received_bytes)} in, with headers; blocks are ${bytes(data.wire_sent_bytes + data.wire_received_bytes)} of it` },
    { label: "bad blocks", value: count(data.bad_blocks), tone: data.bad_blocks ? "bad" : "", detail: "that it was sent, and refused" },
    { label: "clock", value: offset === null ? "–" : html`<${Offset} seconds=${offset} />`, detail: offset === null ? "not measured" : `${offset.toFixed(2)} s off the tracker's` },
  ]} />`;
}

function Following({ rows, now }) {
  return html`<${Card} title="Follows" note=${rows.length ? counted(rows.length, "tag") : ""} flush><${Table} label="What it follows" rows=${rows} keyOf=${(row) => `${row.dataset}:${row.tag}`}
    empty="It follows no tag that you may read." columns=${[
      { id: "tag", label: "tag", isHead: true, value: (row) => `${row.dataset}:${row.tag}`, cell: (row) => html`<${TagLink} ...${row} />${row.is_pull && html` <span class="soft small">pulled once</span>`}` },
      { id: "state", label: "state", value: (row) => row.state, cell: (row) => html`<${StateMark} state=${row.state} />` },
      { id: "why", label: "why", cell: (row) => (row.reason ? html`<${Said} text=${row.reason} />` : html`<span class="soft">${row.cause ? CAUSE[row.cause] ?? clean(row.cause, 30) : ""}</span>`) },
      { id: "done", label: "done", num: true, value: (row) => row.done_bytes / Math.max(1, row.total_bytes), cell: (row) => html`<${Done} row=${row} />` },
      { id: "left", label: "left", num: true, narrow: false, value: (row) => row.eta_s, cell: (row) => (row.done_bytes >= row.total_bytes ? "–" : html`<span title=${rate(row.rate_bytes_per_s)}>${span(row.eta_s)}</span>`) },
      { id: "from", label: "came from", narrow: false, cell: (row) => html`<${From} sources=${row.sources} />` },
      { id: "version", label: "version", narrow: false, cell: (row) => html`<${Versions} row=${row} />` },
      { id: "since", label: "since", num: true, narrow: false, value: (row) => row.since, cell: (row) => html`<time title=${moment(row.since)}>${ago(row.since, now)}</time>` },
    ]} /><//>`;
}

const Versions = ({ row }) => html`<span class="nowrap">${row.version ? html`<${Id} id=${row.version} digits=${8} /> <span class="soft small">entry ${count(row.serial)}</span>` : html`<span class="soft">none yet</span>`}</span>
  ${row.target_serial > 0 && row.target_version && row.target_version !== row.version && html`<div class="nowrap soft small">works at <${Id} id=${row.target_version} digits=${8} />, entry ${count(row.target_serial)}</div>`}`;

const Done = ({ row }) => html`<span title="${bytes(row.done_bytes)} of ${bytes(row.total_bytes)}">${row.total_bytes ? percent(row.done_bytes / row.total_bytes, 0) : "–"}</span>
  <${Bar} thin label="done" parts=${[{ word: "done", value: row.done_bytes, text: bytes(row.done_bytes), color: "--state-fetching" },
    { word: "missing", value: Math.max(0, row.total_bytes - row.done_bytes), text: bytes(row.total_bytes - row.done_bytes), color: "--line" }]} />`;

const From = ({ sources }) => {
  const parts = [["peers", "--peers", "solid"], ["origin", "--origin", "cross"], ["reused", "--reused", "dots"]]
    .map(([word, ink, pattern]) => ({ word, color: ink, pattern, value: sources[word], text: bytes(sources[word]) })).filter((part) => part.value > 0);
  return html`<span class="small">${parts.map(({ word, text }) => `${text} ${word}`).join(", ") || "–"}</span><${Bar} thin label="bytes by source" parts=${parts} />`;
};

// What the stream has told since this page was opened: trackers keep no figures over time of single peers.
function useRates(data) {
  const [points, set] = useState([]);
  useEffect(() => {
    if (data) set((now) => [...now.filter(([at]) => at < data.at), [data.at, data.item.rate_out_bytes_per_s, data.item.rate_in_bytes_per_s]].slice(-POINTS));
  }, [data?.at]);
  return points;
}

const Rates = ({ rates }) => html`<${Chart} title="Gives and takes" note="since this page was opened" x=${rates.map((point) => point[0])} format=${rate} height=${150} series=${[
  { word: "gives", values: rates.map((point) => point[1]), color: "--series-1", fill: true },
  { word: "takes", values: rates.map((point) => point[2]), color: "--series-2", dash: true }]} />`;

function Storage({ storage }) {
  if (!storage) return html`<${Card} title="Room"><p class="soft">It has not told how much room it has.</p><//>`;
  const { disk_free_bytes: free, disk_total_bytes: all } = storage;
  return html`<${Card} title="Room"><div class="gauges">
    <${Gauge} word="cache" used=${storage.cache_bytes} most=${storage.cache_most_bytes} detail=${counted(storage.cache_blocks, "block")} />
    <${Gauge} word="blocks in memory" used=${storage.memory_bytes} most=${storage.memory_most_bytes} detail="${bytes(storage.resident_bytes)} with all else" />
    ${all !== null && html`<${Gauge} word="disk of its home" used=${all - (free ?? 0)} most=${all} detail="${bytes(free)} free" isTight=${free < all / 20} />`}</div><//>`;
}

const Gauge = ({ word, used, most, detail, isTight = false }) => html`<div class="gauge"><div class="row"><span>${word}</span>
    <span><strong>${bytes(used)}</strong> <span class="soft">of ${most ? bytes(most) : "no limit"}, ${detail}</span></span></div>
  <${Bar} thin label=${word} parts=${[{ word: "used", value: used, text: bytes(used), color: isTight ? "--state-failed" : "--state-fetching", pattern: isTight ? "cross" : "solid" },
    { word: "free", value: Math.max(0, most - used), text: bytes(most - used), color: "--line" }]} /></div>`;

const LINKS = 14;
function Links({ data }) {
  const rows = data.links;
  const most = Math.max(1, ...rows.map((row) => Math.max(row.sent_bytes, row.received_bytes)));
  const wrong = rows.filter((row) => !row.agrees).length;
  const peer = (row) => (row.peer === "others" ? html`<span class="soft">all others</span>` : html`<${PeerLink} id=${row.peer} />`);
  const columns = [
    { id: "peer", label: "neighbour", isHead: true, cell: peer },
    { id: "site", label: "site", narrow: false, value: (row) => row.site, cell: (row) => html`<${Name} text=${row.site || "–"} one />` },
    { id: "sent", label: "gave it", num: true, value: (row) => row.sent_bytes, cell: (row) => bytes(row.sent_bytes) },
    { id: "took", label: "which says", num: true, narrow: false, value: (row) => row.their_received_bytes, cell: (row) => bytes(row.their_received_bytes) },
    { id: "received", label: "took from it", num: true, value: (row) => row.received_bytes, cell: (row) => bytes(row.received_bytes) },
    { id: "gave", label: "which says", num: true, narrow: false, value: (row) => row.their_sent_bytes, cell: (row) => bytes(row.their_sent_bytes) },
    { id: "agrees", label: "words", value: (row) => row.agrees, cell: (row) => (row.agrees ? html`<span class="soft">${row.their_received_bytes === null ? "its own only" : "agree"}</span>` : html`<${Chip} tone="bad" icon="alert">disagree<//>`) },
    { id: "open", label: "channel", narrow: false, value: (row) => row.is_open, cell: (row) => (row.is_open ? "open" : html`<span class="soft">closed</span>`) },
  ];
  const bar = (row, word, value, color, pattern) => html`<div class="bar thin" role="img" aria-label="${word} ${bytes(value)}" title="${word} ${bytes(value)}">
    <span class="p-${pattern}" style=${{ "--fill": `var(${color})`, width: `${(value / most) * 100}%` }}></span></div>`;
  return html`<${Figure} title="Neighbours" note=${`${counted(rows.filter((row) => row.peer !== "others").length, "neighbour")}, ${count(rows.filter((row) => row.is_open).length)} open${wrong ? `, ${count(wrong)} disagree` : ""}`}
    says="Bytes given to and taken from each of ${counted(rows.length, "neighbour")}" table=${{ columns, rows, keyOf: (row) => row.peer, empty: "It has no neighbours." }}
    picture=${rows.length === 0 ? html`<p class="empty">It has no neighbours.</p>` : html`<ul class="pairs-of-bars">${rows.slice(0, LINKS).map((row) => html`<li key=${row.peer}>
      <span class="who">${peer(row)} ${!row.agrees && html`<${Chip} tone="bad" icon="alert">words disagree<//>`}</span>
      <span>${bar(row, "gave it", row.sent_bytes, "--series-1", "solid")}${bar(row, "took from it", row.received_bytes, "--series-2", "rising")}</span>
      <span class="num small">${bytes(row.sent_bytes)}<br />${bytes(row.received_bytes)}</span></li>`)}</ul>
      ${rows.length > LINKS && html`<p class="soft small">and ${count(rows.length - LINKS)} more in the table</p>`}`}
    legend=${html`<ul class="legend"><li><span class="swatch p-solid" style=${{ "--fill": "var(--series-1)" }}></span>gave it</li>
      <li><span class="swatch p-rising" style=${{ "--fill": "var(--series-2)" }}></span>took from it</li></ul>`} />`;
}

const Holdings = ({ rows }) => html`<${Card} title="Holds" note=${rows.length ? counted(rows.length, "version") : ""} flush><${Table} label="What it holds" rows=${rows} keyOf=${(row) => `${row.dataset}@${row.version}`}
  most=${15} empty="It holds no version that you may read." columns=${[
    { id: "dataset", label: "dataset", isHead: true, value: (row) => row.dataset, cell: (row) => html`<a href=${href(["blocks", ...row.dataset.split("/"), row.version])}><${Name} text=${row.dataset} /></a>` },
    { id: "version", label: "version", cell: (row) => html`<${Id} id=${row.version} to=${href(["datasets", ...row.dataset.split("/"), "files", row.version])} />` },
    { id: "held", label: "held", num: true, value: (row) => row.held / Math.max(1, row.blocks), cell: (row) => html`<span title="${count(row.held)} of ${counted(row.blocks, "block")}">${row.blocks ? percent(row.held / row.blocks) : "–"}</span>` },
    { id: "bytes", label: "size", num: true, value: (row) => row.bytes, cell: (row) => bytes(row.bytes) },
    { id: "origin", label: "as", narrow: false, cell: (row) => (row.is_origin ? html`<${Chip} icon="origin">origin<//>` : "") },
  ]} /><//>`;

const About = ({ data, id, now }) => html`<${Card} title="About it"><dl class="facts">
  <dt>id</dt><dd><code>${clean(id)}</code></dd>
  <dt>addresses</dt><dd>${data.addresses.length ? data.addresses.map((address) => html`<div key=${address}><code>${clean(address)}</code></div>`) : "none: it cannot be dialled"}</dd>
  <dt>program</dt><dd>${clean(data.item.version, 40) || "–"}, started ${moment(data.started)}</dd>
  ${data.joined !== null && html`<dt>joined</dt><dd>${moment(data.joined)}, ${ago(data.joined, now)}</dd>`}
  <dt>DHT</dt><dd>${data.dht_nodes === null ? "a client: it answers no questions" : `knows ${counted(data.dht_nodes, "node")}, keeps ${counted(data.dht_records, "record")}`}</dd>
  <dt>published</dt><dd>${bytes(data.uploaded_bytes)} uploaded to seeds</dd>
  <dt>requests</dt><dd>${counted(data.refused, "refused", "refused")}, ${count(data.redirected)} sent on to others</dd>
  <dt>reports to</dt><dd>${data.tracker ? html`tracker <${PeerLink} id=${data.tracker} />` : "–"}</dd></dl><//>`;
