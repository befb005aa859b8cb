"""What a page's frames cost, out of a trace of Chromium; and when a page can be used. Pure.

A **frame** is the main thread's tasks since the frame before, up to and with the one that runs the frame's callbacks,
lays out and paints: so what a message of the stream costs is part of the frame that shows it. ``work`` is how long
these tasks took, waiting for a processor included, ``cpu`` what they had of one. A page that stands still has frames
too, of next to no work: so beside all frames those are told that painted something, which are the ones that are seen.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

CATEGORIES: Final = ("toplevel", "devtools.timeline", "disabled-by-default-devtools.timeline")
QUIET_MS: Final = 500.0
# What each thread is for, by Chromium's names of them; where there is no GPU, pool and VizCompositorThread rasterize.
THREADS: Final = {
    "CrRendererMain": "main",
    "Compositor": "compositor",
    "ThreadPoolForegroundWorker": "raster",
    "VizCompositorThread": "viz",
}
_TASKS: Final = ("RunTask", "ThreadPool_RunTask")


@dataclass(frozen=True, slots=True)
class Frames:
    """Milliseconds. ``cpu_ms_per_s``: of threads of the page's renderer and of what draws for it, by what they do."""

    count: int
    work_p95_ms: float
    work_p99_ms: float
    painted: int
    painted_work_p50_ms: float
    painted_work_p95_ms: float
    painted_cpu_p95_ms: float
    most_work_ms: float
    cpu_ms_per_s: dict[str, float]


NO_FRAMES: Final = Frames(0, 0.0, 0.0, 0, 0.0, 0.0, 0.0, 0.0, {})


def percentile(values: Iterable[float], share: float) -> float:
    """By nearest rank; 0 of nothing."""
    found = sorted(values)
    return round(found[max(0, -int(-share * len(found) // 1) - 1)], 2) if found else 0.0


def interactive_ms(drawn: float, long_tasks: Sequence[Sequence[float]]) -> float:
    """When a page can be used that was drawn then: at the end of the last long task that goes on after, or begins less
    than ``QUIET_MS`` after the one before. ``long_tasks``: (begin, duration), milliseconds since the navigation.

    It is time to interactive (https://web.dev/articles/tti) with a quiet window of half a second: figures never cease
    to come, so the network does not fall silent for the five seconds that Lighthouse waits for.
    """
    ready = drawn
    for begun, duration in sorted(map(tuple, long_tasks)):
        if begun + duration > ready and begun < ready + QUIET_MS:
            ready = begun + duration
    return round(ready, 1)


def frames_of(events: Sequence[Mapping[str, Any]]) -> Frames:
    """The frames of the page that had most of them. ``events``: as Chromium writes them, ``traceEvents``."""
    names = {(e["pid"], e["tid"]): e["args"]["name"] for e in events if e["ph"] == "M" and e["name"] == "thread_name"}
    spans = sorted((e for e in events if e["ph"] == "X"), key=lambda e: e["ts"])
    fired = [(e["pid"], e["tid"]) for e in spans if e["name"] == "FireAnimationFrame"]
    if not fired:
        return NO_FRAMES
    page = max(set(fired), key=fired.count)
    found = _frames([e for e in spans if (e["pid"], e["tid"]) == page])
    painted = [frame for frame in found if frame[2]]
    seconds = max(0.001, (spans[-1]["ts"] - spans[0]["ts"]) / 1e6)
    works = [work for work, _, _ in found]
    return Frames(
        len(found),
        percentile(works, 0.95),
        percentile(works, 0.99),
        len(painted),
        percentile([work for work, _, _ in painted], 0.5),
        percentile([work for work, _, _ in painted], 0.95),
        percentile([cpu for _, cpu, _ in painted], 0.95),
        percentile(works, 1.0),
        _cpu(spans, names, page[0], seconds),
    )


def _frames(spans: Sequence[Mapping[str, Any]]) -> list[tuple[float, float, bool]]:
    """(work, CPU, whether it painted) of each frame, out of the spans of one thread in order of time."""
    found: list[tuple[float, float, bool]] = []
    work = cpu = end = 0.0
    is_frame = has_painted = False
    for span in spans:
        if span["name"] == "RunTask" and span["ts"] >= end:
            if is_frame:
                found.append((work, cpu, has_painted))
                work = cpu = 0.0
                is_frame = has_painted = False
            end = span["ts"] + span.get("dur", 0)
            work += span.get("dur", 0) / 1000
            cpu += span.get("tdur", 0) / 1000
        elif span["name"] == "FireAnimationFrame":
            is_frame = True
        elif span["name"] == "Paint":
            has_painted = True
    return found[1:]  # what was before the trace began is not known of the first


def _cpu(
    spans: Sequence[Mapping[str, Any]], names: Mapping[tuple[int, int], str], page: int, seconds: float
) -> dict[str, float]:
    sums: dict[str, float] = {}
    ends: dict[tuple[int, int], float] = {}
    for span in spans:
        thread = (span["pid"], span["tid"])
        kind = THREADS.get(names.get(thread, ""))
        if kind is None or span["name"] not in _TASKS or span["ts"] < ends.get(thread, 0):
            continue
        if kind != "viz" and span["pid"] != page:
            continue
        ends[thread] = span["ts"] + span.get("dur", 0)
        sums[kind] = sums.get(kind, 0.0) + span.get("tdur", 0) / 1000
    return {kind: round(total / seconds, 1) for kind, total in sorted(sums.items())}
