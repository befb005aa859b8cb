// Blocks: how many copies there are of everything, where they are few, and whether a version would survive losing the origin.
import { html } from "../lib/html.js";
import { bytes, clean, count, counted, percent, short } from "../lib/format.js";
import { pathOf, useFigure } from "../lib/live.js";
import { Figure } from "../lib/chart.js";
import { Card, Chip, Heading, Id, Legend, Missing, Name, Notice, PeerLink, Tiles, Verdict } from "../lib/parts.js";
import { go, href } from "../lib/router.js";
import { useAnswer, usePages } from "../lib/store.js";
import { Table } from "../lib/table.js";
import { Held, Availability, STEPS, Strip, stepOf } from "./blocks/strips.js";

export default {
  id: "blocks", title: "Blocks", group: "Data", key: "b", icon: "blocks", view: Blocks,
  crumbs: ([scope, name, version]) => (name ? [{ text: `${scope}/${name}`, to: href(["blocks", scope, name]) },
    ...(version ? [{ text: short(version, 12), to: href(["blocks", scope, name, version]) }] : [])] : []),
};

const SURVIVES = { yes: ["good", "check", "yes"], no: ["bad", "alert", "no"], unknown: ["calm", "idle", "not known"] };
const toBlocks = (dataset, version) => href(["blocks", ...dataset.split("/"), ...(version ? [version] : [])]);

function Blocks({ params }) {
  const [scope, name, version] = params;
  return name ? html`<${One} key=${params.join("/")} dataset=${`${scope}/${name}`} version=${version} />` : html`<${All} />`;
}

function All() {
  const list = usePages((cursor) => `/api/v1/datasets?limit=25${cursor ? `&cursor=${encodeURIComponent(cursor)}` : ""}`,
    (answer) => answer.datasets, (answer) => answer.next);
  return html`<${Heading} title="Blocks">How many peers hold each block of what is used now, from the first block to the last. The origin is not counted.<//>
  <${Card} title="Datasets" flush>
    ${list.error && !list.rows.length ? html`<${Missing} answer=${list} what="The list of datasets" />` : html`<${Table} label="Availability of datasets" rows=${list.rows} keyOf=${(row) => row}
      more=${list.more} isLoading=${list.isLoading} empty="There is no dataset that you may read yet." columns=${[
        { id: "dataset", label: "dataset", isHead: true, cell: (row) => html`<a href=${toBlocks(row)}><${Name} text=${row} /></a>` },
        { id: "strip", label: "copies, first to last block", cell: (row) => html`<${StripOf} dataset=${row} />` },
        { id: "fewest", label: "fewest", num: true, narrow: false, cell: (row) => html`<${Of} dataset=${row} take=${(data) => count(data.fewest)} />` },
        { id: "mean", label: "mean", num: true, narrow: false, cell: (row) => html`<${Of} dataset=${row} take=${(data) => data.mean.toFixed(1)} />` },
        { id: "survives", label: "without the origin", cell: (row) => html`<${Of} dataset=${row} take=${(data) => html`<${Survives} answer=${data.survival.answer} />`} />` },
      ]} />`}<//>
  <${Legend} parts=${STEPS} />`;
}

const useBlocks = (dataset) => useAnswer(pathOf(`blocks:${dataset}`), 15);
const Of = ({ dataset, take }) => {
  const { data } = useBlocks(dataset);
  return data ? take(data) : html`<span class="soft">–</span>`;
};

function StripOf({ dataset }) {
  const { data, error, isLoading } = useBlocks(dataset);
  if (isLoading) return html`<span class="soft">…</span>`;
  if (!data) return html`<span class="soft small">${error?.isMissing ? "not available from this tracker" : clean(error?.message ?? "", 160)}</span>`;
  return html`<${Strip} ranges=${data.ranges} says="${counted(data.blocks, "block")}, at least ${counted(data.fewest, "copy", "copies")} of each" />`;
}

function Survives({ answer }) {
  const [tone, icon, word] = SURVIVES[answer] ?? SURVIVES.unknown;
  return html`<${Chip} tone=${tone} icon=${icon}>${word}<//>`;
}

