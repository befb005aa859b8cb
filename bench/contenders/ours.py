"""AetherFS as a user runs it: ``aetherfs up`` publishes and serves; an enrolled peer with a fresh home pulls.

The measured command is ``aetherfs pull REF DIR --json``, which asks the standing peer; its start-up counts, as curl's
does.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Final

from bench.contenders import Pull
from bench.payload import Payload
from bench.processes import Standing, run_plain
from swarm import __version__

PROGRAM: Final = Path(sys.executable).with_name("aetherfs")
REFERENCE: Final = "bench/payload:v1"
PROGRAM_SETTINGS: Final = {"version": __version__, "encryption": "TLS 1.3, mutual; blocks AES-256-GCM"}
STATUS: Final = (str(PROGRAM), "status", "--json")
READY_DEADLINE_S: Final = 60.0
ROLE_OPTIONS: Final = ("--port-base", "0", "--json", "--quiet")


class Ours:
    """Tracker, seed and producer in one process; the consumer in another."""

    name = "ours"
    program: Sequence[str] = (str(PROGRAM),)
    settings: Mapping[str, str] = {
        **PROGRAM_SETTINGS,
        "origin": "aetherfs up: tracker, seed and peer in one process, published before the clock",
        "pull": "aetherfs pull at a standing `aetherfs peer`, enrolled with a token; its start-up counts",
    }

    def missing(self) -> str | None:
        return None if PROGRAM.exists() else "the program is not installed beside this Python: run `make setup`"

    @contextmanager
    def origin(self, payload: Payload, folder: Path) -> Iterator[OurOrigin]:
        with standing_node(folder, self.program, self.environment(folder)) as (node, environment):
            run_plain([str(PROGRAM), "publish", str(payload.directory), REFERENCE, "--quiet"], environment)
            yield OurOrigin(node, environment, payload, self.program)

    def environment(self, folder: Path) -> Mapping[str, str]:
        """More settings of both processes."""
        return {}


class OursSealed(Ours):
    """The same with both homes sealed, whose kept blocks and keys then are."""

    name = "ours-sealed"
    settings: Mapping[str, str] = {**Ours.settings, "at rest": "sealed with a local key"}

    def environment(self, folder: Path) -> Mapping[str, str]:
        return {"AETHERFS_SEAL_KEY": "env:BENCH_SEAL_KEY", "BENCH_SEAL_KEY": "5e" * 32}


class OursUnchecked(Ours):
    """The same without the checks of grants, versions, connections, requests and addresses."""

    name = "ours-unchecked"
    settings: Mapping[str, str] = {**Ours.settings, "checks": "of grants, versions, connections and addresses: none"}
    program: Sequence[str] = (sys.executable, "-m", "bench.unchecked")


class OursUnhashed(OursUnchecked):
    """And without the verifying of what is received."""

    name = "ours-unhashed"
    settings: Mapping[str, str] = {**Ours.settings, "checks": "none, not even the hashes of blocks"}
    program: Sequence[str] = (sys.executable, "-m", "bench.unchecked", "--no-hashes")


@dataclass(frozen=True, slots=True)
class OurOrigin:
    """A swarm of one node, with the payload published."""

    node: Standing
    environment: Mapping[str, str]
    payload: Payload
    program: Sequence[str]

    def pids(self) -> list[int]:
        return self.node.pids()

    def sent_bytes(self) -> int | None:
        return sent_bytes(run_plain(STATUS, self.environment))

    @contextmanager
    def consumer(self, folder: Path) -> Iterator[OurConsumer]:
        with standing_peer(folder, self.environment, self.program) as (peer, environment):
            yield OurConsumer(peer, environment, self.payload.file.name)


@dataclass(frozen=True, slots=True)
class OurConsumer:
    """A peer that holds nothing yet."""

    peer: Standing
    environment: Mapping[str, str]
    file_name: str

    def pids(self) -> list[int]:
        return self.peer.pids()

    def pull(self, directory: Path) -> Pull:
        return Pull(pull_command(directory), directory / self.file_name, self.environment)


def sent_bytes(status: str) -> int:
    """Payload that a node has sent to all peers, of what ``STATUS`` prints there."""
    return sum(json.loads(status)["sent_bytes"].values())


def pull_command(directory: Path) -> list[str]:
    """What a user types to have the version in a directory."""
    return [str(PROGRAM), "pull", REFERENCE, str(directory), "--json", "--quiet"]


@contextmanager
def standing_node(
    folder: Path, program: Sequence[str] = (str(PROGRAM),), more: Mapping[str, str] = MappingProxyType({})
) -> Iterator[tuple[Standing, Mapping[str, str]]]:
    """A swarm of one node with a fresh home, and the environment of commands on that home."""
    folder.mkdir()
    environment = {**home_environment(folder / "home"), **more}
    with Standing([*program, "up", *ROLE_OPTIONS], folder / "log", environment) as node:
        node.wait_line(READY_DEADLINE_S)
        yield node, environment


@contextmanager
def standing_peer(
    folder: Path, node: Mapping[str, str], program: Sequence[str] = (str(PROGRAM),)
) -> Iterator[tuple[Standing, Mapping[str, str]]]:
    """A peer with a fresh home, enrolled at the node of that environment, and the environment of its commands."""
    folder.mkdir()
    environment = {**node, "AETHERFS_HOME": str(folder / "home")}
    enrol(environment, node)
    with Standing([*program, "peer", *ROLE_OPTIONS], folder / "log", environment) as peer:
        peer.wait_line(READY_DEADLINE_S)
        yield peer, environment


def enrol(home: Mapping[str, str], node: Mapping[str, str], role: str = "peer") -> None:
    """Let the home of the one environment join at the node of the other."""
    token = run_plain([str(PROGRAM), "token", "create", "--role", role, "--quiet"], node)
    run_plain([str(PROGRAM), "join", "-", "--quiet"], home, stdin=token)


def home_environment(home: Path) -> Mapping[str, str]:
    """The environment of a process with that home; no setting of the caller's reaches it."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("AETHERFS_")}
    return {**kept, "AETHERFS_HOME": str(home)}
