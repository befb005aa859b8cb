"""libtorrent, one to one: both sessions stand, and the timed command only hands the metainfo file to the consumer's.

That is the best that it could do: neither its start nor a tracker's answer is in the time.
"""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from bench.contenders import Pull
from bench.contenders.curl_nginx import HOST, free_port
from bench.contenders.libtorrent_swarm import READY_DEADLINE_S, SESSION
from bench.contenders.metainfo import make_metainfo
from bench.packages import environment_python, missing_module, module_version
from bench.payload import Payload
from bench.processes import BenchError, Standing

PIECE_BYTES: Final = 4 * 1024**2
# The fastest of those tried over loopback; its defaults reach three quarters of it. Peers are connected to at a tick,
# which by default comes every half second: 20,000 small files took 1.10 s to pull with that, 0.73 s with this.
QUEUES: Final[Mapping[str, Any]] = {
    "enable_outgoing_utp": False,
    "send_buffer_watermark": 5 * 1024**2,
    "send_buffer_low_watermark": 1024**2,
    "max_out_request_queue": 2000,
    "request_queue_time": 10,
    "tick_interval": 100,
    "max_allowed_in_request_queue": 4000,
}
# Sends one line and waits for one, in 3 ms where a Python program would take 30.
ORDER: Final = (
    'exec 3<>"/dev/tcp/127.0.0.1/$1" && printf "%s\\n" "$2" >&3 && IFS= read -r answer <&3 && [ -n "$answer" ]'
)


class LibtorrentPair:
    """A seed and a fresh session for each pull."""

    name = "libtorrent"

    @property
    def settings(self) -> Mapping[str, str]:
        return {
            "version": module_version("libtorrent"),
            "encryption": "none",
            "part size": str(PIECE_BYTES),
            "session": json.dumps(QUEUES),
            "pull": "the metainfo file with the seed's address given to the waiting session",
        }

    def missing(self) -> str | None:
        return missing_module("libtorrent", "libtorrent")

    @contextmanager
    def origin(self, payload: Payload, folder: Path) -> Iterator[Seed]:
        folder.mkdir()
        metainfo = folder / "payload.metainfo"
        metainfo.write_bytes(make_metainfo(payload, "", PIECE_BYTES).content)
        listen, control = free_port(), free_port()
        with standing_session(listen, control, folder / "log") as session:
            seeding = {"add": str(metainfo), "save": str(payload.directory), "flags": ["seed_mode"], "wait": False}
            with socket.create_connection((HOST, control)) as connection, connection.makefile("rwb") as lines:
                lines.write(json.dumps(seeding).encode() + b"\n")
                lines.flush()
                if not lines.readline():
                    raise BenchError("the seed did not take the payload")
            yield Seed(session, listen, metainfo, payload.file.name)


@dataclass(frozen=True, slots=True)
class Seed:
    """A session that has the payload."""

    session: Standing
    listen: int
    metainfo: Path
    file_name: str

    def pids(self) -> list[int]:
        return self.session.pids()

    def sent_bytes(self) -> int | None:
        return None

    @contextmanager
    def consumer(self, folder: Path) -> Iterator[Leech]:
        folder.mkdir()
        control = free_port()
        with standing_session(free_port(), control, folder / "log") as session:
            yield Leech(session, control, {"add": str(self.metainfo), "peers": [[HOST, self.listen]]}, self.file_name)


@dataclass(frozen=True, slots=True)
class Leech:
    """A session that waits."""

    session: Standing
    control: int
    order: Mapping[str, Any]
    file_name: str

    def pids(self) -> list[int]:
        return self.session.pids()

    def pull(self, directory: Path) -> Pull:
        return Pull(order_command(self.control, {**self.order, "save": str(directory)}), directory / self.file_name)


def order_command(control: int, order: Mapping[str, Any]) -> list[str]:
    """Hands an order to the session with that control port, and ends when it has done it."""
    return ["bash", "-c", ORDER, "bench", str(control), json.dumps(order)]


@contextmanager
def standing_session(listen: int, control: int, log: Path, settings: Mapping[str, Any] = QUEUES) -> Iterator[Standing]:
    """A session that waits for orders on its control port."""
    command = [environment_python(), str(SESSION), f"{HOST}:{listen}", str(control), json.dumps(settings)]
    with Standing(command, log) as session:
        session.wait_line(READY_DEADLINE_S)
        yield session
