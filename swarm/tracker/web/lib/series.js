// One figure of the swarm over time: asked for once, then what is new comes by the stream.
import { useEffect, useState } from "./html.js";
import { bundle, isBundle } from "./bundle.js";
import { useMessages, useStatus } from "./live.js";
import { RANGES } from "./router.js";
import { call } from "./store.js";

const POINTS_MAX = 2400;
const POLL_S = 15;
const now = () => (isBundle ? bundle.made : Date.now() / 1000);

// { points: [[wall seconds, value]], error, isLoading } of a series over a range ("15m").
export function useSeries(name, range) {
  const [state, set] = useState({ points: [], error: null, isLoading: true });
  const { state: stream } = useStatus();
  useEffect(() => {
    let isOver = false, timer = 0;
    const ask = async () => {
      const since = Math.floor(now() / 60) * 60 - RANGES[range];
      try {
        const answer = await call("GET", `/api/v1/figures/series?name=${name}&since=${since}`);
        if (!isOver) set({ points: isBundle ? answer.points.filter(([at]) => at >= since) : answer.points, error: null, isLoading: false });
      } catch (error) {
        if (!isOver) set((known) => ({ ...known, error, isLoading: false }));
        if (error.isMissing) return;
      }
      if (!isOver && !isBundle) timer = setTimeout(ask, (stream === "live" ? 8 : 1) * POLL_S * 1000);
    };
    ask();
    return () => { isOver = true; clearTimeout(timer); };
  }, [name, range, stream === "live"]);
  useMessages(`series:${name}`, ({ points }) => set((known) => {
    const last = known.points.at(-1)?.[0] ?? 0, from = now() - RANGES[range];
    const joined = [...known.points, ...points.filter(([at]) => at > last)].filter(([at]) => at >= from);
    return { ...known, points: joined.slice(-POINTS_MAX), error: null, isLoading: false };
  }));
  return state;
}

// Several series on one x: [x, values, values...], with null where one has no point.
export function joined(...lists) {
  const x = [...new Set(lists.flatMap((points) => points.map(([at]) => at)))].sort((a, b) => a - b);
  return [x, ...lists.map((points) => { const known = new Map(points); return x.map((at) => known.get(at) ?? null); })];
}

// A series and one that is part of it: never more, though the last step of each may be a mean of other seconds.
export function ofWhole(all, part) {
  const [x, whole, some] = joined(all, part);
  return [x, whole, some.map((value, place) => (value === null || whole[place] === null ? value : Math.min(value, whole[place])))];
}
