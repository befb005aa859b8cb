"""How many round trips pass before a reader far away has the first byte of a file, by what it has at hand.

The far end is ``aetherfs up``, the near one a peer, each the real program, with a delay line between them. The reader
asks the near peer's agent over HTTP, by loopback, for files that nobody has read before. ``nothing``: channels are open
as at any peer that runs, but no data connection, and nothing of the version. ``stream``: a data connection rests from a
read before. ``segments``: the version's segments are at hand too, by its signature; ``tag``: by a tag, which is looked
up. Every byte is compared with the file's own.
"""

from __future__ import annotations

import http.client
import json
import random
import socket
import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from bench.contenders.ours import PROGRAM, READY_DEADLINE_S, home_environment
from bench.delay_line import delay_line
from bench.network import Host
from bench.processes import BenchError, Standing, run_plain
from bench.report import Tell
from swarm.standing import agent_of

# Every other one is large, so that each small one between is a block of its own.
FILES: Final = 5
LARGE_BYTES: Final = 2 << 20
PORT: Final = 7070
CALL_TIMEOUT_S: Final = 30.0
LOOK_S: Final = 0.2
# Gossip's own rhythm is a second: what is known of tags has come by then.
SETTLE_S: Final = 3.0
# What the issue asks of a read from nothing, and of one with all at hand.
BOUNDS: Final = {"nothing": 4.5, "segments": 1.5}


@dataclass(frozen=True, slots=True)
class FirstByteSettings:
    """``one_way_s``: half of a round trip."""

    one_way_s: float
    size_bytes: int
    rounds: int
    seed: int


def run_first_byte(settings: FirstByteSettings, folder: Path, tell: Tell) -> dict[str, Any]:
    """Measure. BenchError when something does not start, or comes wrong."""
    with delay_line(settings.one_way_s) as (near, far):
        environment = home_environment(folder / "far")
        command = [str(PROGRAM), "up", "--listen", far.address, "--port-base", str(PORT), "--json", "--quiet"]
        with Standing(far.command(*command), folder / "far.log", environment) as standing:
            standing.wait_line(READY_DEADLINE_S)
            trees = [_publish(folder, far, environment, settings, number) for number in range(2 * settings.rounds)]
            token = run_plain(far.command(str(PROGRAM), "token", "create", "--quiet"), environment).strip()
            (folder / "token").write_text(token)
            trip_s = min(near.inside(lambda: _connect_s(far.address)) for _ in range(5))
            found: dict[str, list[float]] = {}
            for number in range(settings.rounds):
                times = _round(folder, near, trees[2 * number : 2 * number + 2])
                for what, seconds in times.items():
                    found.setdefault(what, []).append(round(seconds / trip_s, 2))
                tell(f"round {number + 1}: {json.dumps({what: told[-1] for what, told in found.items()})}")
    medians = {what: statistics.median(told) for what, told in found.items()}
    is_within = all(medians[what] <= bound for what, bound in BOUNDS.items())
    return {"round_trip_s": round(trip_s, 4), "rounds": found, "median": medians, "is_within": is_within}


@dataclass(frozen=True, slots=True)
class _Tree:
    name: str
    version: str
    files: tuple[bytes, ...]


def _publish(
    folder: Path, far: Host, environment: Mapping[str, str], settings: FirstByteSettings, number: int
) -> _Tree:
    rng = random.Random(f"{settings.seed} {number}")
    tree = folder / f"tree{number}"
    tree.mkdir()
    files = tuple(rng.randbytes(LARGE_BYTES if index % 2 else settings.size_bytes) for index in range(FILES))
    for index, data in enumerate(files):
        (tree / str(index)).write_bytes(data)
    name = f"bench/first{number}"
    told = run_plain(far.command(str(PROGRAM), "publish", str(tree), f"{name}:v1", "--json", "--quiet"), environment)
    return _Tree(name, json.loads(told)["version"], files)


def _round(folder: Path, near: Host, trees: list[_Tree]) -> dict[str, float]:
    """A peer that has just started, so that it has no data connection, and its first reads."""
    environment = home_environment(folder / "near")
    command = [str(PROGRAM), "peer", "--listen", near.address, "--port-base", str(PORT), "--json", "--quiet"]
    joins = [] if (folder / "near").exists() else ["--join-file", str(folder / "token")]
    with Standing(near.command(*command, *joins), folder / "near.log", environment) as standing:
        standing.wait_line(READY_DEADLINE_S)
        status = near.command(str(PROGRAM), "status", "--json")
        _until(lambda: bool(json.loads(run_plain(status, environment))["neighbours"]))
        time.sleep(SETTLE_S)
        agent = agent_of(folder / "near")
        if agent is None:
            raise BenchError("the near peer is gone")
        first, second = trees

        def timed(tree: _Tree, index: int, *, by: str) -> float:
            return near.inside(lambda: _first_byte_s(agent.port, f"/fs/{tree.name}/{by}/{index}", tree.files[index]))

        return {
            "nothing": timed(first, 0, by="v1"),
            "stream": timed(second, 0, by="v1"),
            "segments": timed(second, 2, by=f"@{second.version}"),
            "tag": timed(second, 4, by="v1"),
        }


def _until(is_so: Callable[[], bool]) -> None:
    deadline = time.monotonic() + READY_DEADLINE_S
    while not is_so():
        if time.monotonic() > deadline:
            raise BenchError("the near peer has found no neighbour")
        time.sleep(LOOK_S)


def _connect_s(address: str) -> float:
    """A round trip: TCP's own handshake."""
    began = time.monotonic()
    with socket.create_connection((address, PORT), CALL_TIMEOUT_S):
        return time.monotonic() - began


def _first_byte_s(port: int, path: str, expected: bytes) -> float:
    """From the request to the first byte of the answer's body."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=CALL_TIMEOUT_S)
    try:
        connection.connect()
        began = time.monotonic()
        connection.request("GET", path)
        answer = connection.getresponse()
        first = answer.read(1)
        seconds = time.monotonic() - began
        if first + answer.read() != expected:
            raise BenchError(f"{path} is not what was published (answer {answer.status})")
        return seconds
    finally:
        connection.close()
