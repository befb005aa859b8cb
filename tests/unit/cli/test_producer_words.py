"""What the commands for producers say: which of two things is meant, what came of forecasts, numbers with nouns."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest

from swarm.analysis.changes import Change
from swarm.analysis.difference import Difference
from swarm.analysis.report import counted as counts_of
from swarm.cli.analyze import NEIGHBOURS, change_lines
from swarm.cli.bars import step_words
from swarm.cli.bisect import at_serial, between, versions_of
from swarm.cli.diff import difference_lines, weighty
from swarm.cli.explain import _lines
from swarm.cli.main import main
from swarm.cli.program import Program
from swarm.cli.references import names_path
from swarm.cli.simulation_lines import calibration_lines, lines_told
from swarm.cli.stats import stats_lines
from swarm.cli.tags import log_lines
from swarm.cli.waterfall_page import page_of
from swarm.errors import NotFoundError, UsageError
from swarm.figure_messages import Completion, Sources
from swarm.sim.calibration import Actual, Kept
from swarm.sim.forecast import Conditions
from swarm.sim.simulation import Calibration
from swarm.stats_messages import PublishTold, RefusedTold, RolloutTold, Stats
from swarm.units import counted


def test_what_is_here_and_can_be_no_version_is_a_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("Data", "roads"):
        (tmp_path / name).mkdir()
    home = tmp_path / "home"
    home.mkdir()
    program = Program()
    program.flags["home"] = str(home)
    assert names_path(program, "./nowhere") and names_path(program, "/nowhere")
    assert names_path(program, "Data") and names_path(program, "roads/")
    assert names_path(program, "roads"), "this home is in no swarm"
    assert not names_path(program, "rails")
    for name in ("swarm", "certificate.pem"):
        (home / name).touch()
    assert not names_path(program, "roads"), "there may be such a version: it is asked for"


def versions() -> list[dict[str, Any]]:
    return [{"version": letter * 64, "serial": serial} for letter, serial in (("a", 1), ("b", 2), ("c", 5))]


def test_bisect_says_why_there_is_nothing_to_halve() -> None:
    assert between(versions(), 0, 2, is_now=True) == versions()
    for good, bad, is_now, said in (
        (0, 0, True, "the tag is back at aaaaaaaaaaaa (serial 1)"),
        (0, 0, True, "--bad 5"),
        (1, 1, False, "are the same, bbbbbbbbbbbb (serial 2)"),
        (2, 2, True, "are the same, cccccccccccc (serial 5)"),
        (2, 0, False, "cccccccccccc (serial 5), came after the bad one"),
    ):
        with pytest.raises(UsageError) as caught:
            between(versions(), good, bad, is_now=is_now)
        assert said in str(caught.value)


def test_bisect_takes_a_serial_for_what_the_tag_pointed_to_then() -> None:
    told = {"time": 1, "publisher": "p", "message": "", "bytes": 1}
    moves = [(1, "a"), (2, "b"), (5, "c"), (7, "a"), (9, None)]
    entries = [{"serial": at, "moves": [{"tag": "stable", "version": to}], **told} for at, to in moves]
    versions = versions_of(entries)
    for serial, at in ((1, 0), (2, 1), (4, 1), (5, 2), (6, 2), (7, 0)):
        assert at_serial("maps/roads:stable", serial, entries, versions) == at, serial
    for serial in (0, 10):
        with pytest.raises(NotFoundError, match=f"has no entry {serial}"):
            at_serial("maps/roads:stable", serial, entries, versions)


def test_a_path_for_the_older_version_is_said_to_be_one(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["diff", "./v1", "./v2"]) == 2
    assert "'./v1' is a path, and the older of the two is a version" in capsys.readouterr().err


def test_numbers_have_their_nouns() -> None:
    assert [counted(number, "file") for number in (0, 1, 2)] == ["0 files", "1 file", "2 files"]
    assert counted(2, "file equals", "files equal") == "2 files equal"
    assert lines_told(Conditions(1, 1e6)) == "1 peer of 8 Mbit/s each, 1 seed of 8 Mbit/s"
    assert lines_told(Conditions(3, 1e6, sites=1, seeds=2)) == "3 peers in 1 site of 8 Mbit/s each, 2 seeds of 8 Mbit/s"


def test_forecasts_are_told_beside_what_came() -> None:
    kept = Kept(1.0, "maps/roads:v1", "maps/roads", "ab" * 32, Conditions(4, 1e6), 10, 2.0, 3.0, 4.0)
    alone = list(calibration_lines(Calibration(None, None, None, 0, (kept,))))
    assert "p95 foreseen" in alone[0] and "8 Mbit/s" in alone[1]
    in_sites = msgspec.structs.replace(kept, conditions=Conditions(4, 1e6, sites=2))
    assert "8 Mbit/s, 2 sites" in list(calibration_lines(Calibration(None, None, None, 0, (in_sites,))))[1]
    assert alone[-1].startswith("nothing can be compared yet: a rollout counts that began after its forecast")
    told = msgspec.structs.replace(kept, actual=Actual(2.0, 4, 3.0, 6.0, 7.0))
    early = msgspec.structs.replace(told, at=9.0)
    assert next(
        line for line in calibration_lines(Calibration(None, None, None, 0, (early,))) if "v1" in line
    ).endswith("maps/roads:v1 (not compared)")
    lines = list(calibration_lines(Calibration(1.5, 2.0, 1.75, 1, (told,))))
    assert lines[-1] == (
        "real rollouts took 1.50 times the foreseen p50 and 2.00 times the foreseen p95, "
        "by the one that can be compared"
    )


def explained(**more: Any) -> dict[str, Any]:
    """A pull of 2 s: a second until its version was found, in which a phase ended; then a seed gives it."""
    step = {"start": 0.0, "end": 1.0, "cause": "discovery", "source": None, "what": ""}
    pull = {
        "version": "ab" * 32, "began": 1.0, "seconds": 2.0, "bytes": 1, "reused": 0, "problem": "",
        "verdict": "it waited", "notes": [], "causes": {"discovery": 1.0}, "runs": [],
        "sources": [{"name": "seed abc", "bytes": 1, "wait_s": 0.0, "transfer_s": 1.0, "rate_bytes_per_s": 1.0}],
        "critical_path": [step, {"start": 1.0, "end": 2.0, "cause": "origin", "source": 0, "what": "bytes"}],
        "phases": [{"name": "find", "start": 0.0, "end": 0.9}, {"name": "manifest", "start": 0.9, "end": 2.0}],
    }  # fmt: skip
    block = {
        "offset": 0, "bytes": 5, "signature": "cd" * 32, "here": True, "neighbours": 1, "dht": 1,
        "came_from": None, "asked_s": None, "stored_s": None,
    }  # fmt: skip
    holders = {
        "here": {"blocks": 1, "of": 1},
        "tracker": {"answers": True, "named": 1, "complete": 1, "or_more": False},
        "neighbours": {"connected": 1, "have_some": 1, "have_all": 1, "of_this_site": 1},
        "seeds": {"known": 1, "have_all": 1},
        "dht": {"answers": True, "providers": 1},
        "problems": {},
    }
    return {
        "ref": "maps/roads:v1/a", "version": "ab" * 32, "serial": 1, "path": "a", "files": 1, "paths": 1, "bytes": 5,
        "blocks": 2, "holders": holders, "shown": [], "block_list": [block, {**block, "dht": None}], "pull": pull,
        **more,
    }  # fmt: skip


def test_explain_says_what_its_columns_are_and_how_many_are_left_out() -> None:
    text = "\n".join(_lines(explained()))
    assert ": 1 file, 5 B in 2 blocks" in text
    assert "names 1 peer, 1 with all of it" in text
    assert "dht: how many peers it names for a block; the first 1 blocks were looked up there" in text
    assert "the origin: bytes of seed abc" in text
    assert "no pull of it is among the last 20 that were traced here" in "\n".join(_lines(explained(pull=None)))
    assert "and 8 more paths: name one of them" in "\n".join(_lines(explained(block_list=[], paths=8, files=3)))


def test_the_waterfalls_page_marks_a_step_in_every_phase_that_it_lasts() -> None:
    page = page_of(explained())
    assert page.count('class="path"') == 3, "the first step ends in the second phase; the last has a row of its own"
    assert "min-width:720px" in page and "overflow-x:auto" in page, "narrow screens move it, and do not shrink it"
    step = explained()["pull"]["critical_path"][0]
    assert step_words(explained()["pull"], step) == "finding who has it"


def test_a_log_has_headings_and_what_a_move_cost_stands_in_that_of_one_tag() -> None:
    move = {"serial": 3, "time": 1, "kind": "tag", "message": "second", "publisher": "ab" * 32}
    entry = {**move, "moves": [{"tag": "v1", "version": "cd" * 32}], "fetch_bytes": 9, "p95_s": 2.0}
    heads, told = (line.split() for line in log_lines([entry], with_figures=False))
    assert heads == ["serial", "time", "kind", "moves", "files", "size", "by", "message"]
    assert told[4:] == ["tag", "v1=" + "cd" * 6, "-", "-", "ab" * 6, "second"]
    figures, with_them = log_lines([entry], with_figures=True)
    assert "  fetched  95% in  by" in figures and "  9 B      2.0 s   ab" in with_them


def performing(*followers: int, tag: str | None = None, **more: Any) -> list[str]:
    """What is told of moves with so many followers each, who all have it."""
    moves = []
    for serial, wanted in enumerate(followers, 1):
        after_s = 1.0 if wanted else None
        completion = Completion(after_s, after_s, after_s, after_s, ((1.0, wanted),) if wanted else ())
        rollout = RolloutTold(None, wanted, wanted, 0, completion, Sources(), None)
        moves.append(PublishTold(serial, f"v{serial}", "ab" * 32, 1.0, "publish", "", 9, 1, rollout))
    bad = RefusedTold(0, 0, None)
    told = Stats("maps/roads", "maps/roads", tag, 2.0, 0.0, tuple(moves), (), (), (), (), bad, 1.0, {})
    return list(stats_lines(msgspec.structs.replace(told, **more)))


def test_moves_that_nobody_followed_are_counted_alone_in_a_whole_datasets_figures() -> None:
    left = "of tags that nobody followed: see `aetherfs stats maps/roads:TAG`"
    lines = performing(2, 0, 0)
    assert [line.split()[4] for line in lines if "abab" in line] == ["v1"]
    assert f"and 2 moves {left}" in lines
    assert performing(0)[2] == f"1 move {left}" and not any("serial" in line for line in performing(0))
    assert sum("nobody" in line for line in performing(0, tag="v1")) == 1, "who asks of one tag is told of it"


def test_what_there_is_none_of_is_said_in_words() -> None:
    why = "nothing was published in that time: look further back with --since"
    lines = performing(reasons={"publishes": why, "heat": "the tracker is away"})
    assert lines[2] == why and "what is read in the swarm: the tracker is away" in lines
    assert not any(line.endswith(": -") or line.startswith("  -: ") for line in lines)


def test_a_terminal_is_shown_the_paths_that_cost_most() -> None:
    touched = [Change(f"a/{n:03}", "touched", "file", 9, 9, 0) for n in range(100)]
    gone, new = Change("b", "removed", "file", 0, 9, 0), Change("c", "changed", "file", 9, 9, 9)
    changes = [*touched, gone, new]
    assert weighty(changes, None) == weighty(changes, 102) == [new, gone, *touched]
    assert weighty(changes, 3) == [new, gone, touched[0]]
    near = Change("a/000", "touched", "file", 9, 9, 99)
    assert weighty([near, gone, new], None) == [new, gone, near], "a neighbour in a block is none that changed"
    assert change_lines([new, near])[-1] == NEIGHBOURS and NEIGHBOURS not in change_lines([new, touched[0]])
    told = Difference("v1", "aa", "v2", "bb", False, 9, 1, 9, 0, counts_of(changes), tuple(changes))
    lines = list(difference_lines(told, None, 3))
    assert lines[-1] == "and 99 more paths, 99 of them touched alone: all of them with --json, or in a pipe"
    assert len(lines) == 7 and len(list(difference_lines(told, None))) == 105
