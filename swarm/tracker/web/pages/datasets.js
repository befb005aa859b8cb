// Datasets: what one may read; of one its tags, its log, its files and README; who follows it is on its rollouts' pages.
import { html } from "../lib/html.js";
import { ago, bytes, clean, count, counted, moment, short } from "../lib/format.js";
import { Icon } from "../lib/icons.js";
import { Card, Chip, Heading, Id, Missing, Name, Notice, PeerLink, Tabs, TagLink, Tiles } from "../lib/parts.js";
import { href } from "../lib/router.js";
import { call, useAnswer, useNow, usePages } from "../lib/store.js";
import { Table } from "../lib/table.js";
import { Difference } from "./datasets/difference.js";
import { Performance } from "./datasets/performance.js";
import { Readme } from "./datasets/readme.js";

const API = "/api/v1/datasets";
const apiOf = (dataset) => `${API}/${dataset.split("/").map(encodeURIComponent).join("/")}`;
const toDataset = (dataset, query) => href(["datasets", ...dataset.split("/")], query);
const toFiles = (dataset, version, path = "") => href(["datasets", ...dataset.split("/"), "files", version,
  ...path.split("/").filter(Boolean)]);
const toDiff = (dataset, older, newer) => href(["datasets", ...dataset.split("/"), "diff", older, newer]);
const KINDS = { publish: ["good", "plus", "published"], tag: ["busy", "forward", "tagged"],
  rollback: ["back", "back", "rolled back"], rm: ["bad", "cross", "removed"], plan: ["calm", "rollout", "planned"] };
const STAGED = { paused: ["warn", "pause"], aborted: ["bad", "stop"], "rolled back": ["back", "back"], done: ["good", "check"] };

// What an entry did, and who did it or asked a tracker for it.
function kindOf(entry) {
  const [rollout] = entry.rollouts ?? [];
  if (entry.kind !== "rollout" || !rollout) return KINDS[entry.kind] ?? ["calm", "idle", clean(entry.kind)];
  const word = rollout.state === "running" ? `stage ${rollout.stage + 1} of ${rollout.stages}` : rollout.state === "done" ? "to everybody" : clean(rollout.state);
  return [...(STAGED[rollout.state] ?? ["busy", "play"]), word];
}
const Maker = ({ entry }) => (!entry.author ? html`<${PeerLink} id=${entry.publisher} />`
  : entry.author.startsWith("peer:") ? html`<${PeerLink} id=${entry.author.slice(5)} />` : html`<${Name} text=${entry.author} />`);

export default {
  id: "datasets",
  title: "Datasets",
  group: "Data",
  key: "d",
  icon: "dataset",
  view: Datasets,
  crumbs: (params) => {
    const [scope, name, part, version, ...path] = params;
    if (!name) return [];
    const dataset = `${scope}/${name}`;
    const steps = [{ text: dataset, to: toDataset(dataset) }];
    if (part === "files" && version) {
      steps.push({ text: short(version, 12), to: toFiles(dataset, version) });
      path.forEach((step, at) => steps.push({ text: step, to: toFiles(dataset, version, path.slice(0, at + 1).join("/")) }));
    }
    if (part === "diff" && version && path[0]) steps.push({ text: `${short(version, 8)} to ${short(path[0], 8)}`, to: toDiff(dataset, version, path[0]) });
    return steps;
  },
  search: async (text) => {
    const { datasets } = await call("GET", `${API}?limit=500`);
    const [dataset, tag = ""] = text.split(":");
    const hits = datasets.filter((name) => name.includes(dataset)).slice(0, 12);
    const found = hits.map((name) => ({ title: name, detail: "dataset", icon: "dataset", href: toDataset(name) }));
    const tags = await Promise.all(hits.slice(0, 4).map((name) => call("GET", apiOf(name))));
    return [...found, ...tags.flatMap((one) => one.tags.filter((each) => each.tag.includes(tag)).slice(0, 8)
      .map((each) => ({ title: `${one.dataset}:${each.tag}`, detail: "rollout", icon: "rollout",
        href: href(["rollout", ...one.dataset.split("/"), each.tag]) })))];
  },
};

