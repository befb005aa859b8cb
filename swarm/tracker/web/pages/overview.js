// Overview: within five seconds, whether the rollouts are well, how far they are, who is behind, whether the origin is spared.
import { html, useEffect, useMemo } from "../lib/html.js";
import { ago, bytes, clean, count, counted, moment, rate, span } from "../lib/format.js";
import { Happenings, useEvents } from "../lib/happenings.js";
import { pathOf, useFigure } from "../lib/live.js";
import { Chart, Spark } from "../lib/chart.js";
import { Bar, Card, Heading, Id, Missing, Name, PeerLink, Said, StateBar, Tiles, TagLink, Trend, Verdict, originShare } from "../lib/parts.js";
import { href, rangeOf } from "../lib/router.js";
import { announce } from "../lib/say.js";
import { ofWhole, useSeries } from "../lib/series.js";
import { CAUSE } from "../lib/states.js";
import { useAnswer, useNow } from "../lib/store.js";
import { Table } from "../lib/table.js";
import { AlertList, firingOf } from "./alerts/list.js";

export default { id: "overview", title: "Overview", group: "Rollouts", key: "o", icon: "overview", hasRange: true, view: Overview };

const CARDS = 8;
const WORST = ["failed", "stalled", "slow", "paused", "running", "aborted", "rolled back", "idle", "well"];

function Overview({ query }) {
  const overview = useFigure("overview");
  const now = useNow(1);
  const { data } = overview;
  useEffect(() => { if (data) announce(clean(data.verdict)); }, [data?.verdict]);
  const all = data?.tags ?? [];
  const tags = all.filter((tag) => tag.wanted).sort((a, b) => WORST.indexOf(a.trend) - WORST.indexOf(b.trend) || b.since - a.since);
  return html`<${Heading} title="Overview" />
  ${!data ? html`<${Card}><${Missing} answer=${overview} what="The picture of the swarm" /><//>` : html`
    <${Verdict} trend=${data.trend}><${Said} text=${data.verdict} /><//>
    <${Swarm} totals=${data.totals} />`}
  <div class="split"><div class="stack">
    ${data && (tags.length ? tags.slice(0, CARDS).map((tag) => html`<${Followed} key=${`${tag.dataset}:${tag.tag}`} tag=${tag} now=${now} />`) : html`<${Nothing} />`)}
    ${tags.length > 0 && all.length > tags.length && html`<p class="soft small">${counted(all.length - tags.length, "more tag is", "more tags are")} followed by nobody.</p>`}
    ${tags.length > CARDS && html`<${Others} tags=${tags.slice(CARDS)} />`}
    <${Traffic} range=${rangeOf(query)} />
  </div><div class="stack"><${Alerts} now=${now} /><${Recent} now=${now} /></div></div>`;
}

function Swarm({ totals }) {
  const share = totals.rate_bytes_per_s > 0 ? { share_origin: totals.origin_rate_bytes_per_s / totals.rate_bytes_per_s } : null;
  return html`<${Tiles} items=${[
    { label: "peers", value: count(totals.peers), detail: `${counted(totals.sites, "site")}, ${counted(totals.seeds, "seed")}, ${counted(totals.trackers, "tracker")}` },
    { label: "fetching now", value: count(totals.fetching) },
    { label: "traffic", value: rate(totals.rate_bytes_per_s), detail: `${bytes(totals.taken_bytes)} so far` },
    { label: "from the origin now", value: originShare(share), detail: rate(totals.origin_rate_bytes_per_s) },
    { label: "bad blocks", value: count(totals.bad_blocks), tone: totals.bad_blocks ? "bad" : "", detail: "refused by their hash" },
  ]} />`;
}

function Followed({ tag, now }) {
  const rollout = useAnswer(pathOf(`rollout:${tag.dataset}:${tag.tag}`), 10);
  const { points = [], stragglers = [] } = rollout.data?.serial === tag.serial ? rollout.data : {};
  const there = tag.back ? "back" : "current";
  return html`<article class="card followed" aria-label="${clean(tag.dataset)}:${clean(tag.tag)}">
    <div class="main">
      <div class="row"><${Trend} trend=${tag.trend} /><h2><${TagLink} dataset=${tag.dataset} tag=${tag.tag} /></h2>
        <span class="soft small nowrap">entry ${count(tag.serial)}, <${Id} id=${tag.version} digits=${8} />, ${ago(tag.since, now)}</span></div>
      <p class="sentence"><${Said} text=${tag.verdict} /></p>
      <${StateBar} counts=${tag.counts} />
      ${tag.behind > 0 && stragglers.length > 0 && html`<${Behind} straggler=${stragglers[0]} others=${tag.behind - 1} />`}
    </div>
    <div class="aside">
      ${points.length > 1 && html`<${Spark} values=${points.map((point) => point[5])} top=${tag.wanted} color="--state-current"
        says="peers that are ${there}, over time: ${tag.current} of ${tag.wanted}" />`}
      <dl class="pairs"><div><dt>${there}</dt><dd>${count(tag.current)} of ${count(tag.wanted)}</dd></div>
        <div><dt>left</dt><dd>${leftOf(tag)}</dd></div>
        <div><dt>origin</dt><dd>${originShare(tag.sources)}</dd></div></dl>
      <${Bar} thin label="bytes by source" parts=${[{ word: "from peers", value: tag.sources.peers, text: bytes(tag.sources.peers), color: "--peers" },
        { word: "from the origin", value: tag.sources.origin, text: bytes(tag.sources.origin), color: "--origin", pattern: "cross" }]} />
    </div></article>`;
}

