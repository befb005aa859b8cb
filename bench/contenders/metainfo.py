"""A BitTorrent metainfo file (BEP 3, version 1) of the payload, and the tracker that its swarm meets at."""

from __future__ import annotations

import hashlib
import socket
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from bench.debian import program_path
from bench.network import Host
from bench.payload import Payload
from bench.processes import BenchError, Standing

PIECE_BYTES: Final = 256 * 1024
LENGTH_KEY: Final = b"piece length"
HASHES_KEY: Final = b"pieces"
TRACKER_PORT: Final = 6969
READY_DEADLINE_S: Final = 20.0

Value = int | bytes | Mapping[bytes, "Value"]


@dataclass(frozen=True, slots=True)
class Metainfo:
    """The file's content and what names the swarm."""

    content: bytes
    infohash: str


def make_metainfo(payload: Payload, tracker: str, piece_bytes: int = PIECE_BYTES) -> Metainfo:
    """Describe the payload."""
    hashes = bytearray()
    with payload.file.open("rb") as file:
        while piece := file.read(piece_bytes):
            hashes += hashlib.sha1(piece, usedforsecurity=False).digest()
    info: dict[bytes, Value] = {
        b"length": payload.size_bytes,
        b"name": payload.file.name.encode(),
        LENGTH_KEY: piece_bytes,
        HASHES_KEY: bytes(hashes),
    }
    infohash = hashlib.sha1(bencode(info), usedforsecurity=False).hexdigest()
    return Metainfo(bencode({b"announce": tracker.encode(), b"info": info}), infohash)


def bencode(value: Value) -> bytes:
    """The encoding of BEP 3; keys in their order."""
    if isinstance(value, int):
        return b"i%de" % value
    if isinstance(value, bytes):
        return b"%d:%s" % (len(value), value)
    return b"d" + b"".join(bencode(key) + bencode(value[key]) for key in sorted(value)) + b"e"


@contextmanager
def opentracker(host: Host, infohash: str, folder: Path) -> Iterator[Standing]:
    """A tracker on that host that knows one swarm (Debian's lets in only what its list names)."""
    # It gives up root's rights and its view of the file system first: the list lies in a folder that all may read.
    jail = folder / "tracker"
    jail.mkdir(mode=0o755)
    (jail / "whitelist").write_text(f"{infohash}\n")
    ports = ["-p", str(TRACKER_PORT), "-P", str(TRACKER_PORT)]
    arguments = ["-i", host.address, *ports, "-d", str(jail), "-u", "nobody", "-w", "whitelist"]
    with Standing(host.command(program_path("opentracker"), *arguments), folder / "tracker-log") as standing:
        host.inside(lambda: wait_until_listening(host.address, TRACKER_PORT))
        yield standing


def tracker_url(host: Host) -> str:
    """Where it answers."""
    return f"http://{host.address}:{TRACKER_PORT}/announce"


def wait_until_listening(address: str, port: int) -> None:
    """Return when something takes connections there. Raises BenchError when nothing does."""
    deadline = time.monotonic() + READY_DEADLINE_S
    while time.monotonic() < deadline:
        with socket.socket() as probe:
            if probe.connect_ex((address, port)) == 0:
                return
        time.sleep(0.02)
    raise BenchError(f"nothing listens on {address}:{port}")
