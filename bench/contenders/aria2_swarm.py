"""aria2: a seed, and waiting programs that are given the metainfo file over their own RPC when it is released."""

from __future__ import annotations

import base64
import http.client
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from bench.contenders import Fetched
from bench.contenders.metainfo import (
    PIECE_BYTES,
    Metainfo,
    make_metainfo,
    opentracker,
    tracker_url,
    wait_until_listening,
)
from bench.contenders.standing_peers import StandingPeers
from bench.debian import missing_program, program_path
from bench.network import Host
from bench.payload import Payload
from bench.processes import BenchError, Standing, end_together, run_plain

PORT: Final = 6800
OPTIONS: Final = (
    "--listen-port=6881",
    "--enable-dht=false",
    "--seed-ratio=0.0",
    "--bt-max-peers=0",
    "--bt-request-peer-speed-limit=200M",
    "--bt-tracker-interval=5",
    "--file-allocation=none",
    "--summary-interval=0",
    "--quiet=true",
)


class Aria2Swarm:
    """One program per host."""

    name = "aria2"

    @property
    def settings(self) -> Mapping[str, str]:
        return {
            "version": run_plain([program_path("aria2c"), "--version"]).splitlines()[0].split()[-1],
            "encryption": "none",
            "tracker": "opentracker at the origin, HTTP",
            "part size": str(PIECE_BYTES),
            "options": " ".join(OPTIONS),
            "release": "aria2.addTorrent on each waiting program; its end told by --on-bt-download-complete",
        }

    def missing(self) -> str | None:
        is_root = os.geteuid() == 0
        return missing_program("aria2c", "aria2", is_root=is_root) or missing_program(
            "opentracker", "opentracker", is_root=is_root
        )

    @contextmanager
    def swarm(self, payload: Payload, hosts: Sequence[Host], folder: Path) -> Iterator[Programs]:
        folder.mkdir()
        metainfo = make_metainfo(payload, tracker_url(hosts[0]))
        with ExitStack() as stack:
            tracker = stack.enter_context(opentracker(hosts[0], metainfo.infohash, folder))
            standing = [stack.enter_context(_start(host, folder)) for host in hosts]
            stack.callback(end_together, [*standing, tracker])
            for host in hosts:
                host.inside(lambda: wait_until_listening("127.0.0.1", PORT))
            seeding = {"dir": str(payload.directory), "bt-seed-unverified": "true"}
            gid = hosts[0].inside(lambda: _add(metainfo, seeding))
            yield Programs([*standing, tracker], folder, payload, hosts, metainfo, gid)


@dataclass(frozen=True, slots=True)
class Programs(StandingPeers):
    """Programs that wait; the first one seeds."""

    hosts: Sequence[Host]
    metainfo: Metainfo
    seed_gid: str

    def fetch(self, peer: int) -> Fetched:
        _add(self.metainfo, {"dir": str(self.received(peer).parent)})
        # Reading waits for the hook, which writes when everything is there and verified.
        if not (self.folder / f"done{peer + 1}").read_text():
            raise BenchError("aria2 ended before it was done")
        return Fetched()

    def origin_sent_bytes(self) -> int | None:
        status = self.hosts[0].inside(lambda: _call("aria2.tellStatus", self.seed_gid, ["uploadLength"]))
        return int(status["uploadLength"])


def _start(host: Host, folder: Path) -> Standing:
    done, hook = folder / f"done{host.number}", folder / f"hook{host.number}"
    os.mkfifo(done)
    hook.write_text(f"#!/bin/sh\necho done >'{done}'\n")
    hook.chmod(0o700)
    # The seed is complete from the start: nobody reads what its hook would write, and it would wait for ever.
    told = [f"--on-bt-download-complete={hook}"] if host.number else []
    own = [*told, "--enable-rpc", f"--rpc-listen-port={PORT}", "--no-conf=true"]
    lan = "--bt-enable-lpd=true" if host.site else "--bt-enable-lpd=false"
    return Standing(host.command(program_path("aria2c"), *OPTIONS, *own, lan), folder / f"log{host.number}")


def _add(metainfo: Metainfo, options: Mapping[str, str]) -> str:
    return str(_call("aria2.addTorrent", base64.b64encode(metainfo.content).decode(), [], options))


def _call(method: str, *parameters: object) -> Any:
    connection = http.client.HTTPConnection("127.0.0.1", PORT, timeout=60)
    request = {"jsonrpc": "2.0", "id": "bench", "method": method, "params": parameters}
    connection.request("POST", "/jsonrpc", body=json.dumps(request), headers={"Content-Type": "application/json"})
    with connection.getresponse() as response:
        answer = json.load(response)
    if "result" not in answer:
        raise BenchError(f"aria2 refused {method}: {answer.get('error')}")
    return answer["result"]
