// How a dataset performs: how its moves went beside what was foreseen, who has which version, what of it is read, what caches had.
import { html } from "../../lib/html.js";
import { ago, bytes, clean, count, counted, moment, percent, short, span } from "../../lib/format.js";
import { Small } from "../../lib/canvas.js";
import { Chart, Figure } from "../../lib/chart.js";
import { color } from "../../lib/choices.js";
import { Bar, Card, Chip, Id, Legend, Missing, Name, Tiles, TagLink } from "../../lib/parts.js";
import { useAnswer } from "../../lib/store.js";
import { Table } from "../../lib/table.js";

const SERIES = ["--series-1", "--series-2", "--series-3", "--series-4", "--series-5"];
const WIDEST = 4; // how many times as long as the newest move the picture is at most
const DRAWN = 4; // moves in the picture, each perhaps with its forecast
const EVERY_S = 10;

export function Performance({ dataset, now, toFiles, toDiff }) {
  const answer = useAnswer(`/api/v1/figures/performance/${dataset.split("/").map(encodeURIComponent).join("/")}`, EVERY_S);
  const { data } = answer;
  if (!data) return html`<${Card}><${Missing} answer=${answer} what="How this dataset performs" /><//>`;
  return html`<${Summary} data=${data} /><${Curves} moves=${data.moves} />
    <${Moves} dataset=${dataset} moves=${data.moves} now=${now} toFiles=${toFiles} toDiff=${toDiff} />
    ${data.moves.some((move) => move.foreseen) && html`<${Foreseen} moves=${data.moves} />`}
    <${Holders} versions=${data.versions} toFiles=${toFiles} /><${Heat} heat=${data.heat} toFiles=${toFiles} />`;
}

function Summary({ data }) {
  const { caches, moves } = data, asked = caches.hits + caches.misses;
  const last = moves[0];
  return html`<${Tiles} items=${[
    last && { label: "95% had the last move in", value: span(last.completion.p95_s), detail: `${count(last.current)} of ${counted(last.wanted, "peer")} have it` },
    last && { label: "offload", value: percent(last.offload), detail: "of the bytes of the last move came from peers" },
    { label: "found in caches", value: asked ? percent(caches.hits / asked) : null, detail: `of ${counted(asked, "block")} that ${counted(caches.peers, "peer")} looked for` },
    { label: "regret", value: bytes(caches.regretted_bytes), tone: caches.regretted ? "warn" : "",
      detail: `${counted(caches.regretted, "block")} evicted and fetched again, of ${count(caches.evicted)} evicted` },
    { label: "bad blocks", value: count(data.bad_blocks), tone: data.bad_blocks ? "bad" : "", detail: `refused; ${count(data.refused)} could not be given` },
  ]} />`;
}

// What is foreseen of less than a second says no more than that (TOLD_FROM_S of swarm/sim/forecast.py).
const TOLD_FROM_S = 1;
const isForetold = ({ foreseen }) => Boolean(foreseen?.curve.length) && foreseen.last_s >= TOLD_FROM_S;
const nameOf = (move) => `${clean(move.tag, 40)} ${count(move.serial)}`;

// The share that had it, over the time since the move; what was foreseen is dashed.
function Curves({ moves }) {
  const drawn = moves.filter((move) => move.completion.curve.length).slice(0, DRAWN);
  const lines = drawn.flatMap((move, place) => [
    { word: nameOf(move), curve: move.completion.curve, of: move.wanted, color: SERIES[place] },
    ...(isForetold(move) ? [{ word: `${nameOf(move)}, foreseen`, curve: move.foreseen.curve, of: move.foreseen.peers, color: SERIES[place], dash: true }] : []),
  ]);
  // Whoever came long after a move would squeeze all others: the picture ends where the newest move is long over.
  const ends = lines.map((line) => line.curve.at(-1)[0]), end = WIDEST * Math.max(0, ...ends.slice(0, drawn.length && isForetold(drawn[0]) ? 2 : 1));
  const later = ends.filter((at) => at > end).length;
  const x = [...new Set([0, ...lines.flatMap((line) => line.curve.map(([at]) => Math.min(at, end)))])].sort((a, b) => a - b);
  const series = lines.map(({ word, curve, of, color, dash }) => ({ word, color, dash, values: x.map((at) => reached(curve, at) / Math.max(1, of)) }));
  return html`<${Chart} title="When peers had each move" note=${`share of them, from the move on${later ? `; ${counted(later, "line")} went on beyond ${span(end)}` : ""}`} x=${lines.length ? x : []} series=${series} kind="steps" since
    format=${(value) => percent(value, 0)} top=${1.04} says=${`When peers had each move: ${drawn.map((move) => `${nameOf(move)}, half after ${span(move.completion.p50_s)}`).join("; ") || "no move is known"}`} />`;
}

