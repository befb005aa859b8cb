// Names beside what they name, so that none covers another or what is drawn. Whoever finds no room is not named. Pure.

const HIGH = 15, ABOVE = 11, BELOW = 4, GAP = 5, EDGE = 4; // of a line of words: how high it stands over its foot, and under
const FEW = 12; // so few are named below, as it reads best; of more each outside of the ring

// Where the names stand: Map id -> { x (its middle), y (its foot) }. `wanted` [{ id, x, y, r, wide, isSite }], the most important
// first; `drawn` [{ x, y, r, isSite }] is not covered, but for a site by the names of its own.
export function labelsOf(wanted, drawn, width, height) {
  const boxes = drawn.map(({ x, y, r, isSite }) => ({ left: x - r, right: x + r, top: y - r, bottom: y + r, isSite }));
  const found = new Map();
  for (const one of wanted) {
    for (const spot of spotsOf(one, width, height, wanted.length > FEW)) {
      const box = { left: spot.x - one.wide / 2 - EDGE, right: spot.x + one.wide / 2 + EDGE, top: spot.y - ABOVE, bottom: spot.y + BELOW };
      if (box.left < 0 || box.right > width || box.top < 0 || box.bottom > height || boxes.some((other) => (one.isSite || !other.isSite) && covers(box, other))) continue;
      boxes.push(box);
      found.set(one.id, spot);
      break;
    }
  }
  return found;
}

const covers = (a, b) => a.left < b.right && b.left < a.right && a.top < b.bottom && b.top < a.bottom;

// The places for a name, the best first.
function spotsOf({ x, y, r, wide }, width, height, isOfMany) {
  const middle = Math.max(wide / 2 + EDGE, Math.min(width - wide / 2 - EDGE, x));
  const below = (row) => ({ x: middle, y: y + r + GAP + ABOVE + row * HIGH });
  const above = (row) => ({ x: middle, y: y - r - GAP - BELOW - row * HIGH });
  const right = { x: x + r + GAP + wide / 2, y: y + BELOW }, left = { x: x - r - GAP - wide / 2, y: y + BELOW };
  if (!isOfMany) return [below(0), above(0), right, left];
  const [beside, within] = x > width / 2 ? [right, left] : [left, right];
  const [out, inside] = y > height / 2 ? [[below(0), below(1), below(2)], above(0)] : [[above(0), above(1), above(2)], below(0)];
  const isAside = Math.abs(x - width / 2) / width > Math.abs(y - height / 2) / height;
  return isAside ? [beside, out[0], inside, out[1], within] : [...out, beside, inside, within];
}