function One({ dataset, version }) {
  const living = useFigure(version ? null : `blocks:${dataset}`);
  const chosen = useAnswer(version ? `${pathOf(`blocks:${dataset}`)}?version=${encodeURIComponent(version)}` : null, 5);
  const answer = version ? chosen : living;
  const { data } = answer;
  return html`<${Heading} title=${html`<${Name} text=${dataset} />`} actions=${html`<${Versions} dataset=${dataset} version=${version} />`}>
    ${data && html`Version <${Id} id=${data.version} digits=${12} to=${href(["datasets", ...dataset.split("/"), "files", data.version])} />
      ${data.tags.map((tag) => html` <span key=${tag} class="label">${clean(tag, 60)}</span>`)}: ${counted(data.blocks, "block")}, ${bytes(data.bytes)}.`}<//>
  ${!data ? html`<${Card}><${Missing} answer=${answer} what="The availability of blocks" /><//>` : html`<${Picture} data=${data} dataset=${dataset} />`}`;
}

function Versions({ dataset, version }) {
  const { data } = useAnswer(`/api/v1/datasets/${dataset.split("/").map(encodeURIComponent).join("/")}`, 30);
  if (!data?.tags?.length) return null;
  return html`<label class="row"><span class="soft">Version</span><select value=${version ?? ""} onChange=${(event) => go(toBlocks(dataset, event.target.value))}>
    <option value="">what moved last</option>
    ${data.tags.map((one) => html`<option key=${one.tag} value=${one.version}>${clean(one.tag, 40)} (${short(one.version, 8)})</option>`)}
    ${version && !data.tags.some((one) => one.version === version) && html`<option value=${version}>${short(version, 12)}</option>`}</select></label>`;
}

function Picture({ data, dataset }) {
  const { survival } = data;
  const [tone, icon] = SURVIVES[survival.answer] ?? SURVIVES.unknown;
  return html`<${Verdict} tone=${tone} icon=${icon}><span class="asked">Would it survive losing the origin?</span> ${clean(survival.words, 400)}<//>
  ${!data.exact && html`<${Notice}>Some peers have told how much they hold, and not what: counts of single blocks are lower bounds.<//>`}
  <${Tiles} items=${[
    { label: "fewest copies", value: count(data.fewest), tone: data.fewest < 1 ? "bad" : data.fewest < 2 ? "warn" : "", detail: "of any block, at peers" },
    { label: "mean copies", value: data.mean.toFixed(1) },
    { label: "hold all of it", value: count(data.complete_peers), detail: `and ${counted(data.partial_peers, "peer")} a part` },
    { label: "origins", value: count(data.origins), tone: data.origins ? "" : "warn", detail: "seeds and the producer" },
    { label: "lost without the origin", value: count(survival.lost_blocks), tone: survival.lost_blocks ? "bad" : "", detail: survival.lost_blocks ? bytes(survival.lost_bytes) : "nothing" },
  ]} />
  <${Copies} data=${data} />
  ${survival.lost.length > 0 && html`<${Lost} data=${data} />`}
  <${Files} data=${data} dataset=${dataset} />
  <${Peers} data=${data} />`;
}

function Copies({ data }) {
  const columns = [
    { id: "first", label: "blocks", isHead: true, value: (row) => row[0], cell: ([first, length]) => `${count(first)} to ${count(first + length - 1)}` },
    { id: "fewest", label: "fewest", num: true, value: (row) => row[2], cell: (row) => count(row[2]) },
    { id: "mean", label: "mean", num: true, value: (row) => row[3], cell: (row) => row[3].toFixed(1) },
    { id: "origin", label: "in the origin", num: true, value: (row) => row[4], cell: (row) => count(row[4]) },
  ];
  const says = `${counted(data.blocks, "block")} in ${counted(data.ranges.length, "range")}: at least ${counted(data.fewest, "copy", "copies")} of each, ${data.mean.toFixed(1)} on average`;
  return html`<${Figure} title="Copies of each block" note="at peers" says=${says}
    legend=${html`<${Legend} parts=${[...STEPS, { word: "in the origin", color: "--origin" }]} />`}
    picture=${html`<${Availability} ranges=${data.ranges} blocks=${data.blocks} says=${says} />`} table=${{ columns, rows: data.ranges, keyOf: (row) => row[0], most: 40 }} />`;
}

function Lost({ data }) {
  const { lost, lost_blocks: blocks } = data.survival;
  const told = lost.reduce((sum, [, length]) => sum + length, 0);
  const filesOf = (first, length) => data.files.filter((file) => file.first < first + length && file.first + file.count > first);
  return html`<${Card} title="What would be lost" note=${counted(blocks, "block")} flush><${Table} label="Runs of blocks that would be lost" rows=${lost} keyOf=${(row) => row[0]} most=${10}
    foot=${told < blocks ? `${counted(blocks - told, "block")} more` : ""} columns=${[
      { id: "first", label: "blocks", isHead: true, value: (row) => row[0], cell: ([first, length]) => (length > 1 ? `${count(first)} to ${count(first + length - 1)}` : count(first)) },
      { id: "count", label: "how many", num: true, value: (row) => row[1], cell: (row) => count(row[1]) },
      { id: "files", label: "of files", cell: ([first, length]) => html`<${Within} files=${filesOf(first, length)} />` },
    ]} /><//>`;
}

