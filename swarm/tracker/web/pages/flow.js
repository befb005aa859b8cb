// Flow: who feeds whom, now or at any moment of the last hour, which can be played again.
import { html, useEffect, useMemo, useRef, useState } from "../lib/html.js";
import { isBundle } from "../lib/bundle.js";
import { clean, clock, count, counted, percent, rate, short } from "../lib/format.js";
import { Canvas } from "../lib/canvas.js";
import { Figure } from "../lib/chart.js";
import { color } from "../lib/choices.js";
import { Icon } from "../lib/icons.js";
import { bind } from "../lib/keys.js";
import { useMessages, useStatus } from "../lib/live.js";
import { Bar, Card, Heading, Legend, Missing, Name, PeerLink, Tiles } from "../lib/parts.js";
import { go, hrefHere } from "../lib/router.js";
import { call, useNow } from "../lib/store.js";
import { Table } from "../lib/table.js";
import { FEW, Graph } from "./flow/graph.js";
import { framesOf, joinedFrames, momentOf, totalsOf } from "./flow/moment.js";

export default { id: "flow", title: "Flow", group: "Swarm", key: "f", icon: "flow", view: Flow };

const PATH = "/api/v1/figures/flow";
const SPANS = { "5m": ["5 min", 300], "1h": ["1 hour", 3600] };
const WINDOW_S = 5;
const SPEEDS = [1, 5, 20];
const TICK_MS = 200;
const POLL_S = 5;
const LAG_S = 2; // what peers have moved is known so much later

// { nodes: Map id -> node, frames, bySite, ahead_s, error, isLoading }: what was recorded, then what comes by the stream.
// `ahead_s`: the tracker's clock minus this browser's.
function useFlow(seconds) {
  const [state, set] = useState({ nodes: new Map(), frames: [], bySite: false, ahead_s: 0, error: null, isLoading: true });
  const { state: stream } = useStatus();
  const add = (told, isFirst) => set((now) => {
    const isOther = isFirst || told.by_site !== now.bySite; // peers and sites are not mixed
    const nodes = new Map([...(isOther ? [] : now.nodes), ...told.nodes.map((node) => [node.id, node])]);
    return { nodes, frames: joinedFrames(isOther ? [] : now.frames, framesOf(told)), bySite: told.by_site, ahead_s: isBundle ? 0 : told.at - Date.now() / 1000, error: null, isLoading: false };
  });
  const last = useRef(0);
  last.current = state.frames.at(-1)?.at ?? 0;
  useEffect(() => {
    let isOver = false, timer = 0;
    const ask = async (since, isFirst) => {
      try {
        const told = await call("GET", isBundle ? PATH : `${PATH}?since=${since}`);
        if (!isOver) add(told, isFirst);
      } catch (error) {
        if (!isOver) set((now) => ({ ...now, error, isLoading: false }));
        if (error.isMissing || isBundle) return;
      }
      if (!isOver && stream !== "live") timer = setTimeout(() => ask(last.current || since, false), POLL_S * 1000);
    };
    const since = Math.floor(Date.now() / 1000) - seconds;
    ask(last.current > since + 10 ? last.current : since, last.current <= since + 10);
    return () => { isOver = true; clearTimeout(timer); };
  }, [seconds, stream === "live"]);
  useMessages("flow", (told) => add(told, false));
  return state;
}

// The moment that is shown: { at, isLive, isPlaying, speed, ... }. It follows what is new until somebody goes back.
function usePlayer(first, last, asked) {
  const [at, setAt] = useState(asked);
  const [isPlaying, play] = useState(false);
  const [speed, setSpeed] = useState(5);
  const newest = useRef(last);
  newest.current = last;
  useEffect(() => {
    if (!isPlaying) return undefined;
    const timer = setInterval(() => setAt((now) => {
      const next = (now ?? newest.current) + (speed * TICK_MS) / 1000;
      if (next < newest.current) return next;
      play(false);
      return null;
    }), TICK_MS);
    return () => clearInterval(timer);
  }, [isPlaying, speed]);
  const isLive = at === null || at >= last;
  const seek = (to) => setAt(to === null || to >= last ? null : Math.max(first, to));
  const toggle = () => {
    if (!isPlaying && isLive) setAt(first);
    play(!isPlaying);
  };
  return { first, last, at: isLive ? last : Math.max(first, at), isLive, isPlaying, speed, seek, toggle, setSpeed, stop: () => { play(false); setAt(null); } };
}

