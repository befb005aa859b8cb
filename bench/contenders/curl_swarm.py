"""Everybody from the origin: one nginx over TLS 1.3, and a curl on each host. What a swarm has to be better than.

A waiting shell on each host starts curl when it is told to. curl verifies nothing but TLS's own tags.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from bench.contenders import Fetched
from bench.contenders.curl_nginx import NAME, CurlNginx, curl_command, nginx_origin, program_settings
from bench.contenders.standing_peers import StandingPeers
from bench.network import Host
from bench.payload import Payload
from bench.processes import BenchError, Standing, end_together

PORT: Final = 8443
# The first line comes when the payload is released; the last one says how curl ended.
WAIT: Final = 'read -r _ <"$1"; shift; out=$1; shift; "$@"; echo $? >"$out"'


class CurlSwarm:
    """One nginx, and a curl per host."""

    name = NAME

    @property
    def settings(self) -> Mapping[str, str]:
        return {
            **program_settings(),
            "peers": "one curl over one connection each, into a file; not verified against a digest",
            "release": "a waiting shell on each host starts curl",
        }

    def missing(self) -> str | None:
        return CurlNginx().missing()

    @contextmanager
    def swarm(self, payload: Payload, hosts: Sequence[Host], folder: Path) -> Iterator[Curls]:
        with ExitStack() as stack:
            origin = stack.enter_context(nginx_origin(payload, folder, hosts[0].address, PORT, hosts[0]))
            standing = [origin.nginx]
            for host in hosts[1:]:
                go, end = folder / f"go{host.number}", folder / f"end{host.number}"
                os.mkfifo(go)
                os.mkfifo(end)
                received = folder / f"out{host.number}" / payload.file.name
                command = ["sh", "-c", WAIT, "bench", str(go), str(end), *curl_command(origin, received)]
                standing.append(stack.enter_context(Standing(host.command(*command), folder / f"log{host.number}")))
            stack.callback(end_together, standing)
            yield Curls(standing, folder, payload)


@dataclass(frozen=True, slots=True)
class Curls(StandingPeers):
    """nginx, and shells that wait."""

    def fetch(self, peer: int) -> Fetched:
        (self.folder / f"go{peer + 1}").write_text("\n")
        status = (self.folder / f"end{peer + 1}").read_text().strip()
        if status != "0":
            raise BenchError(f"curl ended with {status}: {self.standing[peer + 1].log.read_text()[-300:]}")
        return Fetched()

    def origin_sent_bytes(self) -> int | None:
        return None
