// Rollout: one move of a tag as it goes through the swarm; without a tag in the address, all moves of the last days.
import { html, useEffect, useMemo, useState } from "../lib/html.js";
import { ago, bytes, clean, count, counted, moment, percent, rate, span } from "../lib/format.js";
import { pathOf, useFigure } from "../lib/live.js";
import { Chart } from "../lib/chart.js";
import { Ago, Bar, Card, Heading, Id, Missing, Name, Notice, PeerLink, Said, SourceBar, StateBar, Tiles, Trend, Verdict, originShare } from "../lib/parts.js";
import { href } from "../lib/router.js";
import { announce } from "../lib/say.js";
import { CAUSE, STATE, STATES, TREND } from "../lib/states.js";
import { useAnswer, useNow } from "../lib/store.js";
import { Table } from "../lib/table.js";
import { Controls, Stages } from "./rollout/stages.js";
import { EventLog } from "./rollout/log.js";

export default {
  id: "rollout", title: "Rollout", group: "Rollouts", key: "r", icon: "rollout", view: Rollout,
  crumbs: ([scope, name, tag]) => (tag ? [{ text: `${scope}/${name}:${tag}`, to: href(["rollout", scope, name, tag]) }] : []),
};

// As the tracker orders them in a point: [t_s, ...].
const IN_POINT = ["unaware", "waiting", "fetching", "verifying", "current", "failed", "lost"];
const BAND = ["current", "verifying", "fetching", "waiting", "unaware", "lost", "failed"];

function Rollout({ params, query }) {
  const [scope, name, tag] = params;
  return tag ? html`<${One} key=${params.join("/")} dataset=${`${scope}/${name}`} tag=${tag} serial=${query.get("serial")} />` : html`<${All} />`;
}

function All() {
  const answer = useFigure("rollouts");
  const now = useNow(5);
  const rows = answer.data?.rollouts ?? [];
  return html`<${Heading} title="Rollouts">Every move of a tag that peers follow, newest first.<//>
  <${Card} title="Rollouts" note=${rows.length ? counted(rows.length, "rollout") : ""} flush>
    ${!answer.data ? html`<${Missing} answer=${answer} what="The list of rollouts" />` : html`<${Table} label="Rollouts" rows=${rows} keyOf=${(row) => `${row.dataset}:${row.tag}@${row.serial}`}
      empty=${html`No tag that a peer follows has been moved yet: <code>aetherfs publish DIRECTORY NAME:TAG</code>.`} columns=${[
        { id: "tag", label: "tag", isHead: true, value: (row) => `${row.dataset}:${row.tag}`, cell: (row) => html`<a href=${href(["rollout", ...row.dataset.split("/"), row.tag], { serial: row.ended === null ? null : row.serial })}>
          <${Name} text=${`${row.dataset}:${row.tag}`} /></a>` },
        { id: "state", label: "state", value: (row) => wordOf(row), cell: (row) => html`<${Trend} trend=${row.trend} says=${wordOf(row)} />
          ${row.back && html` <span class="soft small">by <${Name} text=${row.by} />${row.why && html`: <${Name} text=${row.why} />`}</span>`}` },
        { id: "current", label: "current", num: true, value: (row) => row.current / Math.max(1, row.wanted), cell: (row) => `${count(row.current)} of ${count(row.wanted)}` },
        { id: "seconds", label: "took", num: true, narrow: false, value: (row) => row.seconds, cell: (row) => span(row.seconds) },
        { id: "version", label: "version", narrow: false, cell: (row) => html`<${Id} id=${row.version} />` },
        { id: "serial", label: "entry", num: true, narrow: false, value: (row) => row.serial },
        { id: "started", label: "moved", num: true, narrow: false, value: (row) => row.started, cell: (row) => html`<time title=${moment(row.started)}>${ago(row.started, now)}</time>` },
      ]} />`}<//>`;
}

// Of those that are over, how they ended; of one that takes another back, that it does.
const wordOf = (row) => (row.trend === "well" ? "done" : row.back && row.trend === "running" ? `being ${row.back}`
  : row.failed && row.trend === "failed" ? `${count(row.failed)} failed` : TREND[row.trend]?.word ?? clean(row.trend));

