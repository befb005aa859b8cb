"""What commands about subscriptions and pulls say to whoever carries them out, and to who has typed them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from swarm.cli import perform as performing
from swarm.cli import roles, running
from swarm.cli.main import main
from swarm.home import Home
from swarm.standing import AgentInfo

VERSION = "ab" * 32
TOLD: dict[str, Any] = {"ref": "maps/roads:v1", "version": VERSION, "serial": 1, "directory": "/d"}
STANDING: dict[str, Any] = {"peer": "p" * 43, "subscriptions": []}


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[Mapping[str, Any]]:
    """What is asked of whoever carries a verb out, and answered with differences."""
    found: list[Mapping[str, Any]] = []

    def perform(program: object, verb: str, arguments: Mapping[str, Any]) -> dict[str, Any]:
        found.append(arguments)
        sources = {"peers": 0, "origin": 0, "reused": 0}
        return TOLD | {"differences": ["x differs"], "files": 1, "bytes": 1, "seconds": 0.1, "from": sources}

    monkeypatch.setattr(performing, "perform", perform)
    monkeypatch.setenv("AETHERFS_HOME", str(tmp_path / "home"))
    return found


def test_only_what_is_named_is_told_of_a_subscription(asked: list[Mapping[str, Any]]) -> None:
    assert main(["subscribe", "maps/roads:v1", "/d"]) == 0
    named = ["--hook", "", "--validate", "true", "--keep", "0", "--include", "", "--require-signer", ""]
    assert main(["subscribe", "maps/roads:v1", "/d", *named, "--no-wait"]) == 0
    plain = {"ref": "maps/roads:v1", "directory": "/d", "wait": True}
    changed = {"hook": "", "validate": "true", "keep": 0, "include": [], "require_signer": "", "wait": False}
    assert asked == [plain, plain | changed]


def test_a_pull_replaces_altered_files_where_it_is_told_to(asked: list[Mapping[str, Any]]) -> None:
    assert main(["pull", "maps/roads:v1", "/d"]) == main(["pull", "maps/roads:v1", "/d", "--force"]) == 0
    assert [arguments["force"] for arguments in asked] == [False, True]


def test_what_differs_is_repaired_by_who_keeps_it(
    asked: list[Mapping[str, Any]], capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    (tmp_path / "d" / "versions" / VERSION).mkdir(parents=True)
    (tmp_path / "d" / "current").symlink_to(f"versions/{VERSION}")
    for directory, advice in (
        (tmp_path / "d" / "current", f"`aetherfs subscribe` with {tmp_path / 'd'} again repairs"),
        (tmp_path, "pull it again with --force to repair it"),
    ):
        assert main(["verify", str(directory), "maps/roads:v1"]) == 6
        assert advice in capsys.readouterr().err


def test_a_command_without_its_arguments_is_a_fault_of_usage(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--json", "subscribe"]) == 2
    assert json.loads(capsys.readouterr().out)["title"] == "usage error"


@pytest.mark.parametrize("quiet", [False, True])
def test_a_quiet_start_in_the_background_says_nothing(
    quiet: bool, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    monkeypatch.setattr(roles, "prepare", lambda *_: None)
    monkeypatch.setattr(running, "_spawn", lambda *_: process)
    monkeypatch.setattr(Home, "agent", lambda _: AgentInfo(os.getpid(), 1, "token"))
    monkeypatch.setattr(performing, "perform", lambda *_: STANDING)
    monkeypatch.setattr("swarm.cli.status.status_lines", lambda _: ["all is well"])
    assert main(["up", "-d", "--home", str(tmp_path / "home"), *(["-q"] if quiet else [])]) == 0
    assert ("all is well" in capsys.readouterr().out) is not quiet
