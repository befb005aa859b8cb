// One figure of the swarm over time: asked for once, then what is new comes by the stream.
import { useEffect, useState } from "./html.js";
import { useMessages, useStatus } from "./live.js";
import { RANGES } from "./router.js";
import { call } from "./store.js";

const POINTS_MAX = 2400;
const POLL_S = 15;

// { points: [[wall seconds, value]], error, isLoading } of a series over a range ("15m").
export function useSeries(name, range) {
  const [state, set] = useState({ points: [], error: null, isLoading: true });
  const { state: stream } = useStatus();
  useEffect(() => {
    let isOver = false, timer = 0;
    const ask = async () => {
      // To the whole minute, so that a bundle finds what was asked before it was saved.
      const since = Math.floor(Date.now() / 60_000) * 60 - RANGES[range];
      try {
        const answer = await call("GET", `/api/v1/figures/series?name=${name}&since=${since}`);
        if (!isOver) set({ points: answer.points, error: null, isLoading: false });
      } catch (error) {
        if (!isOver) set((now) => ({ ...now, error, isLoading: false }));
        if (error.isMissing) return;
      }
      if (!isOver) timer = setTimeout(ask, (stream === "live" ? 8 : 1) * POLL_S * 1000);
    };
    ask();
    return () => { isOver = true; clearTimeout(timer); };
  }, [name, range, stream === "live"]);
  useMessages(`series:${name}`, ({ points }) => set((now) => {
    const last = now.points.at(-1)?.[0] ?? 0, from = Date.now() / 1000 - RANGES[range];
    const joined = [...now.points, ...points.filter(([at]) => at > last)].filter(([at]) => at >= from);
    return { ...now, points: joined.slice(-POINTS_MAX), error: null, isLoading: false };
  }));
  return state;
}

// Several series on one x: [x, values, values...], with null where one has no point.
export function joined(...lists) {
  const x = [...new Set(lists.flatMap((points) => points.map(([at]) => at)))].sort((a, b) => a - b);
  return [x, ...lists.map((points) => { const known = new Map(points); return x.map((at) => known.get(at) ?? null); })];
}