function One({ dataset, tag, serial }) {
  const topic = `rollout:${dataset}:${tag}`;
  const living = useFigure(serial ? null : topic);
  const past = useAnswer(serial ? `${pathOf(topic)}?serial=${encodeURIComponent(serial)}` : null, 0);
  const answer = serial ? past : living;
  const [isUnderWay, setUnderWay] = useState(false);
  const staged = useAnswer(serial ? null : `/api/v1/datasets/${dataset}/tags/${encodeURIComponent(tag)}/rollout`, isUnderWay ? 3 : 15);
  const now = useNow(1);
  const { data } = answer;
  useEffect(() => { if (data) announce(clean(data.verdict)); }, [data?.verdict]);
  useEffect(() => setUnderWay(["running", "paused"].includes(staged.data?.state)), [staged.data?.state]);
  useEffect(() => { if (data) staged.reload(); }, [data?.serial, data?.trend]); // stages of it may have begun, or been steered
  return html`<${Heading} title=${html`<${Name} text=${`${dataset}:${tag}`} />`} actions=${!serial && html`<${Controls} dataset=${dataset} tag=${tag} staged=${staged} />`}>
    ${data && html`Entry ${count(data.serial)} moved it ${ago(data.started, now)} to <${Id} id=${data.version} to=${href(["datasets", ...dataset.split("/"), "files", data.version])} />
      ${data.previous_version && html`, from <${Id} id=${data.previous_version} to=${href(["datasets", ...dataset.split("/"), "files", data.previous_version])} />`}.
      ${data.message && html` “<${Name} text=${data.message} />”`}`}<//>
  ${serial && html`<${Notice} icon="audit">This is how entry ${clean(serial)} went. <a href=${href(["rollout", ...dataset.split("/"), tag], { serial: null })}>See the tag as it is now</a>.<//>`}
  ${data ? html`<${Verdict} trend=${data.trend}><${Said} text=${data.verdict} /><//><${Numbers} data=${data} />
    <${Card} title="States"><${StateBar} counts=${data.counts} /><//>` : html`<${Card}><${Missing} answer=${answer} what="This rollout" /><//>`}
  <${Stages} dataset=${dataset} tag=${tag} staged=${staged} now=${now} />
  ${useMemo(() => data && html`<div class="grid"><${States} data=${data} /><${Completion} data=${data} /></div>
    <${Stragglers} data=${data} />
    <div class="grid"><${Sites} sites=${data.sites} />
      <${Card} title="Where the bytes came from"><${SourceBar} sources=${data.sources} format=${bytes} />
        <p class="soft small">${counted(data.wanted, "peer")} of ${bytes(data.total_bytes)} each; ${bytes(data.sources.wasted)} fetched twice; ${bytes(data.sources.wire)} on the wire.</p><//></div>`, [data])}
  <${EventLog} path=${`${pathOf(topic)}/events`} serial=${serial} isRunning=${!serial && data?.ended === null} />`;
}

function Numbers({ data }) {
  const { completion } = data;
  return html`<${Tiles} items=${[
    { label: data.back ? "back" : "current", value: `${count(data.counts.current)} of ${count(data.wanted)}`, detail: data.wanted ? percent(data.counts.current / data.wanted) : "nobody follows it" },
    { label: "behind", value: count(data.behind), tone: data.counts.failed ? "bad" : "", detail: data.counts.failed ? counted(data.counts.failed, "failed", "failed") : "none failed" },
    { label: data.ended === null ? "left" : "took", value: data.ended === null ? span(data.eta_s) : span(data.ended - data.started), detail: data.ended === null ? "until the last that moves" : "to the last" },
    { label: "traffic", value: rate(data.rate_bytes_per_s) },
    { label: "from the origin", value: originShare(data.sources), detail: bytes(data.sources.origin) },
    { label: "p50 / p95 / p99", value: [completion.p50_s, completion.p95_s, completion.p99_s].map((s) => span(s).replace(/ s$/, "")).join(" / "), detail: "seconds until current, of all that want it" },
  ]} />`;
}

function States({ data }) {
  const x = data.points.map((point) => point[0]);
  const series = BAND.map((state) => ({ ...STATE[state], values: data.points.map((point) => point[IN_POINT.indexOf(state) + 1]) }))
    .filter((one, at) => ["current", "fetching"].includes(BAND[at]) || one.values.some((value) => value > 0));
  return html`<${Chart} title="Peers by state" note="since the move" kind="stack" since x=${x} series=${series} top=${data.wanted || undefined} height=${220}
    says="Peers by state over time: ${STATES.map((state) => `${STATE[state].word} ${data.counts[state] ?? 0}`).join(", ")} now" />`;
}

function Completion({ data }) {
  const { curve, p50_s, p95_s, p99_s, last_s } = data.completion;
  const wanted = Math.max(1, data.wanted);
  const upTo = (data.ended ?? data.at) - data.started;
  const points = curve.length && curve[0][0] > 0 ? [[0, 0], ...curve] : [...curve];
  if (points.length && upTo > points.at(-1)[0]) points.push([upTo, points.at(-1)[1]]); // up to now, nobody more
  return html`<${Chart} title="Completion" note="share of peers, since the move" kind="steps" since height=${220} top=${1}
    x=${points.map(([at]) => at)} format=${percent} marks=${[{ x: p50_s, word: "p50" }, { x: p95_s, word: "p95" }, { x: p99_s, word: "p99" }]}
    series=${[{ word: "current", values: points.map(([, done]) => done / wanted), color: "--state-current", fill: true }]}
    says="Completion: half were current after ${span(p50_s)}, 95% after ${span(p95_s)}, 99% after ${span(p99_s)}, the last after ${span(last_s)}" />`;
}

function Stragglers({ data }) {
  const rows = data.stragglers;
  return html`<${Card} title="Who is behind, and why" note=${data.behind > rows.length ? `${rows.length} of ${count(data.behind)}, failed ones first` : ""} flush>
    <${Table} label="Who is behind" rows=${rows} keyOf=${(row) => row.peer} most=${12} empty=${data.behind ? "None is named yet." : "Nobody is behind."} columns=${[
      { id: "peer", label: "peer", isHead: true, cell: (row) => html`<${PeerLink} id=${row.peer} />` },
      { id: "state", label: "state", value: (row) => STATES.indexOf(row.state), cell: (row) => html`<span class="row nowrap"><span class="swatch p-${STATE[row.state]?.pattern}"
        style=${{ "--fill": `var(${STATE[row.state]?.color})` }}></span>${clean(row.state)}</span>` },
      { id: "reason", label: "reason", value: (row) => row.cause, cell: (row) => html`<${Name} text=${row.reason || CAUSE[row.cause] || "not known"} />` },
      { id: "done", label: "has", num: true, value: (row) => row.done_bytes / Math.max(1, row.total_bytes), cell: (row) => html`<${Done} row=${row} />` },
      { id: "rate", label: "at", num: true, narrow: false, value: (row) => row.rate_bytes_per_s, cell: (row) => rate(row.rate_bytes_per_s) },
      { id: "eta", label: "left", num: true, narrow: false, value: (row) => row.eta_s, cell: (row) => span(row.eta_s) },
      { id: "site", label: "site", narrow: false, value: (row) => row.site, cell: (row) => html`<${Name} text=${row.site} one />` },
      { id: "since", label: "since", num: true, narrow: false, value: (row) => row.since, cell: (row) => html`<${Ago} at=${row.since} />` },
    ]} /><//>`;
}