function Datasets({ params, query }) {
  const [scope, name, part, version, ...path] = params;
  if (!scope || !name) return html`<${All} />`;
  const dataset = `${scope}/${name}`;
  if (part === "files" && version) return html`<${Files} key=${`${dataset}@${version}`} dataset=${dataset} version=${version} path=${path.join("/")} />`;
  if (part === "diff" && version && path[0]) {
    return html`<${Difference} key=${`${version} ${path[0]}`} dataset=${dataset} older=${version} newer=${path[0]} api=${apiOf(dataset)}
      toFiles=${(id) => toFiles(dataset, id)} toDiff=${(older, newer) => toDiff(dataset, older, newer)} />`;
  }
  return html`<${One} dataset=${dataset} tab=${query.get("tab") ?? "tags"} />`;
}

function All() {
  const list = usePages((cursor) => `${API}?limit=100${cursor ? `&cursor=${encodeURIComponent(cursor)}` : ""}`,
    (answer) => answer.datasets, (answer) => answer.next);
  return html`<${Heading} title="Datasets">What the policy lets you read.<//>
  ${list.answer?.stale && html`<${Notice} tone="warn">The object store is away: these are the datasets that this tracker knows of.<//>`}
  <${Card} title="All datasets" note=${list.rows.length ? counted(list.rows.length, "dataset") + (list.more ? " so far" : "") : ""} flush>
    ${list.error ? html`<${Missing} answer=${list} />` : html`<${Table} label="Datasets" keyOf=${(row) => row}
      rows=${list.rows} more=${list.more} isLoading=${list.isLoading}
      empty=${html`There is no dataset that you may read yet. Publish one with <code>aetherfs publish DIRECTORY NAME:TAG</code>.`}
      columns=${[
        { id: "dataset", label: "dataset", isHead: true, cell: (row) => html`<a href=${toDataset(row)}><${Name} text=${row} /></a>` },
        { id: "tags", label: "tags", cell: (row) => html`<${TagsOf} dataset=${row} />` },
        { id: "serial", label: "last entry", num: true, narrow: false, cell: (row) => html`<${SerialOf} dataset=${row} />` },
      ]} />`}<//>`;
}

const TAGS_SHOWN = 6;
function TagsOf({ dataset }) {
  const { data } = useAnswer(apiOf(dataset));
  if (!data) return html`<span class="soft">…</span>`;
  if (!data.tags.length) return html`<span class="soft">none</span>`;
  return html`<span class="row">${data.tags.slice(0, TAGS_SHOWN).map((one) => html`<span key=${one.tag} class="label">${clean(one.tag, 60)}</span>`)}
    ${data.tags.length > TAGS_SHOWN && html`<span class="soft small">and ${count(data.tags.length - TAGS_SHOWN)} more</span>`}</span>`;
}
const SerialOf = ({ dataset }) => count(useAnswer(apiOf(dataset)).data?.serial);

