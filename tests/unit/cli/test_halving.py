"""Bisecting: few looks, the right one found, and honest suspects where some cannot be judged."""

from __future__ import annotations

import math
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from swarm.cli.bisect import Known, between, run_on, versions_of
from swarm.cli.halving import Found, Verdict, next_look
from swarm.errors import AetherError, UsageError


def found_by(first_bad: int, count: int, skipped: frozenset[int]) -> tuple[Found, int]:
    verdicts: list[Verdict | None] = ["good", *[None] * (count - 2), "bad"]
    looks = 0
    while not isinstance(look := next_look(verdicts), Found):
        looks += 1
        assert verdicts[look.at] is None
        verdicts[look.at] = "skip" if look.at in skipped else "bad" if look.at >= first_bad else "good"
    return look, looks


@given(st.data())
def test_the_first_bad_one_is_found_in_few_looks(data: st.DataObject) -> None:
    count = data.draw(st.integers(2, 300))
    first_bad = data.draw(st.integers(1, count - 1))
    found, looks = found_by(first_bad, count, frozenset())
    assert found.suspects == (first_bad,)
    assert looks <= math.ceil(math.log2(count))


@given(st.data())
def test_skipped_ones_leave_suspects_among_which_it_is(data: st.DataObject) -> None:
    count = data.draw(st.integers(2, 40))
    first_bad = data.draw(st.integers(1, count - 1))
    skipped = data.draw(st.frozensets(st.integers(1, count - 1)))
    found, _ = found_by(first_bad, count, skipped)
    assert first_bad in found.suspects
    assert set(found.suspects[:-1]) <= skipped


def test_versions_are_in_the_order_in_which_a_tag_first_pointed_to_them() -> None:
    def entry(serial: int, version: str | None) -> dict[str, object]:
        move = {"tag": "v", "version": version}
        return {"serial": serial, "time": 0, "publisher": "p", "message": "", "bytes": 1, "moves": [move]}

    entries = [entry(1, "a"), entry(2, "b"), entry(3, "a"), entry(4, None), entry(5, "c")]
    versions = versions_of(entries)
    assert [(each["version"], each["serial"]) for each in versions] == [("a", 1), ("b", 2), ("c", 5)]
    assert between(versions, 0, 1) == versions[:2]
    with pytest.raises(UsageError):
        between(versions, 1, 1)


def test_what_was_found_is_known_again_for_the_same_command_alone(tmp_path: Path) -> None:
    known = Known(tmp_path, "d:v", ["test", "{}"])
    known.add("a", "good")
    known.add("b", "skip")
    assert Known(tmp_path, "d:v", ["test", "{}"]).verdicts == {"a": "good", "b": "skip"}
    assert Known(tmp_path, "d:v", ["other"]).verdicts == {}
    assert Known(tmp_path, "d:w", ["test", "{}"]).verdicts == {}
    known.forget()
    assert Known(tmp_path, "d:v", ["test", "{}"]).verdicts == {}


def test_the_command_is_told_where_the_version_lies_and_its_end_says_what_it_is(tmp_path: Path) -> None:
    told = {"AETHERFS_REF": "d@a", "AETHERFS_VERSION": "a"}
    same = "int(os.environ['AETHERFS_SERIAL']) if sys.argv[1] == os.environ['AETHERFS_PATH'] else 1"
    check = f"import os, sys; sys.exit({same})"
    assert run_on([sys.executable, "-c", check, "{}"], tmp_path, told, 0) == 0
    assert run_on([sys.executable, "-c", check, "{}"], tmp_path, told, 125) == 125
    with pytest.raises(AetherError, match="repeat bisect"):
        run_on([sys.executable, "-c", "import os; os.kill(os.getpid(), 9)"], tmp_path, told, 0)
    with pytest.raises(AetherError, match="cannot be run"):
        run_on([str(tmp_path / "nothing")], tmp_path, told, 0)
