"""Frames out of a trace, and when a page can be used."""

from __future__ import annotations

from typing import Any

from bench.frames import frames_of, interactive_ms, percentile

PAGE, OTHER = 7, 8


def span(name: str, at_ms: float, long_ms: float, cpu_ms: float = 0.0, pid: int = PAGE, tid: int = 1) -> dict[str, Any]:
    return {
        "ph": "X",
        "name": name,
        "pid": pid,
        "tid": tid,
        "ts": 1000 * at_ms,
        "dur": 1000 * long_ms,
        "tdur": 1000 * cpu_ms,
    }


def named(name: str, pid: int, tid: int) -> dict[str, Any]:
    return {"ph": "M", "name": "thread_name", "pid": pid, "tid": tid, "args": {"name": name}}


def frame(at_ms: float, long_ms: float, *inside: str) -> list[dict[str, Any]]:
    return [
        span("RunTask", at_ms, long_ms, long_ms / 2),
        *(span(each, at_ms + 0.1, 0.1) for each in ("FireAnimationFrame", *inside)),
    ]


def test_a_page_can_be_used_after_the_last_long_task_before_half_a_second_without_one() -> None:
    assert interactive_ms(700.0, []) == 700.0
    assert interactive_ms(700.0, [(100.0, 90.0)]) == 700.0
    assert interactive_ms(700.0, [(690.0, 60.0), (1200.0, 55.0)]) == 1255.0
    assert interactive_ms(700.0, [(1300.0, 80.0)]) == 700.0, "what comes later is not of the load"


def test_a_frame_is_all_that_was_done_since_the_frame_before() -> None:
    trace = [
        *frame(0, 9),
        span("RunTask", 10, 4, 1),  # a message of the stream
        *frame(16, 3, "Paint"),
        *frame(32, 1),
        *frame(48, 2, "Paint"),
        span("RunTask", 50, 1),
    ]
    found = frames_of(trace)
    assert (found.count, found.painted) == (3, 2)
    assert (found.painted_work_p50_ms, found.painted_work_p95_ms, found.most_work_ms) == (2.0, 7.0, 7.0)
    assert found.painted_cpu_p95_ms == 2.5


def test_tasks_within_tasks_count_once_and_threads_are_told_apart() -> None:
    trace = [
        named("CrRendererMain", PAGE, 1),
        named("ThreadPoolForegroundWorker", PAGE, 2),
        named("VizCompositorThread", OTHER, 3),
        named("CrRendererMain", OTHER, 1),
        *frame(0, 10),
        *frame(20, 10),
        span("RunTask", 22, 5, 5),
        span("ThreadPool_RunTask", 500, 30, 20, tid=2),
        span("RunTask", 600, 30, 30, pid=OTHER, tid=3),
        span("RunTask", 990, 10, 10, pid=OTHER, tid=1),
    ]
    found = frames_of([*trace, span("FireAnimationFrame", 1000, 0)])
    assert found.cpu_ms_per_s == {"main": 10.0, "raster": 20.0, "viz": 30.0}


def test_of_no_frames_nothing_is_told() -> None:
    assert frames_of([]).count == 0
    assert percentile([], 0.95) == 0.0
    assert percentile([3, 1, 2], 0.95) == 3
    assert percentile(range(1, 101), 0.95) == 95