function Flow({ query }) {
  const span = Object.hasOwn(SPANS, query.get("span") ?? "") ? query.get("span") : "5m";
  const flow = useFlow(SPANS[span][1]);
  // Nothing comes while nothing moves: now is told by the clock.
  const newest = Math.max(flow.frames.at(-1)?.at ?? 0, isBundle ? 0 : Math.floor(useNow(1) + flow.ahead_s - LAG_S));
  const from = newest - SPANS[span][1];
  const frames = useMemo(() => flow.frames.filter((frame) => frame.at > from), [flow.frames, Math.floor(from)]);
  const asked = Number(query.get("at")) || null;
  const player = usePlayer(Math.max(from, (frames[0]?.at ?? newest) - WINDOW_S), newest, asked);
  const isOrigin = (id) => Boolean(flow.nodes.get(id)?.is_origin);
  const moment = useMemo(() => momentOf(frames, player.at, WINDOW_S), [frames, player.at]);
  const totals = useMemo(() => totalsOf(frames, [...flow.nodes.keys()].filter(isOrigin)), [frames]);
  const of = query.get("of") ?? "";
  const choose = (id) => go(hrefHere({ of: id || null }), { replace: true });
  const nodes = useMemo(() => [...flow.nodes.values()], [flow.nodes]);
  useEffect(() => bind({ keys: " ", says: "Flow: play or stop", act: player.toggle }), [player.toggle]);
  useEffect(() => {
    if (isBundle) return undefined;
    const timer = setTimeout(() => { // a link to what is looked at
      const at = player.isLive || player.isPlaying ? null : Math.round(player.at);
      if (String(at ?? "") !== (query.get("at") ?? "")) go(hrefHere({ at }), { replace: true });
    }, 400);
    return () => clearTimeout(timer);
  }, [player.at, player.isLive, player.isPlaying]);
  return html`<${Heading} title="Flow" actions=${html`<${Choices} span=${span} nodes=${nodes} moment=${moment} of=${of} bySite=${flow.bySite} onChoose=${choose} />`}>
    Who feeds whom, ${flow.bySite ? "by site, as there are more than 200 peers" : "peer by peer"}.<//>
  ${!flow.frames.length && (flow.error || flow.isLoading) ? html`<${Card}><${Missing} answer=${flow} what="The flow of blocks" /><//>` : html`
    <${Numbers} moment=${moment} isOrigin=${isOrigin} />
    <${Picture} flow=${flow} nodes=${nodes} moment=${moment} of=${of} choose=${choose} isOrigin=${isOrigin} player=${player} />
    <${Scrubber} player=${player} totals=${totals} span=${span} />
    ${of && html`<${Picked} of=${of} node=${flow.nodes.get(of)} moment=${moment} bySite=${flow.bySite} onClose=${() => choose("")} />`}`}`;
}

const nameOf = (id, bySite) => (bySite ? html`<${Name} text=${id || "no site"} one />` : html`<${PeerLink} id=${id} />`);
const plain = (id, bySite) => (bySite ? clean(id || "no site", 40) : short(id, 10));

function Choices({ span, nodes, moment, of, bySite, onChoose }) {
  const sums = new Map();
  for (const { giver, taker, rate: moved } of moment.edges) for (const id of [giver, taker]) sums.set(id, (sums.get(id) ?? 0) + moved);
  const sorted = [...nodes].sort((a, b) => (sums.get(b.id) ?? 0) - (sums.get(a.id) ?? 0) || (a.id < b.id ? -1 : 1));
  return html`<label class="row"><span class="soft">Look at</span><select value=${of} onChange=${(event) => onChoose(event.target.value)}>
      <option value="">everybody</option>${of && !nodes.some((node) => node.id === of) && html`<option value=${of}>${plain(of, bySite)}</option>`}
      ${sorted.map((node) => html`<option key=${node.id} value=${node.id}>${plain(node.id, bySite)}${!bySite && node.site ? `, ${clean(node.site, 24)}` : ""}</option>`)}</select></label>
    <label class="row"><span class="soft">Last</span><select value=${span} onChange=${(event) => go(hrefHere({ span: event.target.value === "5m" ? null : event.target.value }))}>
      ${Object.entries(SPANS).map(([id, [word]]) => html`<option key=${id} value=${id}>${word}</option>`)}</select></label>`;
}

