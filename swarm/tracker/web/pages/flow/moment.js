// What moved at a moment, out of frames: who gave whom how much in a second. Pure.

export const KEPT_S = 3600;
const FRAMES_MAX = 700;

// Frames whose edges name nodes, out of an answer, in which they are indices: [{ at, seconds, edges: [[giver, taker, bytes]], others }].
export function framesOf({ nodes, frames }) {
  return frames.map((frame) => ({
    at: frame.at,
    seconds: frame.seconds,
    edges: frame.edges.map(([giver, taker, bytes]) => [nodes[giver].id, nodes[taker].id, bytes]),
    others: frame.others_bytes,
  }));
}

// Frames that are known, and those of another answer behind them: what overlaps is counted once, what is old goes.
export function joinedFrames(known, told) {
  const last = known.at(-1)?.at ?? 0;
  const all = [...known, ...told.filter((frame) => frame.at > last + 0.05)];
  const from = (all.at(-1)?.at ?? 0) - KEPT_S;
  return all.slice(-FRAMES_MAX).filter((frame) => frame.at >= from);
}

// Bytes a second by giver and taker, over the `window_s` before `at`: { edges: [{ giver, taker, rate }] the largest first, others, total }.
export function momentOf(frames, at, window_s) {
  const sums = new Map(), from = at - window_s;
  let others = 0;
  for (const frame of frames) {
    const shared = Math.min(frame.at, at) - Math.max(frame.at - frame.seconds, from);
    if (shared <= 0) continue;
    const share = shared / Math.max(frame.seconds, 0.001) / window_s;
    others += frame.others * share;
    for (const [giver, taker, bytes] of frame.edges) {
      const key = `${giver}\n${taker}`;
      const edge = sums.get(key) ?? { giver, taker, rate: 0 };
      edge.rate += bytes * share;
      sums.set(key, edge);
    }
  }
  const edges = [...sums.values()].sort((a, b) => b.rate - a.rate);
  return { edges, others, total: others + edges.reduce((sum, edge) => sum + edge.rate, 0) };
}

// What each giver gave in a frame, summed up once: an hour has hundreds of frames of hundreds of edges, and one is new each second.
const given = new WeakMap();
function givenIn(frame) {
  if (!given.has(frame)) {
    const sums = new Map();
    for (const [giver, , bytes] of frame.edges) sums.set(giver, (sums.get(giver) ?? 0) + bytes);
    given.set(frame, { sums, all: [...sums.values()].reduce((sum, bytes) => sum + bytes, 0) });
  }
  return given.get(frame);
}

// Bytes a second of each frame, all and those that `origins` gave: { x, seconds, all, origin }.
export function totalsOf(frames, origins) {
  const long = (frame) => Math.max(frame.seconds, 0.001);
  return {
    x: frames.map((frame) => frame.at),
    seconds: frames.map((frame) => frame.seconds),
    all: frames.map((frame) => (givenIn(frame).all + frame.others) / long(frame)),
    origin: frames.map((frame) => origins.reduce((sum, id) => sum + (givenIn(frame).sums.get(id) ?? 0), 0) / long(frame)),
  };
}
