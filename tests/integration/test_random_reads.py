"""Random reads over HTTP and fsspec equal the source, cold and warm, with far less cache than there are bytes.

A few here; ``READS=1000`` in ``make soak`` reads of a file four times as large as 64 MiB of cache.
"""

from __future__ import annotations

import os
import random
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from swarm.filesystem import AetherFileSystem
from swarm.limits import MIB
from swarm.reader_calls import ReaderCalls
from tests.integration.mount_rig import mounting_of, place_of, why_no_mounts
from tests.integration.swarm_thread import SwarmThread, swarm_thread

READS = int(os.environ.get("READS", "40"))
CACHE_BYTES = 64 * MIB if READS >= 1000 else 4 * MIB
SIZE_BYTES = 4 * CACHE_BYTES
LEAST_BYTES, MOST_BYTES = 4096, MIB


@pytest.fixture(scope="module")
def data() -> bytes:
    rng = random.Random(12)
    return b"".join(rng.randbytes(MIB) for _ in range(SIZE_BYTES // MIB))


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> Iterator[SwarmThread]:
    with swarm_thread(tmp_path_factory.mktemp("reads"), CACHE_BYTES) as running:
        source = running.folder / "source"
        source.mkdir()
        (source / "data.bin").write_bytes(data)
        running.publish(source, "tests/reads:v1")
        yield running


def check(running: SwarmThread, data: bytes, read: Callable[[int, int], bytes]) -> None:
    """The same reads twice: what is warm then is so by chance, as the cache holds a part."""
    for _ in ("cold", "warm"):
        rng = random.Random(13)
        for _ in range(READS):
            length = rng.randrange(LEAST_BYTES, MOST_BYTES + 1)
            offset = rng.randrange(len(data) - length + 1)
            assert read(offset, length) == data[offset : offset + length], (offset, length)
    assert running.reader.memory.size_bytes <= CACHE_BYTES
    assert running.reader.blocks.size_bytes <= MIB


def test_over_http(running: SwarmThread, data: bytes) -> None:
    calls = ReaderCalls(address=running.agent)

    def read(offset: int, length: int) -> bytes:
        return calls.body("/fs/tests/reads/v1/data.bin", {"Range": f"bytes={offset}-{offset + length - 1}"})

    check(running, data, read)


def test_over_fsspec(running: SwarmThread, data: bytes, tmp_path: Path) -> None:
    with AetherFileSystem(agent=running.agent).open("tests/reads:v1/data.bin", "rb") as file:

        def read(offset: int, length: int) -> bytes:
            file.seek(offset)
            return bytes(file.read(length))

        check(running, data, read)


@pytest.mark.root
@pytest.mark.skipif(why_no_mounts() is not None, reason=str(why_no_mounts()))
def test_over_fuse(running: SwarmThread, data: bytes, tmp_path: Path) -> None:
    """Warm is what the kernel has kept by then."""
    with place_of(tmp_path / "mounted") as place, mounting_of(running, "tests/reads:v1", place):
        file = os.open(place / "data.bin", os.O_RDONLY)
        try:
            check(running, data, lambda offset, length: os.pread(file, length, offset))
        finally:
            os.close(file)
