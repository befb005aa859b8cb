"""Watch events: what is written is read, in whatever parts it comes."""

from __future__ import annotations

import asyncio
import random

import aiohttp
import pytest

from swarm.errors import UnreachableError
from swarm.events import KEEP_ALIVE, entries_of, format_event


def stream_of(parts: list[bytes]) -> aiohttp.StreamReader:
    """A finished stream that gives these parts. Needs a running loop."""
    loop = asyncio.get_running_loop()
    protocol = aiohttp.base_protocol.BaseProtocol(loop)
    reader = aiohttp.StreamReader(protocol, limit=1 << 16, loop=loop)
    for part in parts:
        reader.feed_data(part)
    reader.feed_eof()
    return reader


@pytest.mark.parametrize("seed", range(5))
def test_events_survive_any_cut(seed: int) -> None:
    async def main() -> None:
        entries = [bytes([number]) * number * 100 for number in range(1, 6)]
        whole = KEEP_ALIVE + b"".join(format_event(n, data) + KEEP_ALIVE for n, data in enumerate(entries))
        rng = random.Random(seed)
        cuts = sorted(rng.randrange(len(whole)) for _ in range(20))
        parts = [whole[start:end] for start, end in zip([0, *cuts], [*cuts, len(whole)], strict=True)]
        found: list[bytes] = []
        with pytest.raises(UnreachableError, match="ended the watch"):
            await collect(stream_of([part for part in parts if part]), found)
        assert found == entries

    asyncio.run(main())


async def collect(reader: aiohttp.StreamReader, found: list[bytes]) -> None:
    async for data in entries_of(reader):
        found.append(data)
