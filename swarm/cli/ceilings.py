"""What this machine does at most of each stage of a publish, measured by the code that publishes. Blocking."""

from __future__ import annotations

import contextlib
import hashlib
import os
import socket
import ssl
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from blake3 import blake3

from swarm import authority
from swarm.cut import cut
from swarm.encoding import encode_raw, smaller
from swarm.errors import AetherError
from swarm.identity import PeerKey
from swarm.scan import scan
from swarm.signature import signature_of

SAMPLE_BYTES: Final = 32 * 1024 * 1024
# Each is measured for so long, or until its whole sample is through once if that takes longer.
MEASURED_S: Final = 1.0
# On the disk at a time; twice as much is written in all.
DISK_BYTES: Final = 2 * SAMPLE_BYTES
DISK_PART_BYTES: Final = 1024 * 1024
TLS_PART_BYTES: Final = 256 * 1024
THREADS_MOST: Final = 4


@dataclass(frozen=True, slots=True)
class Ceiling:
    """``bytes_per_s`` of plain bytes, by so many threads. ``note``: what else there is to know."""

    name: str
    bytes_per_s: float
    threads: int = 1
    note: str = ""


def sample_of(path: Path | None) -> bytes:
    """Bytes to measure with: the first of a directory's or file's, or made ones that compress to a half."""
    if path is None:
        unit = os.urandom(512)
        # Each half of every KiB is new, and the other one was there before.
        return b"".join(unit + os.urandom(512) for _ in range(SAMPLE_BYTES // 1024))
    found = bytearray()
    for file in sorted(path.rglob("*")) if path.is_dir() else [path]:
        if file.is_file() and not file.is_symlink() and len(found) < SAMPLE_BYTES:
            with file.open("rb") as opened:
                found += opened.read(SAMPLE_BYTES - len(found))
    if len(found) < DISK_PART_BYTES:
        raise AetherError(f"{path} has too little to measure with: leave it away, or name a directory of some MB")
    return bytes(found)


def measured(sample: bytes, home: Path, told: Callable[[str], None]) -> list[Ceiling]:
    """Everything, one after another."""
    blocks = _blocks(sample)
    with tempfile.TemporaryDirectory(prefix=".bench-", dir=home) as folder:
        found: list[Ceiling] = []
        steps: tuple[tuple[str, Callable[[], Ceiling]], ...] = (
            ("cut", lambda: _cut(sample)),
            ("hash", lambda: _hash(blocks)),
            ("compress", lambda: _compress(blocks)),
            ("tls", lambda: _tls(sample)),
            ("disk write", lambda: _write(sample, Path(folder))),
            ("disk read", lambda: _read(Path(folder))),
            ("read, cut and hash", lambda: _scan(Path(folder))),
        )
        for name, measure in steps:
            told(name)
            found.append(measure())
    return found


def _blocks(sample: bytes) -> list[bytes]:
    blocks, at = [], 0
    for length in cut(sample):
        blocks.append(encode_raw(sample[at : at + length]))
        at += length
    return blocks


def _repeated(work: Callable[[], int]) -> float:
    """Bytes a second of work that is done once, and again until it took long enough."""
    began, size_bytes = time.perf_counter(), work()
    while (seconds := time.perf_counter() - began) < MEASURED_S:
        size_bytes += work()
    return size_bytes / seconds


def _cut(sample: bytes) -> Ceiling:
    return Ceiling("cut", _repeated(lambda: sum(cut(sample))))


def _hash(blocks: Sequence[bytes]) -> Ceiling:
    """As a publish does: a block's signature, and the file's two hashes."""

    def work() -> int:
        whole, strong = blake3(), hashlib.sha256()
        for block in blocks:
            signature_of(block)
            whole.update(block)
            strong.update(block)
        return sum(map(len, blocks))

    return Ceiling("hash", _repeated(work), note="BLAKE3 of blocks and files, and SHA-256")


def _compress(blocks: Sequence[bytes]) -> Ceiling:
    threads = min(THREADS_MOST, os.cpu_count() or 1)
    packed: list[int] = []

    def work() -> int:
        packed[:] = pool.map(lambda block: len(smaller(block)), blocks)
        return sum(map(len, blocks))

    with ThreadPoolExecutor(threads) as pool:
        rate = _repeated(work)
    share = sum(packed) / sum(map(len, blocks))
    return Ceiling("compress", rate, threads, f"zstd, to {100 * share:.0f}% of it")


def _write(sample: bytes, folder: Path) -> Ceiling:
    rates = [_written(sample, folder / "sample") for _ in range(2)]
    return Ceiling("disk write", max(rates), note="with fsync")


def _written(sample: bytes, path: Path) -> float:
    began, size_bytes = time.perf_counter(), 0
    view = memoryview(sample)
    with path.open("wb", buffering=0) as file:
        while size_bytes < DISK_BYTES and time.perf_counter() - began < MEASURED_S:
            at = size_bytes % len(sample)
            size_bytes += file.write(view[at : at + DISK_PART_BYTES])
        os.fsync(file.fileno())
    return size_bytes / (time.perf_counter() - began)


def _read(folder: Path) -> Ceiling:
    path, buffer = folder / "sample", bytearray(DISK_PART_BYTES)
    began, size_bytes = time.perf_counter(), 0
    with path.open("rb", buffering=0) as file:
        _forget(file.fileno())
        while (count := file.readinto(buffer)) and time.perf_counter() - began < MEASURED_S:
            size_bytes += count
    return Ceiling(
        "disk read", size_bytes / (time.perf_counter() - began), note="not from memory, where that can be told"
    )


def _forget(descriptor: int) -> None:
    """Let the system read from the disk and not from its memory."""
    with contextlib.suppress(OSError, AttributeError):
        os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)


def _scan(folder: Path) -> Ceiling:
    """The same file as a publish reads it. From memory: the disk has its own line."""
    began = time.perf_counter()
    size_bytes = scan(folder).read_bytes
    return Ceiling("read, cut and hash", size_bytes / (time.perf_counter() - began), note="all of it, from memory")


def _tls(sample: bytes) -> Ceiling:
    """Both ends of one connection, here: what a channel to a seed takes of this machine, twice."""
    with _connected() as (sending, receiving):
        taken = _Taken(receiving)
        thread = threading.Thread(target=taken.run, name="tls-taken")
        thread.start()
        began = time.perf_counter()
        view = memoryview(sample)
        at = 0
        while time.perf_counter() - began < MEASURED_S:
            sending.sendall(view[at : at + TLS_PART_BYTES])
            at = (at + TLS_PART_BYTES) % len(sample)
        sending.close()
        thread.join()
        seconds = time.perf_counter() - began
    return Ceiling("tls", taken.bytes / seconds, note="one connection, both ends on this machine")


class _Taken:
    """The receiving end, in a thread."""

    def __init__(self, connection: ssl.SSLSocket) -> None:
        self._connection = connection
        self.bytes = 0

    def run(self) -> None:
        buffer = bytearray(TLS_PART_BYTES)
        with contextlib.suppress(OSError):
            while count := self._connection.recv_into(buffer):
                self.bytes += count


@contextlib.contextmanager
def _connected() -> Iterator[tuple[ssl.SSLSocket, ssl.SSLSocket]]:
    """Two ends of a connection as peers have it, over a socket pair."""
    key = PeerKey(os.urandom(32))
    root = authority.create(key, time.time())
    server, client = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    client.check_hostname, client.verify_mode = False, ssl.CERT_NONE
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "both.pem"
        path.touch(mode=0o600)
        path.write_bytes(root.certificate + authority.private_pem(key))
        server.load_cert_chain(path)
    one, other = socket.socketpair()
    with one, other:
        shaking = ThreadPoolExecutor(1).submit(lambda: server.wrap_socket(other, server_side=True))
        sending = client.wrap_socket(one)
        with sending, shaking.result() as receiving:
            yield sending, receiving
