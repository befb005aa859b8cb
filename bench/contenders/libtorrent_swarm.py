"""libtorrent: a seed, and waiting sessions that are given the metainfo file when it is released."""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from bench.contenders import Fetched
from bench.contenders.metainfo import PIECE_BYTES, make_metainfo, opentracker, tracker_url
from bench.contenders.standing_peers import StandingPeers
from bench.debian import missing_program
from bench.network import Host
from bench.packages import environment_python, missing_module, module_version
from bench.payload import Payload
from bench.processes import BenchError, Standing, end_together

SESSION: Final = Path(__file__).with_name("libtorrent_peer.py")
PORT: Final = 7001
STARTS_AT_ONCE: Final = 3
READY_DEADLINE_S: Final = 30.0
TUNED: Final[Mapping[str, Any]] = {
    "enable_outgoing_utp": False,
    "enable_incoming_utp": False,
    "unchoke_interval": 1,
    "optimistic_unchoke_interval": 2,
}


class LibtorrentSwarm:
    """``superseeding``: the seed hands out each of its parts once, as BEP 16 says."""

    def __init__(self, name: str = "libtorrent", *, superseeding: bool = False) -> None:
        self.name = name
        self._seed_flags = ["seed_mode", *(["super_seeding"] if superseeding else [])]

    @property
    def settings(self) -> Mapping[str, str]:
        return {
            "version": module_version("libtorrent"),
            "encryption": "none",
            "tracker": "opentracker at the origin, HTTP",
            "part size": str(PIECE_BYTES),
            "seed flags": ", ".join(self._seed_flags),
            "session": json.dumps(TUNED),
            "release": "the metainfo file given to each waiting session",
        }

    def missing(self) -> str | None:
        return missing_module("libtorrent", "libtorrent") or missing_program(
            "opentracker", "opentracker", is_root=os.geteuid() == 0
        )

    @contextmanager
    def swarm(self, payload: Payload, hosts: Sequence[Host], folder: Path) -> Iterator[Sessions]:
        folder.mkdir()
        metainfo = make_metainfo(payload, tracker_url(hosts[0]))
        (folder / "payload.metainfo").write_bytes(metainfo.content)
        with ExitStack() as stack:
            tracker = stack.enter_context(opentracker(hosts[0], metainfo.infohash, folder))

            def start(host: Host) -> Standing:
                tuned = {**TUNED, "enable_lsd": bool(host.site)}
                arguments = [str(SESSION), f"{host.address}:6881", str(PORT), json.dumps(tuned)]
                log = folder / f"log{host.number}"
                session = stack.enter_context(Standing(host.command(environment_python(), *arguments), log))
                session.wait_line(READY_DEADLINE_S)
                return session

            with ThreadPoolExecutor(STARTS_AT_ONCE) as pool:
                standing = list(pool.map(start, hosts))
            stack.callback(end_together, [*standing, tracker])
            swarm = Sessions([*standing, tracker], folder, payload, hosts)
            hosts[0].inside(lambda: swarm.seed(self._seed_flags))
            yield swarm


@dataclass(frozen=True, slots=True)
class Sessions(StandingPeers):
    """Sessions that wait; the first one seeds."""

    hosts: Sequence[Host]

    def seed(self, flags: Sequence[str]) -> None:
        """Offer the payload. In the origin's namespace."""
        _order(self._add(self.payload.directory, flags=flags, wait=False))

    def fetch(self, peer: int) -> Fetched:
        _order(self._add(self.received(peer).parent))
        return Fetched()

    def origin_sent_bytes(self) -> int | None:
        return self.hosts[0].inside(lambda: int(_order({"sent": True})["sent"]))

    def _add(self, directory: Path, **options: object) -> dict[str, object]:
        return {"add": str(self.folder / "payload.metainfo"), "save": str(directory), **options}


def _order(command: Mapping[str, object]) -> dict[str, Any]:
    with socket.create_connection(("127.0.0.1", PORT)) as connection, connection.makefile("rwb") as lines:
        lines.write(json.dumps(command).encode() + b"\n")
        lines.flush()
        answer: dict[str, Any] = json.loads(lines.readline() or b"{}")
    if not answer.get("done"):
        raise BenchError("the session ended before it was done")
    return answer