const WITHIN = 3;
const Within = ({ files }) => (files.length ? html`${files.slice(0, WITHIN).map((file) => html`<div key=${file.path}><${Name} text=${file.path} most=${120} /></div>`)}
  ${files.length > WITHIN && html`<span class="soft small">and ${count(files.length - WITHIN)} more</span>`}` : html`<span class="soft">none of the rarest files</span>`);

const Copied = ({ copies }) => {
  const step = stepOf(copies);
  return html`<span class="row nowrap end"><span class="swatch p-${step.pattern ?? "solid"}" style=${{ "--fill": `var(${step.color})` }}></span>${count(copies)}</span>`;
};

function Files({ data }) {
  return html`<${Card} title="Files" note=${data.files.length >= 200 ? "the 200 rarest" : "the rarest first"} flush><${Table} label="Files by copies" rows=${data.files} keyOf=${(row) => row.path} most=${15}
    empty=${data.why_no_files ? `Not told file by file: ${clean(data.why_no_files, 400)}.` : "This version has no files with blocks."} columns=${[
      { id: "path", label: "file", isHead: true, value: (row) => row.path, cell: (row) => html`<${Name} text=${row.path} />` },
      { id: "strip", label: "copies", cell: (row) => html`<${Strip} ranges=${data.ranges} first=${row.first} length=${row.count} says="copies of its ${counted(row.count, "block")}: at least ${count(row.fewest)}" />` },
      { id: "fewest", label: "fewest", num: true, value: (row) => row.fewest, cell: (row) => html`<${Copied} copies=${row.fewest} />` },
      { id: "mean", label: "mean", num: true, narrow: false, value: (row) => row.mean, cell: (row) => row.mean.toFixed(1) },
      { id: "size", label: "size", num: true, narrow: false, value: (row) => row.size, cell: (row) => bytes(row.size) },
    ]} /><//>`;
}

function Peers({ data }) {
  return html`<${Card} title="Peers" note=${data.peers.length >= 100 ? "the 100 least complete" : "the least complete first"} flush><${Table} label="Peers by what they hold" rows=${data.peers} keyOf=${(row) => row.peer} most=${20}
    empty="No peer holds any of it." columns=${[
      { id: "peer", label: "peer", isHead: true, cell: (row) => html`<${PeerLink} id=${row.peer} /> ${row.is_origin && html`<${Chip} icon="origin">origin<//>`}` },
      { id: "strip", label: "holds, first to last block", cell: (row) => html`<${Held} strip=${row.strip} says="${count(row.held)} of ${count(data.blocks)} blocks" />` },
      { id: "held", label: "held", num: true, value: (row) => row.held, cell: (row) => html`<span title="${count(row.held)} of ${count(data.blocks)} blocks">${percent(row.held / Math.max(1, data.blocks))}</span>` },
      { id: "site", label: "site", narrow: false, value: (row) => row.site, cell: (row) => html`<${Name} text=${row.site || "no site"} one />` },
      { id: "role", label: "role", narrow: false, value: (row) => row.role, cell: (row) => clean(row.role, 20) },
    ]} /><//>`;
}
