// Names the nodes of Flow in pictures of several widths, and tells of each how many names there are of how many that
// were wanted, how many are not in the picture, and how many cover another or a node or a site that is not theirs.
async (base) => {
  const { labelsOf } = await import(base + "pages/flow/labels.js");
  const { layoutOf } = await import(base + "pages/flow/layout.js");
  const height = 560;
  const cover = (a, b) => a.left < b.right && b.left < a.right && a.top < b.foot && b.top < a.foot;
  const round = ({ x, y, r }) => ({ left: x - r, right: x + r, top: y - r, foot: y + r });
  return [[920, 40, true], [920, 62, false], [306, 40, true], [306, 62, false]].map(([width, many, bySite]) => {
    const nodes = Array.from({ length: many }, (_, n) => ({ id: `node-${n}`, site: bySite ? "" : `site-${n % 40}`, peers: 1 + (n * n) % 90, is_origin: n < 2 }));
    const { places, sites } = layoutOf(nodes, width, height, bySite);
    const discs = sites.map((one) => ({ ...one, r: one.radius, isSite: true, id: one.name, wide: 90 }));
    const wanted = bySite ? nodes.map(({ id }) => ({ id, ...places.get(id), wide: 84 })) : discs;
    const drawn = [...places.values(), ...(bySite ? [] : discs)];
    const spots = labelsOf(wanted, drawn, width, height);
    const words = wanted.filter(({ id }) => spots.has(id)).map(({ id, wide }) => {
      const { x, y } = spots.get(id);
      return { left: x - wide / 2, right: x + wide / 2, top: y - 9, foot: y + 3 };
    });
    const outside = words.filter(({ left, right, top, foot }) => left < 0 || right > width || top < 0 || foot > height);
    const boxes = [...words, ...drawn.map(round)];
    const covered = words.filter((one, at) => boxes.slice(at + 1).some((other) => cover(one, other)));
    return { named: words.length / wanted.length, outside: outside.length, covered: covered.length };
  });
}