function reached(curve, at) {
  const last = curve.findLastIndex(([when]) => when <= at);
  return last < 0 ? 0 : curve[last][1];
}

const Moves = ({ dataset, moves, now, toFiles, toDiff }) => html`<${Card} title="Moves" note="that peers follow, newest first" flush><${Table} label="Moves of ${dataset}" rows=${moves}
  keyOf=${(row) => `${row.tag} ${row.serial}`} empty="No peer follows a tag of this dataset; the history tells what was published." columns=${[
    { id: "serial", label: "entry", num: true, isHead: true, value: (row) => row.serial, cell: (row) => count(row.serial) },
    { id: "tag", label: "tag", cell: (row) => html`<${TagLink} dataset=${dataset} tag=${row.tag} />` },
    { id: "version", label: "version", cell: (row) => html`<span class="row"><${Id} id=${row.version} digits=${8} to=${toFiles(row.version)} />
      ${row.previous_version && row.previous_version !== row.version && html`<a class="small" href=${toDiff(row.previous_version, row.version)}>changes<span class="unseen"> of entry ${count(row.serial)}</span></a>`}</span>` },
    { id: "message", label: "message", narrow: false, cell: (row) => html`<${Name} text=${row.message} most=${120} />` },
    { id: "current", label: "have it", num: true, cell: (row) => html`${count(row.current)} of ${count(row.wanted)}${row.failed > 0 && html` <${Chip} tone="bad">${count(row.failed)} failed<//>`}` },
    ...["p50", "p95", "last"].map((name) => ({ id: name, label: name, num: true, narrow: name === "p95" ? undefined : false, value: (row) => row.completion[`${name}_s`], cell: (row) => span(row.completion[`${name}_s`]) })),
    { id: "offload", label: "offload", num: true, narrow: false, value: (row) => row.offload, cell: (row) => percent(row.offload) },
    { id: "started", label: "when", num: true, value: (row) => row.started, cell: (row) => html`<time title=${moment(row.started)}>${ago(row.started, now)}</time>` },
  ]} /><//>`;

const told = (seconds) => Math.max(TOLD_FROM_S, seconds);
const foretold = (seconds) => (seconds < TOLD_FROM_S ? "< 1 s" : span(seconds));
const tookOf = ({ completion, foreseen }) => (completion.p95_s === null ? null : told(completion.p95_s) / told(foreseen.p95_s));
const factor = (value) => (value === null ? span(null) : `${value.toFixed(2)} times`);

const Foreseen = ({ moves }) => html`<${Card} title="Foreseen beside what came" note="by aetherfs simulate, before the move" flush><${Table} label="Forecasts beside what came"
  rows=${moves.filter((move) => move.foreseen)} keyOf=${(row) => `${row.tag} ${row.serial}`} columns=${[
    { id: "move", label: "move", isHead: true, cell: (row) => html`<${Name} text=${nameOf(row)} />` },
    { id: "peers", label: "peers", num: true, cell: ({ foreseen, wanted }) => `${count(foreseen.peers)}, ${count(wanted)} came` },
    { id: "link", label: "lines", num: true, narrow: false, cell: ({ foreseen }) => `${(foreseen.link_bytes_per_s * 8 / 1e6).toFixed(0)} Mbit/s${foreseen.sites ? `, ${counted(foreseen.sites, "site")}` : ""}` },
    ...["p50", "p95", "last"].map((name) => ({ id: name, label: name, num: true, narrow: name === "p95" ? undefined : false,
      cell: (row) => `${foretold(row.foreseen[`${name}_s`])}, came ${span(row.completion[`${name}_s`])}` })),
    { id: "factor", label: "p95 took", num: true, value: (row) => tookOf(row), cell: (row) => factor(tookOf(row)) },
  ]} /><//>`;