function One({ dataset, tab }) {
  const answer = useAnswer(apiOf(dataset), 10);
  const history = useAnswer(`${apiOf(dataset)}/history?limit=50`, 10);
  const now = useNow(10);
  const tags = answer.data?.tags ?? [];
  const last = history.data?.entries[0];
  const published = history.data?.entries.find((entry) => entry.kind === "publish");
  const totals = new Map((history.data?.entries ?? []).filter((entry) => entry.bytes !== null)
    .map((entry) => [entry.moves[0].version, entry]));
  return html`<${Heading} title=${html`<${Name} text=${dataset} />`}
      actions=${tags[0] && html`<a class="button" href=${toFiles(dataset, newest(tags).version)}><${Icon} name="folder" />Browse files</a>`}>
    ${last && html`Last moved ${ago(last.time, now)}: ${kindOf(last)[2]} by <${Maker} entry=${last} />.`}<//>
  ${!answer.data ? html`<${Card}><${Missing} answer=${answer} what="This dataset" /><//>` : html`
  <${Tiles} items=${[
    { label: "tags", value: count(tags.length) },
    { label: "log entries", value: count(answer.data.serial) },
    published && { label: "latest published", value: bytes(published.bytes), detail: counted(published.files, "file") },
    published && { label: "published", value: ago(published.time, now), detail: moment(published.time) },
  ]} />
  <${Tabs} label="Parts of the dataset" items=${[
    { title: "Tags", to: toDataset(dataset), isHere: tab === "tags" },
    { title: "History", to: toDataset(dataset, { tab: "history" }), isHere: tab === "history" },
    { title: "Performance", to: toDataset(dataset, { tab: "performance" }), isHere: tab === "performance" },
    { title: "Files", to: toFiles(dataset, tags.length ? newest(tags).version : "none"), isHere: false },
  ]} />
  ${tab === "performance" ? html`<${Performance} dataset=${dataset} now=${now} toFiles=${(id) => toFiles(dataset, id)} toDiff=${(older, newer) => toDiff(dataset, older, newer)} />`
    : tab === "history" ? html`<${History} dataset=${dataset} now=${now} />` : html`<${Card} title="Tags" flush>
    <${Table} label="Tags of ${dataset}" rows=${tags} keyOf=${(row) => row.tag} by="-serial" empty="No tag points to a version any more; the history tells of earlier ones."
      columns=${[
        { id: "tag", label: "tag", value: (row) => row.tag, isHead: true, cell: (row) => html`<${TagLink} dataset=${dataset} tag=${row.tag} />` },
        { id: "version", label: "version", cell: (row) => html`<${Id} id=${row.version} digits=${12} to=${toFiles(dataset, row.version)} />` },
        { id: "serial", label: "entry", value: (row) => row.serial, num: true, narrow: false },
        { id: "files", label: "files", value: (row) => totals.get(row.version)?.files ?? null, num: true, narrow: false, cell: (row) => count(totals.get(row.version)?.files) },
        { id: "bytes", label: "size", value: (row) => totals.get(row.version)?.bytes ?? null, num: true, cell: (row) => bytes(totals.get(row.version)?.bytes) },
      ]} /><//>`}`}`;
}

const newest = (tags) => tags.reduce((best, tag) => (tag.serial > best.serial ? tag : best));

function History({ dataset, now }) {
  const list = usePages((before) => `${apiOf(dataset)}/history?limit=100${before ? `&before=${before}` : ""}`,
    (answer) => answer.entries, (answer) => answer.next || "");
  return html`<${Card} title="History" note="newest first; each entry is signed by who made it and by a tracker" flush>
    ${list.error ? html`<${Missing} answer=${list} what="The history" />` : html`<${Table} label="History of ${dataset}" rows=${list.rows}
      keyOf=${(row) => row.serial} more=${list.more} isLoading=${list.isLoading} columns=${[
        { id: "serial", label: "entry", num: true, isHead: true, cell: (row) => count(row.serial) },
        { id: "kind", label: "what", cell: (row) => { const [tone, icon, word] = kindOf(row);
          return html`<${Chip} tone=${tone} icon=${icon}>${word}<//>`; } },
        { id: "moves", label: "tags", cell: (row) => html`<span class="row">${row.moves.slice(0, 8).map((move) => html`<span key=${move.tag} class="nowrap">
          <span class="label">${clean(move.tag, 60)}</span> ${move.version ? html`<span class="hide-narrow"><${Id} id=${move.version} digits=${8} to=${toFiles(dataset, move.version)} /></span>` : html`<span class="soft">gone</span>`}</span>`)}
          ${(row.planned ?? []).map((tag) => html`<span key=${tag} class="label">${clean(tag, 60)}</span>`)}
          ${row.moves.length > 8 && html`<span class="soft small">and ${row.moves.length - 8} more</span>`}</span>` },
        { id: "message", label: "message", cell: (row) => html`<${Name} text=${row.reason || row.message} />` },
        { id: "changes", label: "changes", narrow: false, cell: (row) => { const [older, newer] = stepOf(list.rows, row);
          return older && html`<a href=${toDiff(dataset, older, newer)}>changes<span class="unseen"> of entry ${count(row.serial)}</span></a>`; } },
        { id: "bytes", label: "size", num: true, narrow: false, cell: (row) => (row.bytes === null ? "" : bytes(row.bytes)) },
        { id: "by", label: "by", narrow: false, cell: (row) => html`<${Maker} entry=${row} />` },
        { id: "time", label: "when", num: true, narrow: false, cell: (row) => html`<time title=${moment(row.time)}>${ago(row.time, now)}</time>` },
      ]} />`}<//>`;
}

