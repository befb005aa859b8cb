"""AetherFS in many: ``aetherfs up`` at the origin, an enrolled ``aetherfs peer`` on each other host.

The version is published before the clock. The release of the tag is the ``pull`` verb given to each standing peer over
its own agent, as ``aetherfs pull`` gives it: starting sixteen Python programs at once would take 3 s of two cores.
"""

from __future__ import annotations

import http.client
import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

from bench.contenders import Fetched
from bench.contenders.ours import (
    PROGRAM,
    PROGRAM_SETTINGS,
    READY_DEADLINE_S,
    REFERENCE,
    STATUS,
    Ours,
    home_environment,
    sent_bytes,
)
from bench.contenders.standing_peers import StandingPeers
from bench.network import Host
from bench.payload import Payload
from bench.processes import BenchError, Standing, end_together, run_plain

ROLE_OPTIONS: Final = ("--json", "--quiet")
STARTS_AT_ONCE: Final = 3
ANSWER_DEADLINE_S: Final = 600.0
SEED_PORTS: Final = 7080
# After the last has joined: each has announced itself once.
TRACKED_S: Final = 2.0


class OursSwarm:
    """Tracker, seed and producer in one process at the origin; consumers are standing peers.

    ``ends_tracker``: the tracker is another process, which ends when all have joined.
    """

    def __init__(self, name: str = "ours", profile: str = "", *, ends_tracker: bool = False) -> None:
        self.name = name
        self._role = ["peer", *(["--profile", profile] if profile else [])]
        self._ends_tracker = ends_tracker
        origin = "aetherfs up --listen ADDRESS: tracker, seed and peer in one process, published before the clock"
        apart = "aetherfs tracker and aetherfs seed at one address; the tracker ends before the clock"
        self.settings: Mapping[str, str] = {
            **PROGRAM_SETTINGS,
            "origin": apart if ends_tracker else origin,
            "peers": f"aetherfs {' '.join(self._role)} --listen ADDRESS, enrolled with a token (--site with sites)",
            "release": "the pull verb on each standing peer's own agent, from one process for all",
        }

    def missing(self) -> str | None:
        return Ours().missing()

    @contextmanager
    def swarm(self, payload: Payload, hosts: Sequence[Host], folder: Path) -> Iterator[OurSwarm]:
        folder.mkdir()
        with ExitStack() as stack:
            origin, *others = hosts
            environment, tracking = home_environment(folder / "home0"), home_environment(folder / "home0")
            if self._ends_tracker:
                tracking = home_environment(folder / "tracker")
                store = ["--store", (folder / "store").as_uri()]
                tracker = stack.enter_context(
                    Standing(_program(origin, "tracker", *store), folder / "log-tracker", tracking)
                )
                tracker.wait_line(READY_DEADLINE_S)
                (folder / "token0").write_text(_token(origin, tracking, "", 1, "--role", "seed"))
                role = ["seed", *store, "--port-base", str(SEED_PORTS), "--join-file", str(folder / "token0")]
            else:
                role = ["up"]
            up = stack.enter_context(_start(origin, folder, role))
            up.wait_line(READY_DEADLINE_S)
            run_plain(origin.command(str(PROGRAM), "publish", str(payload.directory), REFERENCE, "--quiet"), tracking)
            tokens = {site: _token(origin, tracking, site, len(others)) for site in {host.site for host in others}}

            def start(host: Host) -> Standing:
                token = folder / f"token{host.number}"
                token.write_text(tokens[host.site])
                peer = stack.enter_context(_start(host, folder, [*self._role, "--join-file", str(token)]))
                peer.wait_line(READY_DEADLINE_S)
                return peer

            with ThreadPoolExecutor(STARTS_AT_ONCE) as pool:
                standing = [up, *pool.map(start, others)]
            stack.callback(end_together, standing)
            if self._ends_tracker:
                time.sleep(TRACKED_S)
                end_together([tracker])
            yield OurSwarm(standing, folder, payload, partial(_sent_bytes, origin, environment))


@dataclass(frozen=True, slots=True)
class OurSwarm(StandingPeers):
    """Everybody has joined, and knows the swarm. ``sent_bytes``: what the origin has sent, by its own count."""

    sent_bytes: Callable[[], int]

    def fetch(self, peer: int) -> Fetched:
        agent = json.loads((self.folder / f"home{peer + 1}" / "agent.json").read_text())
        arguments = {"ref": REFERENCE, "directory": str(self.received(peer).parent), "include": [], "force": False}
        connection = http.client.HTTPConnection("127.0.0.1", agent["port"], timeout=ANSWER_DEADLINE_S)
        headers = {"Authorization": f"Bearer {agent['token']}", "Content-Type": "application/json"}
        connection.request("POST", "/api/v1/agent/pull", body=json.dumps(arguments), headers=headers)
        last = b""
        with closing(connection), connection.getresponse() as answer:
            while line := answer.readline():
                last = line
        told = json.loads(last or b"{}")
        if told.get("event") != "done":
            raise BenchError(f"peer {peer} could not pull: {told.get('detail', told)}")
        return Fetched(int(told["result"]["from"]["origin"]), int(told["result"]["wasted"]))

    def origin_sent_bytes(self) -> int | None:
        return self.sent_bytes()


def _start(host: Host, folder: Path, role: list[str]) -> Standing:
    return Standing(
        _program(host, *role), folder / f"log{host.number}", home_environment(folder / f"home{host.number}")
    )


def _program(host: Host, *role: str) -> list[str]:
    return host.command(str(PROGRAM), *role, "--listen", host.address, *ROLE_OPTIONS)


def _sent_bytes(origin: Host, environment: Mapping[str, str]) -> int:
    return sent_bytes(run_plain(origin.command(*STATUS), environment))


def _token(origin: Host, environment: Mapping[str, str], site: str, uses: int, *more: str) -> str:
    options = [*(["--site", site] if site else []), *more]
    command = origin.command(str(PROGRAM), "token", "create", "--uses", str(uses), "--quiet", *options)
    return run_plain(command, environment)
