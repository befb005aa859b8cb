// What changed between two versions: what a consumer of the older fetches, and where in its files the newer is new.
import { html } from "../../lib/html.js";
import { bytes, clean, count, counted, percent, short } from "../../lib/format.js";
import { Small } from "../../lib/canvas.js";
import { Figure } from "../../lib/chart.js";
import { color } from "../../lib/choices.js";
import { patternOf } from "../../lib/states.js";
import { Bar, Card, Chip, Heading, Id, Legend, Missing, Name, Notice, Tiles } from "../../lib/parts.js";
import { go } from "../../lib/router.js";
import { useAnswer } from "../../lib/store.js";

const DRAWN = 12;
const KINDS = { added: ["good", "plus"], removed: ["bad", "cross"], changed: ["busy", "forward"], renamed: ["calm", "forward"], touched: ["calm", "idle"] };

export function Difference({ dataset, older, newer, api, toFiles, toDiff }) {
  const answer = useAnswer(`${api}/diff?from=${encodeURIComponent(older)}&to=${encodeURIComponent(newer)}`);
  const { data } = answer;
  const version = (id) => html`<${Id} id=${id} digits=${12} to=${toFiles(id)} />`;
  return html`<${Heading} title=${html`Changes of <${Name} text=${dataset} />`} actions=${html`<${Chosen} ...${{ api, older, newer, toDiff }} />`}>
    From ${version(older)} to ${version(newer)}.<//>
  ${!data ? html`<${Card}><${Missing} answer=${answer} what="What changed" /><//>` : html`<${Summary} data=${data} /><${Changes} data=${data} />`}`;
}

// Versions of the history to choose from, the newest first.
function Chosen({ api, older, newer, toDiff }) {
  const { data: history } = useAnswer(`${api}/history?limit=100`);
  const known = new Map((history?.entries ?? []).flatMap((entry) => entry.moves.filter((move) => move.version).map((move) => [move.version, `entry ${entry.serial}, ${clean(move.tag, 30)}`])));
  const choose = (label, chosen, to) => html`<label class="row"><span class="soft">${label}</span><select value=${chosen} onChange=${(event) => go(to(event.target.value))}>
    ${!known.has(chosen) && html`<option value=${chosen}>${short(chosen, 12)}</option>`}
    ${[...known].map(([version, words]) => html`<option key=${version} value=${version}>${short(version, 8)} (${words})</option>`)}</select></label>`;
  return html`${choose("from", older, (id) => toDiff(id, newer))}${choose("to", newer, (id) => toDiff(older, id))}`;
}

function Summary({ data }) {
  const { counts } = data;
  const parts = [
    { word: "to fetch", value: data.fetch_bytes, text: bytes(data.fetch_bytes), color: "--series-2", pattern: "lines" },
    { word: "there already", value: data.bytes - data.fetch_bytes, text: bytes(data.bytes - data.fetch_bytes), color: "--series-1" },
  ];
  return html`${data.same && html`<${Notice} icon="check">${data.old === data.new ? "These are one version." : "Their content is the same: only times or modes differ."}<//>`}
  <${Tiles} items=${[
    { label: "a consumer fetches", value: bytes(data.fetch_bytes), detail: `${data.bytes ? percent(data.fetch_bytes / data.bytes) : "0%"} of it, in ${counted(data.fetch_blocks, "block")}` },
    { label: "of manifest", value: bytes(data.manifest_bytes) },
    { label: "added", value: count(counts.added) }, { label: "changed", value: count(counts.changed), detail: `${count(counts.touched)} touched: times or modes alone` },
    { label: "removed", value: count(counts.removed), detail: `${count(counts.renamed)} renamed` },
  ]} />
  <${Card} title="The newer version" note=${bytes(data.bytes)}><div class="figure"><${Bar} parts=${parts} label="bytes of the newer version" /><${Legend} parts=${parts} /></div><//>`;
}

function Changes({ data }) {
  const drawn = data.changes.filter((change) => change.heat.length).slice(0, DRAWN);
  const where = (change) => `${clean(change.path)}: ${bytes(change.fetch_bytes)} of ${bytes(change.size)} are fetched`;
  return html`<${Figure} title="Where it is new" note=${data.others ? `the ${count(data.changes.length)} paths of which most is fetched; ${count(data.others)} more are told by aetherfs diff` : "by file, from its first byte to its last"}
    says=${`Where it is new: ${drawn.map(where).join("; ") || "nothing is fetched"}`}
    legend=${html`<${Legend} parts=${[{ word: "fetched", color: "--series-2" }, { word: "fetched in part", color: "--series-2", pattern: "lines" }, { word: "there already", color: "--sunken" }]} />`}
    picture=${drawn.length ? html`<ul class="heats">${drawn.map((change) => html`<li key=${change.path}>
      <p class="small"><${Name} text=${change.path} /> <span class="soft">${bytes(change.fetch_bytes)} of ${bytes(change.size)}</span></p><${New} change=${change} says=${where(change)} /></li>`)}</ul>`
      : html`<p class="empty">Nothing of any file is fetched.</p>`}
    table=${{ rows: data.changes, keyOf: (row) => row.path, empty: "No path is different.", columns: [
      { id: "path", label: "path", isHead: true, value: (row) => row.path, cell: (row) => html`<${Name} text=${row.path} />${row.before && html` <span class="soft">was <${Name} text=${row.before} /></span>`}` },
      { id: "what", label: "what", value: (row) => row.what, cell: (row) => html`<${Chip} tone=${KINDS[row.what]?.[0]} icon=${KINDS[row.what]?.[1]}>${clean(row.what)}<//>` },
      { id: "before", label: "was", num: true, narrow: false, value: (row) => row.size_before, cell: (row) => (row.what === "added" ? "" : bytes(row.size_before)) },
      { id: "size", label: "is", num: true, value: (row) => row.size, cell: (row) => (row.what === "removed" ? "" : bytes(row.size)) },
      { id: "fetch", label: "fetched", num: true, value: (row) => row.fetch_bytes, cell: (row) => bytes(row.fetch_bytes) },
    ] }} />`;
}

const New = ({ change, says }) => html`<${Small} deps=${[change]} says=${says} draw=${(context, width, height) => {
  const wide = width / change.heat.length, full = color("--series-2"), part = patternOf(context, full, "lines", color("--surface"));
  change.heat.forEach((share, place) => {
    const left = Math.round(place * wide);
    context.fillStyle = share > 0.99 ? full : share > 0 ? part : color("--sunken");
    context.fillRect(left, 0, Math.round((place + 1) * wide) - left, height);
  });
}} />`;