// Whoever waits, for a stage or for its turn, has no time that could be told.
function leftOf(tag) {
  if (tag.eta_s !== null) return span(tag.eta_s);
  if (!tag.behind) return "–";
  return tag.counts.waiting === tag.behind ? "waits" : "not known";
}

// Who is furthest behind, and why.
const Behind = ({ straggler, others }) => html`<p class="small"><${PeerLink} id=${straggler.peer} />${straggler.site && html` at <${Name} text=${straggler.site} />`}:
  ${" "}${straggler.state}, <${Name} text=${straggler.reason || CAUSE[straggler.cause] || "why is not known"} />${others > 0 && html`<span class="soft">; and ${counted(others, "more is", "more are")} behind</span>`}</p>`;

const Nothing = () => html`<${Card} title="Followed tags"><p class="empty">No peer follows a tag yet. Let one follow with
  <code>aetherfs subscribe NAME:TAG DIRECTORY</code>, and move the tag with <code>aetherfs publish</code>.</p><//>`;

const Others = ({ tags }) => html`<${Card} title="Other followed tags" note=${counted(tags.length, "tag")} flush><${Table} label="Other followed tags" rows=${tags}
  keyOf=${(row) => `${row.dataset}:${row.tag}`} columns=${[
    { id: "tag", label: "tag", isHead: true, value: (row) => `${row.dataset}:${row.tag}`, cell: (row) => html`<${TagLink} ...${row} />` },
    { id: "trend", label: "state", value: (row) => WORST.indexOf(row.trend), cell: (row) => html`<${Trend} trend=${row.trend} />` },
    { id: "current", label: "current", num: true, value: (row) => row.current / Math.max(1, row.wanted), cell: (row) => `${count(row.current)} of ${count(row.wanted)}` },
    { id: "eta", label: "left", num: true, value: (row) => row.eta_s, cell: (row) => span(row.eta_s) },
    { id: "origin", label: "origin", num: true, narrow: false, value: (row) => row.sources.share_origin, cell: (row) => originShare(row.sources) },
  ]} /><//>`;

function Traffic({ range }) {
  const all = useSeries("rate_bytes_per_s", range), origin = useSeries("origin_rate_bytes_per_s", range);
  const [x, rates, origins] = useMemo(() => ofWhole(all.points, origin.points), [all.points, origin.points]);
  if (all.error && !all.points.length) return null;
  return html`<${Chart} title="Traffic" note="of blocks, last ${range}" x=${x} format=${rate} height=${170} series=${[
    { word: "all consumers take", values: rates, color: "--series-1", fill: true },
    { word: "of it from the origin", values: origins, color: "--series-2", dash: true },
  ]} />`;
}

function Alerts({ now }) {
  const answer = useAnswer("/api/v1/alerts", 15);
  const firing = firingOf(answer.data);
  return html`<${Card} title="Alerts" note=${answer.data ? (firing.length ? counted(firing.length, "alert") : "none") : ""}
      actions=${html`<a class="small" href=${href(["alerts"])}>All alerts</a>`}>
    ${!answer.data ? html`<${Missing} answer=${answer} what="Alerts" />` : firing.length ? html`<${AlertList} alerts=${firing.slice(0, 5)} now=${now} />`
      : html`<p class="soft">Nothing is wrong that a rule looks for.</p>`}<//>`;
}

const LATELY = 12;

function Recent({ now }) {
  const found = useEvents();
  const oldest = found.events[LATELY - 1]?.at ?? 0; // of those that are shown
  return html`<${Card} title="Lately">${found.events.length ? html`<${Happenings} events=${found.events} now=${now} most=${LATELY} />
      ${found.since > oldest && html`<p class="soft small">Nothing is missing since <time title=${moment(found.since)}>${ago(found.since, now)}</time>; of what was before, this is what was kept.</p>`}`
    : html`<${Missing} answer=${found} what="What happened lately" />`}
    ${!found.events.length && !found.error && !found.isLoading && html`<p class="soft">Nothing has happened yet.</p>`}<//>`;
}
