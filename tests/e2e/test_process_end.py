"""The process's end: without the interpreter's clearing up where an agent did the work, and nothing is lost by it."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.e2e.harness import Bench, spawn_line

# Imported at every start of Python; the interpreter's own end leaves the file.
MARKING = """
import atexit, os
atexit.register(lambda: open(os.environ["ENDED_IN_FULL"], "w").close())
"""
# The agent runs on "hub"; "edge" is a peer of its own for each command.
HOMES = ("hub", "edge")


@pytest.fixture(autouse=True)
def _buffered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PYTHONUNBUFFERED", raising=False)


def environment(swarm: Bench, home: str, mark: Path) -> Mapping[str, str]:
    folder = swarm.folder / "start"
    folder.mkdir(exist_ok=True)
    (folder / "sitecustomize.py").write_text(MARKING, encoding="ascii")
    return {**swarm.environment(home), "PYTHONPATH": str(folder), "ENDED_IN_FULL": str(mark)}


@pytest.mark.parametrize("home", HOMES)
def test_only_what_an_agent_carried_out_ends_at_once(swarm: Bench, tmp_path: Path, home: str) -> None:
    mark = tmp_path / "mark"
    for arguments, exit_code in ((["ls"], 0), (["inspect", "nosuch:v1"], 3)):
        ended = subprocess.run(
            [*spawn_line(), *arguments], env=environment(swarm, home, mark), capture_output=True, check=False
        )
        assert ended.returncode == exit_code
        assert mark.exists() == (home == "edge")


@pytest.mark.parametrize("home", HOMES)
def test_all_output_is_in_the_pipe_or_the_file(swarm: Bench, tmp_path: Path, home: str) -> None:
    """Less than any buffer holds, and more."""
    for name in ("a.txt", "b.bin"):
        with (tmp_path / name).open("wb") as file:
            subprocess.run(
                [*spawn_line(), "cat", f"roads:v1/{name}"], env=swarm.environment(home), stdout=file, check=True
            )
        wanted = (swarm.folder / "roads" / name).read_bytes()
        assert (tmp_path / name).read_bytes() == wanted
        assert swarm.ok(home, "cat", f"roads:v1/{name}").stdout == wanted


@pytest.mark.parametrize("home", HOMES)
def test_the_exit_code_is_kept_and_what_is_told_with_it(swarm: Bench, home: str) -> None:
    assert "nosuch" in swarm.refused(3, home, "inspect", "nosuch:v1")
    told = swarm.run(home, "inspect", "nosuch:v1", "--debug")
    assert told.exit_code == 3
    assert "Traceback" in told.stderr
    assert told.stderr.splitlines()[-1].startswith("aetherfs: there is no dataset library/nosuch")
    for arguments in (["ls"], ["ls", "--json"], ["cat", "roads:v1/a.txt"]):
        with Path("/dev/full").open("wb") as full:
            ended = subprocess.run(
                [*spawn_line(), *arguments],
                env=swarm.environment(home),
                stdout=full,
                stderr=subprocess.PIPE,
                check=False,
            )
        assert ended.returncode == 9
        assert ended.stderr.decode().startswith("aetherfs: No space left on device")
        assert ended.stderr.count(b"\n") == 1


def test_a_role_that_ends_has_written_its_log(swarm: Bench) -> None:
    """A home of its own, so that the others' agent goes on."""
    swarm.ok("logged", "up", "-d", "--port-base", "0", "--debug")
    swarm.ok("logged", "down")
    log = (swarm.home("logged") / "log").read_text(encoding="utf-8")
    assert "ready on " in log
    assert " DEBUG " in log
    assert "made a new swarm in file://" in log


def test_a_swarm_is_said_to_be_new_once(swarm: Bench) -> None:
    """Whoever mistypes the store's address sees that there is no swarm."""
    for _ in range(2):
        swarm.ok("new", "up", "-d", "--port-base", "0")
        swarm.ok("new", "down")
    log = (swarm.home("new") / "log").read_text(encoding="utf-8")
    assert log.count("ready on ") == 2
    assert log.count("made a new swarm in file://") == 1
