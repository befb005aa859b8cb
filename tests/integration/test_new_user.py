"""What somebody new does with the program, and what it says then: one swarm for all, each command in this process."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from swarm.cli.main import main
from swarm.home import Home
from swarm.peer.node import PeerNode
from tests.integration.swarm_thread import SwarmThread, swarm_thread


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SwarmThread]:
    with swarm_thread(tmp_path_factory.mktemp("swarm")) as swarm:
        yield swarm


def say(capsys: pytest.CaptureFixture[str], home: PeerNode | Home, *words: str, code: int = 0) -> str:
    """What a command prints on either stream, at a home."""
    path = home.path if isinstance(home, Home) else home.home.path
    given = main([*words, "--home", str(path), "--quiet"])
    out, err = capsys.readouterr()
    assert given == code, out + err
    return out + err


def tell(capsys: pytest.CaptureFixture[str], home: PeerNode | Home, *words: str, code: int = 0) -> Any:
    """The same as one JSON object."""
    return json.loads(say(capsys, home, *words, "--json", code=code).partition("\n")[0])


def test_a_token_leads_a_member_to_trackers_that_have_moved(
    running: SwarmThread, capsys: pytest.CaptureFixture[str]
) -> None:
    """With a process on the home and without, by a token that is no good for anybody new."""
    swarm, reader = running.swarm, running.reader
    idle = running.do(lambda: swarm.enrol("idle"))
    before = idle.swarm().trackers
    running.do(lambda: swarm.stop(swarm.tracker))
    running.do(swarm.start_tracker)
    moved = swarm.tracker.contact
    token = running.do(swarm.token)
    running.do(lambda: swarm.enrol_with("another", token))
    assert str(moved.addresses[0]) in say(capsys, reader, "join", token)
    assert reader.swarm.trackers[0] == moved
    told = tell(capsys, idle, "join", token)
    assert (told["joined"], told["trackers"]) == (False, [str(moved.addresses[0])])
    assert idle.swarm().trackers == (moved, *before)
    assert tell(capsys, idle, "join", token)["trackers"] == []
    assert tell(capsys, idle, "ls")["datasets"] == []
