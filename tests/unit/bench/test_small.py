"""Many small files are measured from two commands: copies that are right, wrong, too many, and steps that fail."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from bench.contenders import Step
from bench.report import Report, SmallRound
from bench.small import SmallSettings, run_small
from bench.small_tree import FOLDER_FILES, holds_tree, make_tree

REPORT = {"bound_s", "commit", "version", "machine", "settings", "summary", "rounds", "missing"}
FILES = FOLDER_FILES + 7
COPY = "import shutil, sys, pathlib as p; s, t = map(p.Path, sys.argv[1:]); shutil.copytree(s, t)"
REST = "import time; time.sleep(0.3)"


@dataclass(frozen=True, slots=True)
class Copying:
    """A contender that copies the directory with commands of its own; both ends are its folder."""

    pulling: str = COPY
    publishing: str = REST
    name: str = "copying"
    settings: Mapping[str, str] = field(default_factory=dict)
    why: str | None = None

    def missing(self) -> str | None:
        return self.why

    @contextmanager
    def pair(self, folder: Path) -> Iterator[CopyingPair]:
        folder.mkdir()
        yield CopyingPair(self, folder)


@dataclass(frozen=True, slots=True)
class CopyingPair:
    """Nothing stands."""

    contender: Copying
    folder: Path
    marks = frozenset({".mark"})

    @property
    def source(self) -> Path:
        return self.folder / "source"

    @property
    def received(self) -> Path:
        return self.folder / "received"

    def pids(self) -> list[int]:
        return []

    def publish(self) -> Step:
        return self._step(self.contender.publishing)

    def pull(self) -> Step:
        return self._step(self.contender.pulling)

    def _step(self, script: str) -> Step:
        return Step([sys.executable, "-c", script, str(self.source), str(self.received)])


def measured(tmp_path: Path, *contenders: Copying, rounds: int = 1) -> tuple[Report[SmallRound], list[str]]:
    told: list[str] = []
    settings = SmallSettings(FILES, 100, rounds, seed=7)
    report = run_small(contenders, settings, tmp_path, told.append)
    assert list(tmp_path.iterdir()) == []
    return report, told


def test_both_steps_and_the_whole_are_measured(tmp_path: Path) -> None:
    report, _ = measured(tmp_path, Copying())
    (entry,) = json.loads(report.as_json())["rounds"]
    assert entry["ok"]
    assert entry["publish_s"] >= 0.3
    assert entry["pull_s"] > 0
    assert entry["seconds"] >= entry["publish_s"] + entry["pull_s"] - 0.002  # each is rounded
    assert entry["cpu_s_per_gb"] > 0
    assert entry["peak_rss_bytes"] > 1024**2


def test_the_report_is_in_the_form_of_the_others(tmp_path: Path) -> None:
    report, _ = measured(tmp_path, Copying(), Copying(name="absent", why="it is not installed"))
    told = json.loads(report.as_json())
    assert set(told) == REPORT
    assert set(told["rounds"][0]) == {
        "contender", "publish_s", "pull_s", "seconds", "cpu_s_per_gb", "peak_rss_bytes", "ok", "failures"
    }  # fmt: skip
    assert told["missing"] == [{"contender": "absent", "why": "it is not installed"}]


@pytest.mark.parametrize(
    "damage",
    ["f.write_bytes(b'!' + f.read_bytes()[1:])", "f.unlink()", "(t / 'extra').write_bytes(b'')"],
    ids=["wrong", "lacking", "extra"],
)
def test_what_is_not_the_tree_is_not_ok(tmp_path: Path, damage: str) -> None:
    report, told = measured(tmp_path, Copying(f"{COPY}; f = max(t.rglob('*.bin')); {damage}"))
    (entry,) = json.loads(report.as_json())["rounds"]
    assert not entry.pop("ok")
    assert (entry.pop("contender"), entry.pop("failures")) == ("copying", ["what arrived is not what was published"])
    assert set(entry.values()) == {None}
    assert any("not what was published" in line for line in told)


@pytest.mark.parametrize("step", ["publish", "pull"])
def test_a_step_that_fails_is_told_with_its_reason(tmp_path: Path, step: str) -> None:
    fail = "import sys; sys.exit('no luck')"
    report, told = measured(tmp_path, Copying(publishing=fail) if step == "publish" else Copying(fail))
    assert [entry.ok for entry in report.rounds] == [False]
    assert any(f"{step} ended with 1: no luck" in line for line in told)


def test_contenders_take_turns_in_an_order_that_rotates(tmp_path: Path) -> None:
    report, _ = measured(tmp_path, Copying(name="a"), Copying(name="b"), rounds=2)
    assert [entry.contender for entry in report.rounds] == ["a", "b", "b", "a"]


def test_a_tree_follows_from_its_seed_and_marks_at_its_top_do_not_count(tmp_path: Path) -> None:
    hashes = make_tree(tmp_path / "a", FILES, 100, seed=3)
    assert make_tree(tmp_path / "b", FILES, 100, seed=3) == hashes
    assert make_tree(tmp_path / "c", FILES, 100, seed=4) != hashes
    assert len({Path(path).parent for path in hashes}) == 2
    assert len(set(hashes.values())) == FILES
    (tmp_path / "a/.mark").mkdir()
    (tmp_path / "a/.mark/of-its-own").write_bytes(b"")
    assert holds_tree(tmp_path / "a", hashes, {".mark"})
    assert not holds_tree(tmp_path / "a", hashes, ())