function Numbers({ moment, isOrigin }) {
  const origin = moment.edges.reduce((sum, edge) => sum + (isOrigin(edge.giver) ? edge.rate : 0), 0);
  return html`<${Tiles} items=${[
    { label: "moves", value: rate(moment.total), detail: `on average of ${WINDOW_S} s` },
    { label: "from the origin", value: moment.total ? percent(origin / moment.total) : "–", detail: rate(origin) },
    { label: "give", value: count(new Set(moment.edges.map((edge) => edge.giver)).size) },
    { label: "take", value: count(new Set(moment.edges.map((edge) => edge.taker)).size) },
    { label: "links at work", value: count(moment.edges.length), detail: moment.others ? `${rate(moment.others)} on others` : "" },
  ]} />`;
}

function Picture({ flow, nodes, moment, of, choose, isOrigin, player }) {
  const { bySite } = flow;
  const shown = of ? moment.edges.filter((edge) => edge.giver === of || edge.taker === of) : moment.edges;
  const says = `${counted(moment.edges.length, "link")} at work among ${counted(nodes.length, bySite ? "site" : "peer")}, ${rate(moment.total)}${moment.edges[0] ? `; the largest is from ${plain(moment.edges[0].giver, bySite)} to ${plain(moment.edges[0].taker, bySite)}, ${rate(moment.edges[0].rate)}` : ""}`;
  return html`<${Figure} title="Who feeds whom" note=${player.isLive ? "now" : `at ${clock(player.at)}`} says=${says}
    legend=${html`<${Legend} line parts=${[{ word: "given by peers", color: "--peers" }, { word: "given by the origin", color: "--origin", dash: true }]} />
      <p class="soft small">The thicker, the more; heads show who takes. ${bySite ? "A site is as large as it has peers; those of origins stand in the middle." : "Squares are origins."} Click one, or choose it above, to see its links alone${nodes.length > FEW ? ", and its name if there was no room for it" : ""}.</p>`}
    picture=${nodes.length ? html`<${Graph} nodes=${nodes} moment=${moment} bySite=${bySite} of=${of} onPick=${choose} says=${says} />` : html`<p class="empty">Nothing has moved lately.</p>`}
    table=${{ rows: shown, most: 40, keyOf: (row) => `${row.giver}>${row.taker}`, empty: "Nothing moves at this moment.", columns: [
      { id: "giver", label: "gives", isHead: true, value: (row) => row.giver, cell: (row) => nameOf(row.giver, bySite) },
      { id: "taker", label: "takes", value: (row) => row.taker, cell: (row) => nameOf(row.taker, bySite) },
      { id: "rate", label: "moves", num: true, value: (row) => row.rate, cell: (row) => rate(row.rate) },
      { id: "origin", label: "from", narrow: false, cell: (row) => (isOrigin(row.giver) ? "the origin" : "a peer") },
    ] }} />`;
}

const THUMB = 8; // half of what the slider is moved by: the picture ends where its track does

