"""The demo's checks: each must be able to fail."""

from __future__ import annotations

import io

from swarm.cli.demo.report import Round, Summary, check_alone, check_first, check_second, print_table

MIB = 1 << 20


def _round(origin: int, *, peers: int = 0, reused: int = 0, wasted: int = 0, new_blocks: int = 1) -> Round:
    pull = {
        "seconds": 1.0,
        "bytes": 100 * MIB,
        "from": {"peers": peers, "origin": origin, "reused": reused},
        "wasted": wasted,
    }
    return Round("a round", {"bytes": 100 * MIB, "new_blocks": new_blocks}, {"peer-1": pull, "peer-2": pull})


def test_copies_of_the_origin_are_counted_from_what_peers_received() -> None:
    assert _round(75 * MIB).origin_copies == 1.5


def test_a_cold_pull_passes_and_fails_at_the_bounds() -> None:
    summary = Summary("x")
    assert all(check.ok for check in check_first(summary, _round(75 * MIB, wasted=5 * MIB)))
    assert [check.ok for check in check_first(summary, _round(76 * MIB, wasted=0))] == [False, True]
    assert [check.ok for check in check_first(summary, _round(0, wasted=6 * MIB))] == [True, False]
    assert len(summary.failures) == 2
    assert summary.as_dict()["ok"] is False


def test_a_second_version_may_move_what_changed() -> None:
    summary = Summary("x")
    assert check_second(summary, _round(4 * MIB, peers=6 * MIB)).ok
    assert not check_second(summary, _round(4 * MIB, peers=7 * MIB)).ok
    assert check_second(summary, _round(4 * MIB, peers=7 * MIB, new_blocks=11)).ok


def test_the_late_peer_must_need_nobody_else() -> None:
    summary = Summary("x")
    assert check_alone(summary, _round(0, peers=100 * MIB)).ok
    assert not check_alone(summary, _round(1, peers=100 * MIB)).ok


def test_a_differing_tree_fails() -> None:
    summary = Summary("x")
    assert summary.check_tree("t", []).ok
    assert not summary.check_tree("t", ["a has other bytes"]).ok


def test_the_table_names_each_peer() -> None:
    stream = io.StringIO()
    print_table(_round(MIB, peers=2 * MIB), stream)
    assert "peer-1" in stream.getvalue()
    assert "2.1 MB" in stream.getvalue()
