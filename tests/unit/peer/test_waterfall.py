"""Where a pull's time went: the critical path adds up to the pull, and names what held it up."""

from __future__ import annotations

import os
import random
from itertools import pairwise
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from swarm.peer.trace import (
    BLOCKS_KEPT,
    FETCH,
    FIND,
    FINISH,
    MANIFEST,
    PREPARE,
    RUNS_KEPT,
    PullTrace,
    Recorder,
)
from swarm.peer.traces import KEPT, Traces
from swarm.peer.verdict import Verdict, judge
from swarm.peer.waterfall import critical_path, sums

DATASET = "library/d"


class Told:
    """A pull that is told of in seconds from its start."""

    def __init__(self, *, find: float = 0.1, manifest: float = 0.2, prepare: float = 0.3) -> None:
        self.recorder = Recorder(1000.0, 0.0)
        for name, at in ((FIND, 0.0), (MANIFEST, find), (PREPARE, manifest), (FETCH, prepare)):
            self.recorder.phase(name, 1000.0 + at)

    def joined(self, peer: str, at: float, *, origin: int = 0) -> None:
        self.recorder.joined(peer, origin, False, 1000.0 + at)

    def run(
        self,
        peer: str,
        asked: float,
        ended: float,
        *,
        wait: float = 0.0,
        disk: float = 0.0,
        hashing: float = 0.0,
        size: int = 1_000_000,
    ) -> None:
        """A run of one block, whose bytes come in what is left of its time."""
        run = self.recorder.run(peer, 1000.0 + asked)
        run.begun(0, 1000.0 + asked + wait)
        stored = 1000.0 + ended
        run.received(0, size, stored - disk - hashing, stored - disk, stored)
        self.recorder.ended(run, stored, "whole")

    def end(self, fetched: float, end: float, *, limit: float = 0.0) -> PullTrace:
        self.recorder.phase(FINISH, 1000.0 + fetched)
        return self.recorder.end(
            1000.0 + end, ref="d:v1", dataset=DATASET, version=b"v", directory="/d", limit_bytes_per_s=limit
        )


def verdict_of(trace: PullTrace) -> Verdict:
    steps = critical_path(trace)
    assert abs(sum(step.seconds for step in steps) - trace.seconds) < 1e-3
    for before, after in pairwise(steps):
        assert abs(before.end - after.start) < 1e-5
    return judge(trace, steps)


def test_a_slow_peer_beside_fast_ones() -> None:
    told = Told()
    for peer in ("fast1", "fast2", "slow"):
        told.joined(peer, 0.3)
    for number in range(3):
        told.run("fast1", 0.3 + number, 1.3 + number)
        told.run("fast2", 0.3 + number, 1.3 + number)
    told.run("slow", 0.3, 9.3)
    verdict = verdict_of(told.end(9.3, 9.4))
    assert (verdict.cause, verdict.peer) == ("peer", "slow")
    assert "a slow peer, slow" in verdict.sentence
    assert verdict.sentence.startswith("9.0 of 9.4 s")


def test_a_short_pull_is_told_in_hundredths() -> None:
    told = Told(find=0.01, manifest=0.02, prepare=0.03)
    told.joined("seed", 0.0, origin=1)
    told.run("seed", 0.03, 0.07)
    assert verdict_of(told.end(0.07, 0.08)).sentence.startswith("0.04 of 0.08 s went into the origin")


def test_equal_peers_are_the_network() -> None:
    told = Told()
    for peer in ("a", "b", "c"):
        told.joined(peer, 0.3)
        for number in range(5):
            told.run(peer, 0.3 + number, 1.3 + number)
    assert verdict_of(told.end(5.3, 5.4)).cause == "peers"


def test_the_same_is_its_own_limit_where_that_is_reached() -> None:
    told = Told()
    for number in range(5):
        told.run("a", 0.3 + number, 1.3 + number)
    assert verdict_of(told.end(5.3, 5.4, limit=1_100_000.0)).cause == "limit"


def test_nobody_who_has_it() -> None:
    told = Told()
    told.joined("late", 6.0)
    told.run("late", 6.0, 7.0)
    told.recorder.looked(1000.3, 1000.31)
    verdict = verdict_of(told.end(7.0, 7.1))
    assert verdict.cause == "discovery"
    assert "no neighbour that was known" in verdict.sentence


def test_the_same_is_the_tracker_where_that_does_not_answer() -> None:
    told = Told()
    told.joined("late", 6.0)
    told.run("late", 6.0, 7.0)
    told.recorder.looked(1000.4, 1003.0, "connection refused")
    verdict = verdict_of(told.end(7.0, 7.1))
    assert verdict.cause == "tracker"
    assert "connection refused" in verdict.sentence
    assert abs(verdict.seconds - 5.6) < 0.01


def test_a_tracker_that_answers_again_is_to_blame_no_more() -> None:
    told = Told()
    told.joined("late", 6.0)
    told.run("late", 6.0, 7.0)
    told.recorder.looked(1000.4, 1001.0, "connection refused")
    told.recorder.looked(1001.5, 1002.0)
    trace = told.end(7.0, 7.1)
    spent = sums(critical_path(trace))
    assert abs(spent["tracker"] - 1.6) < 0.01
    assert abs(spent["discovery"] - (0.1 + 0.1 + 0.1 + 4.0)) < 0.01


