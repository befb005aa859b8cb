"""Contenders that are Python packages: one waiting peer per host, told over its control port when to get what.

What differs between them is a module that runs in the bench's own environment (``rqbit_peer``, ``iroh_peer``,
``kubo_peer``), started as ``MODULE ADDRESS PORT FOLDER``.
"""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Final

from bench.contenders import Fetched
from bench.contenders.metainfo import PIECE_BYTES, make_metainfo, opentracker, tracker_url
from bench.contenders.standing_peers import StandingPeers
from bench.debian import missing_program
from bench.network import Host
from bench.packages import environment_python, missing_module, package_version
from bench.payload import Payload
from bench.processes import BenchError, Standing, end_together

ROOT: Final = Path(__file__).parents[2]
PORT: Final = 7002
STARTS_AT_ONCE: Final = 3
READY_DEADLINE_S: Final = 60.0
METAINFO: Final = "payload.metainfo"


@dataclass(frozen=True, slots=True)
class WaitingContender:
    """``imported``: what its peers import. ``by_tracker``: they are given a metainfo file and meet at a tracker."""

    name: str
    imported: str
    how: Mapping[str, str]
    by_tracker: bool = False

    @property
    def settings(self) -> Mapping[str, str]:
        tracker = {"tracker": "opentracker at the origin, HTTP", "part size": str(PIECE_BYTES)}
        return {"version": package_version(self.name), **self.how, **(tracker if self.by_tracker else {})}

    def missing(self) -> str | None:
        why = missing_module(self.imported, self.name)
        if why is None and self.by_tracker:
            why = missing_program("opentracker", "opentracker", is_root=os.geteuid() == 0)
        return why

    @contextmanager
    def swarm(self, payload: Payload, hosts: Sequence[Host], folder: Path) -> Iterator[Waiting]:
        folder.mkdir()
        with ExitStack() as stack:
            trackers = []
            source = payload.file
            if self.by_tracker:
                metainfo = make_metainfo(payload, tracker_url(hosts[0]))
                trackers = [stack.enter_context(opentracker(hosts[0], metainfo.infohash, folder))]
                source = folder / METAINFO
                source.write_bytes(metainfo.content)

            def start(host: Host) -> Standing:
                home = folder / f"home{host.number}"
                home.mkdir()
                command = [environment_python(), "-m", f"bench.contenders.{self.name}_peer"]
                environment = {**os.environ, "PYTHONPATH": str(ROOT), "HOME": str(home)}
                command += [host.address, str(PORT), str(home)]
                peer = Standing(host.command(*command), folder / f"log{host.number}", environment)
                stack.enter_context(peer).wait_line(READY_DEADLINE_S)
                return peer

            with ThreadPoolExecutor(STARTS_AT_ONCE) as pool:
                standing = list(pool.map(start, hosts))
            stack.callback(end_together, [*standing, *trackers])
            offered = _introduce(hosts, source, payload)
            yield Waiting([*standing, *trackers], folder, payload, hosts, offered)


@dataclass(frozen=True, slots=True)
class Waiting(StandingPeers):
    """Peers that wait; the first one offers."""

    hosts: Sequence[Host]
    offered: str = field(repr=False)

    def fetch(self, peer: int) -> Fetched:
        order({"get": {"offered": self.offered, "path": str(self.received(peer))}}, PORT)
        return Fetched()

    def origin_sent_bytes(self) -> int | None:
        sent = self.hosts[0].inside(lambda: order({"sent": True}, PORT))
        return None if sent is None else int(sent)


def order(command: Mapping[str, object], port: int) -> Any:
    """What the waiting peer of this namespace answers. Raises BenchError when it cannot, or is gone."""
    with socket.create_connection(("127.0.0.1", port)) as connection, connection.makefile("rwb") as lines:
        lines.write(json.dumps(command).encode() + b"\n")
        lines.flush()
        answer: dict[str, Any] = json.loads(lines.readline() or b'{"failed": "the peer ended before it was done"}')
    if "failed" in answer:
        raise BenchError(str(answer["failed"]))
    return answer["answer"]


def _introduce(hosts: Sequence[Host], source: Path, payload: Payload) -> str:
    addresses = [str(host.inside(lambda: order({"address": True}, PORT))) for host in hosts]
    offer = {"offer": str(source)} if source == payload.file else {"offer": f"{source}\n{payload.directory}"}
    offered = str(hosts[0].inside(lambda: order(offer, PORT)))
    for host in hosts:
        others = [address for number, address in enumerate(addresses) if number != host.number]
        host.inside(partial(order, {"join": others}, PORT))
    return offered
