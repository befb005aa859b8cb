"""``simulate`` as a producer types it: a rollout foretold, and a history at other block sizes."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from swarm.cli.foretelling import foretold_s
from swarm.cli.main import main
from swarm.cli.program import Program
from swarm.publish_budget import Budget
from tests.integration.swarm_thread import SwarmThread, swarm_thread
from tests.integration.test_predicted import Told, check_page, told
from tests.unit.analysis.samples import put, rows, table, with_a_row

LINES = rows(60_000)
REF = "maps/told:main"
LINE = ("--peers", "3", "--link", "20mbit", "--runs", "1")


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SwarmThread]:
    with swarm_thread(tmp_path_factory.mktemp("foretold")) as running:
        yield running


__all__ = ["told"]


def files_of(lines: list[bytes]) -> dict[str, bytes]:
    return {"table.csv": table(lines), **{f"small/{n}": b"%d" % n * 50 for n in range(200)}}


def test_a_rollout_is_foretold_and_the_history_is_cut_at_other_sizes(running: SwarmThread, told: Told) -> None:
    page = running.folder / "forecast.html"
    first = running.publish(put(running.folder / "old", files_of(LINES)), REF)
    new = put(running.folder / "new", files_of(with_a_row(LINES)))
    foreseen = told.object("simulate", str(new), "--against", REF, *LINE, "--html", str(page))
    difference = told.object("diff", REF, str(new))
    check_page(page.read_text())
    assert foreseen["fetch"]["bytes"] == difference["fetch_bytes"]
    assert foreseen["forecast"]["bound_s"] <= foreseen["forecast"]["p50_s"] <= foreseen["forecast"]["last_s"]
    assert foreseen["store"]["gets"] == 1 and 0 < foreseen["store"]["cost"] < 0.01
    sizes = {step["parameter_bytes"] >> 10: step for step in foreseen["sweep"]["steps"]}
    assert sizes[256]["is_in_use"] and sizes[256]["fetch_bytes"] == difference["fetch_bytes"]
    assert sizes[64]["fetch_bytes"] < sizes[1024]["fetch_bytes"]

    second = running.publish(new, REF)
    again = told.object("simulate", REF, "--sites", "2", *LINE)
    assert again["sweep"]["versions"] == [first["version"], second["version"]]
    assert again["sweep"]["steps"][2]["fetch_bytes"] == difference["fetch_bytes"]
    assert again["conditions"]["sites"] == 2 and again["fetch"]["bytes"] == difference_of_nothing(new)
    kept = told.object("simulate", "--calibration")["kept"]
    assert [each["version"] for each in kept] == [second["version"]] * 2 and kept[0]["actual"] is None
    assert "in use" in told.text("simulate", REF, *LINE)


def test_a_name_is_a_version_or_else_what_lies_here(
    running: SwarmThread, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    home = ("--home", str(running.producer.home.path))
    here = put(running.folder / "here", {"table.csv": table(LINES[:100])})
    (here / "empty").mkdir()
    running.publish(here, "here:latest")
    assert main(["explain", "here", "--json", *home]) == 0
    explained = json.loads(capsys.readouterr().out)
    assert (explained["files"], explained["paths"], len(explained["shown"])) == (1, 2, 2), "a directory is no file"
    put(running.folder / "there", {"table.csv": table(LINES[:90])})
    monkeypatch.chdir(running.folder)
    monkeypatch.setattr("swarm.analysis.rows.can_compare", lambda: False)
    assert main(["diff", "here", "there", "--rows", *home]) == 0
    found = capsys.readouterr()
    assert "there is no version there: what lies here by that name is taken" in found.err
    assert "rows are compared by duckdb, which is not installed" in found.err
    assert "1 removed, 1 changed" in found.out and "table.csv" in found.out, "the rest of it is told"
    assert main(["diff", "here", "here", *home]) == 0
    found = capsys.readouterr()
    assert "the version here is taken; write ./here for what lies here by that name" in found.err
    assert "the same" in found.out
    assert main(["simulate", "there", "--against", "here", *LINE, "--no-sweep", *home]) == 0
    assert "fetches" in capsys.readouterr().out
    assert main(["diff", "here", "nowhere", *home]) == 3


def difference_of_nothing(directory: Path) -> int:
    return sum(path.stat().st_size for path in directory.rglob("*") if path.is_file())


def test_what_is_not_done_is_said(running: SwarmThread, told: Told, tmp_path: Path) -> None:
    running.publish(put(tmp_path / "one", {"a": b"x" * 100_000}), "maps/one:main")
    alone = told.object("simulate", "maps/one:main", *LINE)
    assert alone["sweep"]["steps"] == [] and "no version before this one" in alone["sweep"]["reason"]
    large = told.object("simulate", REF, *LINE, "--budget", "1")
    assert "--budget" in large["sweep"]["reason"]
    assert "--no-sweep" in told.object("simulate", REF, *LINE, "--no-sweep")["sweep"]["reason"]


def test_the_first_bad_version_is_found_and_a_wrong_end_is_said_first(
    running: SwarmThread, capfd: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """A command that fails for all, or for none, costs one or two tries and not the search."""
    ref, home = "maps/halved:main", ("--home", str(running.producer.home.path))
    versions = [running.publish(put(tmp_path / f"v{n}", {"n": b"%d" % n}), ref)["version"] for n in range(1, 6)]

    def bisected(*command: str, good: str = "1", more: tuple[str, ...] = (), exit_code: int = 0) -> Any:
        assert main(["bisect", ref, "--good", good, *more, *home, "--", *command]) == exit_code
        return capfd.readouterr()

    is_low = ("sh", "-c", "test $(cat {}/n) -lt 4")
    told = json.loads(bisected(*is_low, more=("--json",)).out)
    assert told["first_bad"]["version"] == versions[3]
    assert [step["verdict"] for step in told["steps"]] == ["bad", "good", "good", "bad"]
    assert "is not bad: name a later one with --bad" in bisected("true", exit_code=2).err
    assert "see whether the command itself is right" in bisected("sh", "nowhere.sh", exit_code=2).err
    assert "was found to be bad before" in bisected(*is_low, good="4", exit_code=2).err
    assert "is not good" in bisected(*is_low, good="4", more=("--again",), exit_code=2).err
    assert versions[1][:12] in bisected("false", more=("--trust-ends",)).out, "whoever trusts them is believed"
    assert "taken to be bad" in bisected("sh", "-c", "test $(cat {}/n) -lt 5 || exit 125").err


def test_refusals_are_lines(tmp_path: Path) -> None:
    home = ("--home", str(tmp_path / "home"))
    assert main(["simulate", *home]) == 2
    assert main(["simulate", str(tmp_path / "nowhere"), *home]) == 3
    assert main(["simulate", str(tmp_path), "--link", "fast", *home]) == 2
    assert main(["simulate", "maps/x:y/z", *home]) == 2


def test_a_budgets_time_is_the_simulators(running: SwarmThread) -> None:
    program = Program()
    program.flags["home"] = str(running.producer.home.path)
    sizes = [300_000] * 40
    budget = Budget(time_s=1, link_bytes_per_s=1e6)
    alone = foretold_s(program, sizes, budget)
    among = foretold_s(program, sizes, msgspec.structs.replace(budget, peers=8))
    assert 12.0 < alone < 24.0, "the line alone takes 12 s"
    assert alone < among < 8 * alone, "they share the seed's line, and give each other"
    assert foretold_s(program, [], budget) == 0.0