// From what to what an entry moved a tag: the first of its tags of which both are known here and differ.
function stepOf(entries, entry) {
  const earlier = entries.filter((one) => one.serial < entry.serial);
  const steps = entry.moves.map(({ tag, version }) => [earlier.map((one) => one.moves.find((other) => other.tag === tag)).find(Boolean)?.version, version]);
  return steps.find(([older, newer]) => older && newer && older !== newer) ?? [];
}

function Files({ dataset, version, path }) {
  const query = (after) => `?limit=200&path=${encodeURIComponent(path)}${after ? `&after=${encodeURIComponent(after)}` : ""}`;
  const list = usePages((after) => `${apiOf(dataset)}/files/${encodeURIComponent(version)}${query(after)}`, (answer) => answer.items, (answer) => answer.next);
  const { answer } = list;
  const up = path.split("/").slice(0, -1).join("/");
  const readme = answer?.readme_name ? answer : null;
  const rows = path ? [{ name: "..", kind: "up" }, ...list.rows] : list.rows;
  return html`<${Heading} title=${html`<${Name} text=${path ? path.split("/").at(-1) : dataset} />`}>
    ${path ? html`In <${Name} text=${dataset} />, version <code>${short(version, 12)}</code>` : html`Version <code title=${clean(version)}>${short(version, 12)}</code>`}
    ${answer && `: ${counted(answer.files, "file")}, ${bytes(answer.bytes)} in all`}.<//>
  <${Card} title="Files" note=${path ? html`<${Name} text=${`/${path}`} />` : ""} flush>
    ${list.error && !list.rows.length ? html`<${Missing} answer=${list} what="The file browser" />` : html`<${Table} label="Files" rows=${rows} keyOf=${(row) => row.name}
      more=${list.more} isLoading=${list.isLoading} empty="This version is empty." columns=${[
        { id: "name", label: "name", isHead: true, cell: (row) => html`<${Entry} row=${row} to=${(name) => toFiles(dataset, version, path ? `${path}/${name}` : name)}
          up=${toFiles(dataset, version, up)} />` },
        { id: "size", label: "size", num: true, value: (row) => (row.kind === "file" ? row.size : null), cell: (row) => (row.kind === "file" ? bytes(row.size) : "") },
        { id: "mode", label: "mode", narrow: false, cell: (row) => html`<code>${row.mode ?? ""}</code>` },
        { id: "mtime", label: "modified", num: true, narrow: false, value: (row) => row.mtime ?? null, cell: (row) => (row.mtime ? moment(row.mtime) : "") },
      ]} />`}<//>
  ${readme && html`<${Card} title=${html`<${Name} text=${readme.readme_name} />`}><${Readme} nodes=${readme.readme} /><//>`}`;
}

function Entry({ row, to, up }) {
  if (row.kind === "up") return html`<a class="row nowrap" href=${up} aria-label="The directory above"><${Icon} name="up" />..</a>`;
  const icon = row.kind === "directory" ? "folder" : row.kind === "link" ? "link" : "file";
  const name = html`<${Name} text=${row.name} />`;
  return html`<span class="entry"><${Icon} name=${icon} />${row.kind === "directory" ? html`<a href=${to(row.name)}>${name}</a>` : name}
    ${row.target && html`<span class="soft"> → <${Name} text=${row.target} /></span>`}</span>`;
}