function Holders({ versions, toFiles }) {
  const some = versions.filter((row) => row.peers > 0);
  const parts = some.slice(0, SERIES.length).map((row, place) => ({ word: `${row.tags[0] ? clean(row.tags[0], 30) : "no tag"} ${short(row.version, 8)}`, value: row.peers, color: SERIES[place], pattern: place > 2 ? "dots" : undefined }));
  return html`<${Figure} title="Who has which version" note="peers, each at the newest that it has, seeds apart" says=${`Who has which version: ${parts.map((part) => `${part.word} ${count(part.value)}`).join(", ") || "no peer has any"}`}
    picture=${parts.length ? html`<${Bar} parts=${parts} label="peers by version" /><${Legend} parts=${parts} />` : html`<p class="empty">No peer is known to have any of it.</p>`}
    table=${{ rows: versions, keyOf: (row) => row.version, empty: "No peer is known to have any of it.", columns: [
      { id: "version", label: "version", isHead: true, cell: (row) => html`<${Id} id=${row.version} digits=${12} to=${toFiles(row.version)} />` },
      { id: "tags", label: "tags", cell: (row) => row.tags.map((tag) => clean(tag, 60)).join(", ") || "none" },
      { id: "newest", label: "newest at", num: true, value: (row) => row.peers, cell: (row) => count(row.peers) },
      { id: "whole", label: "whole at", num: true, value: (row) => row.complete_peers, cell: (row) => count(row.complete_peers) },
      { id: "part", label: "in part at", num: true, value: (row) => row.partial_peers, cell: (row) => count(row.partial_peers) },
      { id: "origins", label: "origins", num: true, narrow: false, value: (row) => row.origins, cell: (row) => count(row.origins) },
    ] }} />`;
}

// From its first byte to its last, how often each stretch was read: the fuller, the hotter.
function Heat({ heat, toFiles }) {
  const rows = heat.flatMap((version) => version.stretches.map((read, at) => ({ version, at, read, length: version.size / version.stretches.length })).filter((row) => row.read));
  return html`<${Figure} title="What is read" note="over HTTP, by mounts and fsspec; of which files is told nowhere but at each peer"
    says=${`What is read: ${heat.map((version) => `${short(version.version, 8)}: ${bytes(version.bytes)} in ${counted(version.reads, "request")}`).join("; ") || "nothing was told yet"}`}
    picture=${heat.length ? html`<ul class="heats">${heat.slice(0, 6).map((version) => html`<li key=${version.version}>
      <p class="small"><${Id} id=${version.version} digits=${8} to=${toFiles(version.version)} /> ${bytes(version.bytes)} in ${counted(version.reads, "request")} at ${counted(version.peers, "peer")}; ${percent(version.stretches.filter(Boolean).length / version.stretches.length, 0)} of it was read at all</p>
      <${Hot} version=${version} /></li>`)}</ul>` : html`<p class="empty">No peer has told of reading it.</p>`}
    table=${{ rows, keyOf: (row) => `${row.version.version} ${row.at}`, most: 64, empty: "No peer has told of reading it.", columns: [
      { id: "version", label: "version", isHead: true, cell: (row) => html`<code>${short(row.version.version, 8)}</code>` },
      { id: "from", label: "from", num: true, value: (row) => row.at, cell: (row) => bytes(row.at * row.length) },
      { id: "read", label: "read", num: true, value: (row) => row.read, cell: (row) => bytes(row.read) },
      { id: "times", label: "times", num: true, value: (row) => row.read / row.length, cell: (row) => (row.read / row.length).toFixed(2) },
    ] }} />`;
}

const Hot = ({ version }) => html`<${Small} deps=${[version]} says="Where version ${short(version.version, 8)} is read, from its first byte to its last" draw=${(context, width, height) => {
  const most = Math.max(1, ...version.stretches), wide = width / version.stretches.length;
  version.stretches.forEach((read, place) => {
    const left = Math.round(place * wide), tall = read ? Math.max(2, Math.round((read / most) * height)) : 0;
    context.fillStyle = color("--sunken");
    context.fillRect(left, 0, Math.round((place + 1) * wide) - left, height);
    context.fillStyle = color("--series-2");
    context.fillRect(left, height - tall, Math.max(1, Math.round((place + 1) * wide) - left - 1), tall);
  });
}} />`;