function Scrubber({ player, totals, span }) {
  const { x, all, origin } = totals, { first, last } = player;
  if (!x.length) return null;
  const most = Math.max(1, ...all);
  const seek = (at, y, { width }) => player.seek(first + ((at - THUMB) / (width - 2 * THUMB)) * (last - first));
  const rows = x.map((at, place) => ({ at, all: all[place], origin: origin[place] })).reverse();
  const says = `bytes a second in the last ${SPANS[span][0]}, up to ${rate(most)}`;
  return html`<${Figure} title="Play it again" note="the last ${SPANS[span][0]}, up to ${rate(most)}" says=${says}
    legend=${html`<${Legend} parts=${[{ word: "given by peers", color: "--peers" }, { word: "given by the origin", color: "--origin" }]} />`}
    table=${{ rows, most: 30, keyOf: (row) => row.at, columns: [
      { id: "at", label: "time", isHead: true, value: (row) => row.at, cell: (row) => clock(row.at) },
      { id: "all", label: "moved", num: true, value: (row) => row.all, cell: (row) => rate(row.all) },
      { id: "origin", label: "of it from the origin", num: true, value: (row) => row.origin, cell: (row) => rate(row.origin) }] }}
    picture=${html`<div class="scrub"><${Canvas} name="flow" height=${72} says=${says} deps=${[totals, player.at, first, last]} onPick=${seek}
        draw=${(context, width, height) => drawTotals(context, width, height, totals, most, player)} />
      <input type="range" min=${Math.ceil(first)} max=${Math.floor(last)} step="1" value=${Math.round(player.at)} aria-label="Moment"
        aria-valuetext=${player.isLive ? "now" : clock(player.at)} onInput=${(event) => player.seek(Number(event.target.value))} />
      <div class="row"><span class="row"><button type="button" class="button" onClick=${player.toggle}><${Icon} name=${player.isPlaying ? "pause" : "play"} />${player.isPlaying ? "Stop" : "Play"}</button>
        <label class="row"><span class="unseen">Speed</span><select value=${player.speed} onChange=${(event) => player.setSpeed(Number(event.target.value))}>${SPEEDS.map((speed) => html`<option key=${speed} value=${speed}>${speed}×</option>`)}</select></label>
        <time>${player.isLive ? "now" : clock(player.at)}</time></span>
        <button type="button" class="button" disabled=${player.isLive} onClick=${player.stop}><${Icon} name="forward" />Now</button></div></div>`} />`;
}

function drawTotals(context, width, height, { x, seconds, all, origin }, most, { first, last, at }) {
  const place = (time) => THUMB + ((time - first) / (last - first)) * (width - 2 * THUMB);
  const bar = (from, to, value, ink) => {
    const tall = Math.round((value / most) * (height - 4));
    context.fillStyle = ink;
    context.fillRect(from, height - tall, Math.max(1, to - from), tall);
  };
  const [blue, orange] = [color("--peers"), color("--origin")];
  x.forEach((time, n) => {
    const from = Math.round(place(Math.max(first, time - seconds[n]))), to = Math.round(place(time));
    bar(from, to, all[n], blue);
    bar(from, to, origin[n], orange);
  });
  context.fillStyle = color("--line");
  context.fillRect(THUMB, height - 1, width - 2 * THUMB, 1);
  context.fillStyle = color("--ink");
  context.fillRect(Math.round(place(at)) - 1, 0, 2, height);
}

function Picked({ of, node, moment, bySite, onClose }) {
  const gives = moment.edges.filter((edge) => edge.giver === of), takes = moment.edges.filter((edge) => edge.taker === of);
  const sum = (edges) => edges.reduce((all, edge) => all + edge.rate, 0);
  const column = (id, label) => [
    { id, label, isHead: true, cell: (row) => nameOf(row[id], bySite) },
    { id: "rate", label: "moves", num: true, cell: (row) => rate(row.rate) },
    { id: "share", label: "share", narrow: false, cell: (row) => html`<${Bar} thin label="share" parts=${[{ word: "this", value: row.rate, text: rate(row.rate), color: "--peers" }, { word: "others", value: sum(id === "taker" ? gives : takes) - row.rate, text: "", color: "--line" }]} />` },
  ];
  return html`<${Card} title=${html`${bySite ? "Site" : "Peer"} ${nameOf(of, bySite)}`} note=${node ? `${bySite ? counted(node.peers, "peer") : clean(node.site || "no site", 40)}${node.is_origin ? ", origin" : ""}` : ""}
      actions=${html`<button type="button" class="button is-bare" onClick=${onClose}><${Icon} name="cross" />Everybody</button>`}>
    <div class="grid"><div><h3>Gives ${rate(sum(gives))}</h3><${Table} label="Whom it gives to" rows=${gives} keyOf=${(row) => row.taker} most=${10} empty="It gives nothing at this moment." columns=${column("taker", "to")} /></div>
      <div><h3>Takes ${rate(sum(takes))}</h3><${Table} label="Whom it takes from" rows=${takes} keyOf=${(row) => row.giver} most=${10} empty="It takes nothing at this moment." columns=${column("giver", "from")} /></div></div><//>`;
}