def test_an_origin_that_lets_wait_is_the_cause() -> None:
    told = Told()
    told.joined("seed", 0.3, origin=1)
    told.joined("fast", 0.3)
    told.run("fast", 0.3, 1.0)
    told.run("seed", 0.3, 8.3, wait=3.0)
    verdict = verdict_of(told.end(8.3, 8.4))
    assert (verdict.cause, verdict.peer) == ("origin", "seed")


def test_the_disk_and_the_processor() -> None:
    told = Told()
    told.joined("fast", 0.3)
    for number in range(4):
        told.run("fast", 0.3 + number, 1.3 + number, disk=0.8, hashing=0.1)
    assert verdict_of(told.end(4.3, 4.4)).cause == "disk"
    told = Told()
    told.joined("fast", 0.3)
    for number in range(4):
        told.run("fast", 0.3 + number, 1.3 + number, hashing=0.7, disk=0.1)
    assert verdict_of(told.end(4.3, 4.4)).cause == "hashing"


def test_all_who_have_it_are_busy() -> None:
    told = Told()
    told.joined("full", 0.3)
    told.run("full", 5.0, 5.5)
    assert verdict_of(told.end(5.5, 5.6)).cause == "busy"


def test_what_is_here_already() -> None:
    told = Told(prepare=4.0)
    verdict = verdict_of(told.end(4.0, 4.1))
    assert verdict.cause == "local"


def test_a_run_that_races_in_vain_does_not_decide() -> None:
    """The last block came from one, and another that was asked for it too was cancelled at the same moment."""
    told = Told()
    told.joined("bringer", 0.3)
    told.joined("racer", 0.3)
    told.run("bringer", 0.3, 5.0)
    racing = told.recorder.run("racer", 1002.0)
    told.recorder.ended(racing, 1005.001, "cancelled")
    trace = told.end(5.0, 5.1)
    assert {step.source for step in critical_path(trace)} == {None, 0}
    assert abs(trace.runs[1].wait_s - 3.001) < 1e-6


@given(st.randoms(use_true_random=False))
def test_the_path_always_adds_up(rng: random.Random) -> None:
    """Whatever comes and goes, in parallel and with gaps."""
    told = Told()
    end = 0.5
    for number in range(rng.randint(1, 12)):
        peer = f"p{rng.randint(0, 4)}"
        asked = 0.3 + rng.random() * 5
        ended = asked + 0.05 + rng.random() * 3
        wait, disk = rng.random() * 0.02, rng.random() * 0.02
        told.joined(peer, max(0.3, asked - rng.random()), origin=number % 3)
        told.run(peer, asked, ended, wait=wait, disk=disk)
        if rng.random() < 0.3:
            told.recorder.left(peer, 1000.0 + ended)
        start = rng.random() * 6
        told.recorder.looked(1000.0 + start, 1000.0 + start + rng.random(), "" if rng.random() < 0.5 else "no")
        end = max(end, ended)
    verdict_of(told.end(end, end + 0.1))


def test_a_trace_is_bounded_and_its_middle_is_known_by_its_sums() -> None:
    told = Told()
    told.joined("a", 0.3)
    for number in range(4 * RUNS_KEPT):
        told.run("a", 0.3 + number, 1.3 + number, disk=0.75)
    trace = told.end(0.3 + 4 * RUNS_KEPT, 0.4 + 4 * RUNS_KEPT)
    assert len(trace.runs) == 2 * RUNS_KEPT
    assert len(trace.blocks) == 2 * BLOCKS_KEPT
    assert trace.runs_left_out == 2 * RUNS_KEPT
    assert trace.sources[0].blocks == 4 * RUNS_KEPT
    assert verdict_of(trace).cause == "disk"
    assert sums(critical_path(trace))["disk"] > 0.74 * trace.seconds


def test_the_ring_keeps_the_last_and_no_row_of_failures(tmp_path: Path) -> None:
    ring = Traces(tmp_path / "pulls")
    for number in range(KEPT + 5):
        ring.keep(_trace(number))
    assert len(list((tmp_path / "pulls").iterdir())) == KEPT
    for number in range(100, 110):
        ring.keep(_trace(number, problem="nobody answers"))
    assert len(list((tmp_path / "pulls").iterdir())) == KEPT
    found = ring.last(DATASET, bytes([7]))
    assert found is not None
    assert found.version == bytes([7])
    assert ring.last("library/other", b"") is None
    newest = ring.last(DATASET, b"unknown")
    assert newest is not None
    assert newest.problem == "nobody answers"


def test_a_broken_trace_is_no_harm(tmp_path: Path) -> None:
    ring = Traces(tmp_path)
    ring.keep(_trace(1))
    (tmp_path / "99999999999999999999-broken.trace").write_bytes(b"\xc1nothing")
    found = ring.last(DATASET, bytes([1]))
    assert found is not None


def test_what_a_killed_process_left_goes(tmp_path: Path) -> None:
    ring = Traces(tmp_path)
    left, new = tmp_path / ".left", tmp_path / ".new"
    for path in (left, new):
        path.write_bytes(b"half")
    os.utime(left, (1.0, 1.0))
    ring.keep(_trace(1))
    assert new.exists() and not left.exists()
    assert ring.last(DATASET, bytes([1])) is not None


def _trace(number: int, problem: str = "") -> PullTrace:
    recorder = Recorder(0.0, float(number))
    version = bytes([number % 256])
    return recorder.end(1.0, ref="d:v1", dataset=DATASET, version=version, directory="/d", problem=problem)
