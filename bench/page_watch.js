// Put into a page before anything of its own: when it was drawn, its long tasks and long animation frames, and the
// times of its frames. `isDrawn(place)` is given by bench/page.py; all times are milliseconds since the navigation.
(() => {
  const bench = (window.bench = { drawn: null, long: [], loaf: [], frames: null });
  const watch = (type, take) => {
    try { new PerformanceObserver((list) => list.getEntries().forEach(take)).observe({ type, buffered: true }); } catch { /* an older browser */ }
  };
  watch("longtask", (entry) => bench.long.push([entry.startTime, entry.duration]));
  watch("long-animation-frame", (entry) => bench.loaf.push([entry.startTime, entry.duration, entry.blockingDuration,
    entry.scripts.reduce((sum, script) => sum + script.duration, 0)]));
  const look = () => {
    if (window.benchIsDrawn?.()) {
      // It is seen once the frame that draws it is over: the one after it has begun.
      requestAnimationFrame(() => { bench.drawn = performance.now(); });
    } else requestAnimationFrame(look);
  };
  requestAnimationFrame(look);
  bench.begin = () => {
    let last = 0;
    bench.frames = [];
    bench.loaf = [];
    const step = (at) => {
      if (!bench.frames) return;
      if (last) bench.frames.push(at - last);
      last = at;
      requestAnimationFrame(step);
    };
    requestAnimationFrame(step);
  };
  bench.end = () => {
    const found = { frames: bench.frames, loaf: bench.loaf };
    bench.frames = null;
    return found;
  };
})();
