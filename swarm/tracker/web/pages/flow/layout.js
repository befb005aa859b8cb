// Where nodes stand: sites as discs around the origin, peers within them; sites alone on a ring around those that are the origin. The same nodes always stand in the same places. Pure.

const GOLDEN = Math.PI * (3 - Math.sqrt(5));
const RADIUS = { most: 11, least: 3.2 };
const LABEL = 18;
const MANY = 12; // more are named outside of their ring
const CENTER = 3; // so many sites of origins stand in the middle

// What is left free for names outside of a ring of so many, at its sides and at its ends.
function margins(many, width) {
  if (many <= MANY) return { aside: 8, above: LABEL };
  return { aside: width > 640 ? 112 : 14, above: 2.5 * LABEL };
}

const discOf = (many, r) => (many < 2 ? r : r * (1.1 + 1.32 * Math.sqrt(many)));
const order = (a, b) => (a.id < b.id ? -1 : 1);

// { places: Map id -> { x, y, r }, sites: [{ name, x, y, radius, many }] } within width and height. `nodes` [{ id, site, is_origin, peers }].
export function layoutOf(nodes, width, height, bySite) {
  if (bySite) return ringOfSites(nodes, width, height);
  const center = nodes.filter((node) => node.is_origin).sort(order);
  const groups = new Map();
  for (const node of nodes.filter((one) => !one.is_origin).sort(order)) groups.set(node.site, [...(groups.get(node.site) ?? []), node]);
  const sites = [...groups.entries()].sort(([a], [b]) => (a < b ? -1 : 1));
  for (let r = RADIUS.most; ; r *= 0.92) {
    const made = placed(sites, center, width, height, r);
    if (made.fits || r < RADIUS.least) return made;
  }
}

function placed(sites, center, width, height, r) {
  const places = new Map(), told = [];
  const discs = sites.map(([, own]) => discOf(own.length, r));
  const inner = center.length ? discOf(center.length, r * 1.3) + 6 : 0;
  const widest = Math.max(0, ...discs);
  const { aside, above } = margins(sites.length, width);
  const rx = width / 2 - widest - aside, ry = height / 2 - widest - above - 4;
  const isAlone = sites.length === 1;
  const angles = anglesOf(discs);
  let fits = isAlone || (rx > 0 && ry > 0);
  sites.forEach(([name, own], place) => {
    const angle = angles[place];
    const x = width / 2 + (isAlone ? 0 : Math.max(0, rx) * Math.cos(angle)), y = height / 2 + (isAlone ? 0 : Math.max(0, ry) * Math.sin(angle));
    if (isAlone) fits = rings(own, places, width, height, r, inner) && fits;
    else own.forEach((node, at) => places.set(node.id, { ...sunflower(x, y, own.length, at, r), r }));
    told.push({ name, x, y, radius: isAlone ? 0 : discs[place] + 3, many: own.length });
  });
  center.forEach((node, at) => places.set(node.id, { ...sunflower(width / 2, height / 2, center.length, at, r * 1.5), r: r * 1.25 }));
  return { places, sites: told, fits: fits && (isAlone || apart(told, width, height, inner)) };
}

function sunflower(x, y, many, at, r) {
  if (many === 1) return { x, y };
  const far = 1.32 * r * Math.sqrt(at + 0.5), angle = at * GOLDEN;
  return { x: x + far * Math.cos(angle), y: y + far * Math.sin(angle) };
}

// Angles of discs on an ellipse: each has as much of the way around as its size asks for.
function anglesOf(discs) {
  const gap = 10, all = discs.reduce((sum, disc) => sum + 2 * disc + gap, 0);
  let gone = 0;
  return discs.map((disc) => {
    gone += 2 * disc + gap;
    return -Math.PI / 2 + ((gone - disc - gap / 2) / all) * 2 * Math.PI;
  });
}

// Whether no two sites, nor one and what stands in the middle, lie on each other. Of few the names stand below the discs.
function apart(sites, width, height, inner) {
  const below = sites.length <= MANY ? LABEL : 0;
  return sites.every((one, place) => Math.hypot(one.x - width / 2, one.y - height / 2) >= one.radius + inner
    && sites.slice(place + 1).every((other) => Math.hypot(one.x - other.x, Math.max(0, Math.abs(one.y - other.y) - below)) >= one.radius + other.radius));
}

// Peers of one site, on as many ellipses around the middle as they need.
function rings(own, places, width, height, r, inner) {
  let left = [...own], rx = width / 2 - r - 6, ry = height / 2 - r - LABEL;
  while (left.length) {
    if (Math.min(rx, ry) < inner) return false;
    const around = Math.PI * (rx + ry), many = Math.min(left.length, Math.max(1, Math.floor(around / (r * 3.1))));
    left.slice(0, many).forEach((node, at) => {
      const angle = -Math.PI / 2 + (at / many) * 2 * Math.PI;
      places.set(node.id, { x: width / 2 + rx * Math.cos(angle), y: height / 2 + ry * Math.sin(angle), r });
    });
    left = left.slice(many);
    rx -= r * 3.4; ry -= r * 3.4;
  }
  return true;
}

function ringOfSites(nodes, width, height) {
  const places = new Map(), sorted = [...nodes].sort(order);
  const origins = sorted.filter((node) => node.is_origin), center = origins.length <= CENTER ? origins : [];
  const ring = sorted.filter((node) => !center.includes(node));
  const most = Math.max(1, ...nodes.map((node) => node.peers));
  const { aside, above } = margins(ring.length, width);
  const around = Math.PI * (width / 2 + height / 2 - aside - above - 40);
  const big = Math.max(4, Math.min(22, around / Math.max(1, ring.length) / 2.6));
  const size = (node) => Math.max(4, big * Math.sqrt(node.peers / most));
  ring.forEach((node, at) => {
    const angle = -Math.PI / 2 + (at / ring.length) * 2 * Math.PI;
    places.set(node.id, { x: width / 2 + (width / 2 - big - aside) * Math.cos(angle), y: height / 2 + (height / 2 - big - above) * Math.sin(angle), r: size(node) });
  });
  center.forEach((node, at) => places.set(node.id, { x: width / 2 + (at - (center.length - 1) / 2) * 120, y: height / 2, r: size(node) }));
  return { places, sites: [], fits: true };
}