const Done = ({ row }) => {
  const share = row.total_bytes ? row.done_bytes / row.total_bytes : 0;
  return html`<span title="${bytes(row.done_bytes)} of ${bytes(row.total_bytes)}">${percent(share, 0)}</span>
    <${Bar} thin label="done" parts=${[{ word: "done", value: row.done_bytes, text: bytes(row.done_bytes), color: "--state-fetching" },
      { word: "missing", value: Math.max(0, row.total_bytes - row.done_bytes), text: bytes(row.total_bytes - row.done_bytes), color: "--line" }]} />`;
};

function Sites({ sites }) {
  return html`<${Card} title="Sites" note=${counted(sites.length, "site")} flush><${Table} label="Sites" rows=${sites} keyOf=${(row) => row.site} empty="No site is known." columns=${[
    { id: "site", label: "site", isHead: true, value: (row) => row.site, cell: (row) => html`<${Name} text=${row.site || "no site"} one />` },
    { id: "share", label: "current", value: (row) => row.current / Math.max(1, row.wanted), cell: (row) => html`<${Bar} label=${`site ${clean(row.site, 40)}`} parts=${[
      { ...STATE.current, value: row.current }, { ...STATE.failed, value: row.failed }, { word: "behind", color: "--line", value: row.wanted - row.current - row.failed }]} />` },
    { id: "count", label: "", num: true, cell: (row) => `${count(row.current)} of ${count(row.wanted)}` },
  ]} /><//>`;
}
