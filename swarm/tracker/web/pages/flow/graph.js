// The graph: nodes in their places, what moves between them as lines that are as thick as it is much. Drawn on a canvas, once for each moment.
import { html, useMemo, useRef } from "../../lib/html.js";
import { Canvas } from "../../lib/canvas.js";
import { color } from "../../lib/choices.js";
import { clean, short } from "../../lib/format.js";
import { labelsOf } from "./labels.js";
import { layoutOf } from "./layout.js";

const HEIGHT = (width) => Math.max(430, Math.min(620, Math.round(width * 0.56)));
export const FEW = 16; // of few peers the whole picture is seen at once
const LOW = 330;
const EDGES_DRAWN = 400;
const THICKEST = 7;
const LABELLED = 40;
const MANY = 60; // of so many links the large ones are to stand out
const REACH = 8;

// `of` is the id that is looked at, or "". onPick(id or "").
export function Graph({ nodes, moment, bySite, of, onPick, says }) {
  const known = useRef({ key: "", layout: null });
  const ids = useMemo(() => nodes.map((node) => node.id).sort().join(), [nodes]);
  const layout = (width, height) => {
    const key = `${width}/${height}/${bySite}/${ids}`;
    if (known.current.key !== key) known.current = { key, layout: layoutOf(nodes, width, height, bySite) };
    return known.current.layout;
  };
  const pick = (x, y, { width, height }) => {
    let best = "", least = Infinity;
    for (const [id, place] of layout(width, height).places) {
      const far = Math.hypot(place.x - x, place.y - y) - place.r;
      if (far < REACH && far < least) [best, least] = [id, far];
    }
    onPick(best === of ? "" : best);
  };
  return html`<${Canvas} name="flow" height=${nodes.length > FEW ? HEIGHT : LOW} says=${says} deps=${[nodes, moment, of, bySite]} onPick=${pick}
    draw=${(context, width, height) => drawAll(context, layout(width, height), { nodes, moment, of, bySite, width, height })} />`;
}

function drawAll(context, { places, sites }, { nodes, moment, of, bySite, width, height }) {
  const look = { peers: color("--peers"), origin: color("--origin"), ink: color("--ink"), soft: color("--soft"), ground: color("--surface"), disc: color("--sunken"), accent: color("--accent"), idle: color("--edge") };
  const font = getComputedStyle(document.body).fontFamily;
  context.textAlign = "center";
  for (const site of sites) drawDisc(context, site, look);
  const isOrigin = new Set(nodes.filter((node) => node.is_origin).map((node) => node.id));
  const edges = moment.edges.slice(0, EDGES_DRAWN), most = edges[0]?.rate ?? 1;
  const near = new Set(of ? [of] : []), least = edges.length > MANY && !of ? 0.08 : 0.3;
  for (const { giver, taker, rate } of [...edges].reverse()) {
    const [from, to] = [places.get(giver), places.get(taker)];
    if (!from || !to) continue;
    const isSeen = !of || giver === of || taker === of;
    if (isSeen && of) { near.add(giver); near.add(taker); }
    context.globalAlpha = isSeen ? least + (0.85 - least) * Math.sqrt(rate / most) : 0.05;
    drawEdge(context, from, to, Math.max(1, THICKEST * Math.sqrt(rate / most)), isOrigin.has(giver), isOrigin.has(giver) ? look.origin : look.peers, isSeen);
  }
  const busy = new Set(edges.flatMap((edge) => [edge.giver, edge.taker]));
  const faded = (id) => of && !near.has(id);
  for (const node of nodes) drawNode(context, node, places.get(node.id), { look, bySite, isBusy: busy.has(node.id), isFaded: faded(node.id), isOf: node.id === of });
  const names = namesOf(context, { places, sites, nodes, of, near, bySite, font });
  const spots = labelsOf(names, [...places.values(), ...sites.map(({ x, y, radius }) => ({ x, y, r: radius, isSite: true }))], width, height);
  for (const { id, text, face, isSite } of names) {
    const spot = spots.get(id);
    if (!spot) continue;
    context.font = face;
    context.globalAlpha = !isSite && faded(id) ? 0.3 : 1;
    outlined(context, text, spot.x, spot.y, isSite ? look.soft : look.ink, look.ground);
  }
  context.globalAlpha = 1;
}

// What is named, the most important first: who is looked at and its neighbours, sites, the others by their size.
function namesOf(context, { places, sites, nodes, of, near, bySite, font }) {
  const measured = (one) => {
    context.font = one.face;
    return { ...one, wide: context.measureText(one.text).width };
  };
  const discs = sites.filter((site) => site.radius).map(({ name, x, y, radius, many }) => ({ id: `site ${name}`, x, y, r: radius, isSite: true,
    text: `${clean(name || "no site", 16)} · ${many}`, face: `600 11.5px ${font}` }));
  const named = nodes.filter((node) => places.has(node.id) && (bySite || nodes.length <= LABELLED || node.id === of));
  const rank = (node) => (node.id === of ? 0 : near.has(node.id) ? 1 : 2);
  const peers = named.sort((a, b) => rank(a) - rank(b) || b.is_origin - a.is_origin || b.peers - a.peers || (a.id < b.id ? -1 : 1)).map((node) => ({ id: node.id, ...places.get(node.id),
    text: bySite ? clean(node.id || "no site", 16) : short(node.id, 6), face: `${node.id === of ? "600 " : ""}11px ${font}` }));
  const first = peers.filter(({ id }) => near.has(id));
  return [...first, ...discs, ...peers.slice(first.length)].map(measured);
}

function drawDisc(context, { x, y, radius }, look) {
  if (!radius) return;
  context.fillStyle = look.disc;
  context.beginPath();
  context.arc(x, y, radius + 3, 0, 7);
  context.fill();
}

function outlined(context, text, x, y, ink, ground) {
  context.lineWidth = 4;
  context.lineJoin = "round";
  context.strokeStyle = ground;
  context.strokeText(text, x, y);
  context.fillStyle = ink;
  context.fillText(text, x, y);
}

// Bent to the right of its way, so that both directions are seen; the head is where it arrives.
function drawEdge(context, from, to, thick, isOrigin, ink, isSeen) {
  const dx = to.x - from.x, dy = to.y - from.y, far = Math.hypot(dx, dy);
  context.strokeStyle = context.fillStyle = ink;
  context.lineWidth = thick;
  if (far < 1) { // within one site
    context.beginPath();
    context.arc(from.x, from.y, from.r + 3 + thick / 2, 0, 7);
    context.stroke();
    return;
  }
  const ux = dx / far, uy = dy / far, bend = Math.min(46, far * 0.16);
  const cx = from.x + dx / 2 - uy * bend, cy = from.y + dy / 2 + ux * bend;
  const tx = to.x - cx, ty = to.y - cy, t = Math.hypot(tx, ty), size = 4 + thick;
  const ex = to.x - (tx / t) * (to.r + 2), ey = to.y - (ty / t) * (to.r + 2);
  context.setLineDash(isOrigin ? [thick * 2 + 5, thick + 3] : []);
  context.beginPath();
  context.moveTo(from.x, from.y);
  context.quadraticCurveTo(cx, cy, ex - (tx / t) * size * 0.8, ey - (ty / t) * size * 0.8);
  context.stroke();
  context.setLineDash([]);
  if (!isSeen) return;
  const a = Math.atan2(ty, tx);
  context.beginPath();
  context.moveTo(ex, ey);
  context.lineTo(ex - size * Math.cos(a - 0.45), ey - size * Math.sin(a - 0.45));
  context.lineTo(ex - size * Math.cos(a + 0.45), ey - size * Math.sin(a + 0.45));
  context.fill();
}

function drawNode(context, node, place, { look, bySite, isBusy, isFaded, isOf }) {
  if (!place) return;
  const { x, y, r } = place;
  context.globalAlpha = isFaded ? 0.3 : 1;
  context.fillStyle = node.is_origin ? look.origin : isBusy ? look.peers : look.idle;
  context.strokeStyle = isOf ? look.accent : look.ground;
  context.lineWidth = isOf ? 3.5 : 1.5;
  context.beginPath();
  if (node.is_origin && !bySite) context.rect(x - r, y - r, 2 * r, 2 * r); // told apart without colours
  else context.arc(x, y, r, 0, 7);
  context.fill();
  context.stroke();
}
