"""What came of blocks that are not whole yet: over a slow link that is all there is for a minute."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

from swarm.peer.download import SOME_BYTES, Download
from swarm.peer.instructions import StartRun
from swarm.peer.stream import Answer
from swarm.peer.traffic import Traffic
from swarm.peer.wire import BLOCK
from swarm.peer.works import Work, Works

PLAIN, ENCODED = 400_000, 100_000


async def _nobody() -> None:
    return None


async def _takes_nothing(peer: str, request: Any, keep: Any, answered: Callable[[Answer], None]) -> None:
    return None


def a_download(blocks: int, take: Any = _takes_nothing) -> Download:
    unique = [SimpleNamespace(size=PLAIN, signature=bytes(32))] * blocks
    holding: Any = SimpleNamespace(dataset="maps/roads", version=bytes(32), entry=b"")
    holding.manifest = SimpleNamespace(unique=unique)
    parts: Any = SimpleNamespace(traffic=Traffic(), own_id="", fetcher=SimpleNamespace(take=take))
    sink: Any = None
    return Download(parts, holding, sink, (), _nobody, random.Random(1))


def begun(encoded_bytes: int, now: float = 0.0) -> Answer:
    return Answer(0, now, BLOCK, encoded_bytes=encoded_bytes, is_begun=True, whole_bytes=ENCODED)


def test_bytes_of_a_block_count_as_they_come_and_once() -> None:
    async def main() -> None:
        download, work = a_download(2), Work()
        work.download = download
        run = StartRun(7, "near", (0, 1), insist=False)
        seen = []
        for answer in (begun(0), begun(25_000), begun(75_000), begun(0)):
            download._answered(run, 0, answer)
            work.look(1.0)
            seen.append((work.wire, work.coming))
        assert seen[:3] == [(0, 0), (25_000, 100_000), (75_000, 300_000)]
        assert seen[3][0] == 75_000, "that it begins is told late of a quick one"
        # Whoever has it from elsewhere meanwhile throws it away: it travelled all the same.
        download.scheduler.blocks.received(0)
        download._answered(run, 0, Answer(0, 0.0, BLOCK, encoded_bytes=ENCODED))
        work.look(2.0)
        assert (work.wire, work.coming, download._parts.traffic.wire_received_bytes) == (ENCODED, 0, ENCODED)
        download._answered(run, 1, begun(50_000))
        assert (download.sources.wire_bytes, download.coming_bytes) == (ENCODED + 50_000, PLAIN // 2)

    asyncio.run(main())


def test_what_never_becomes_a_block_travelled_and_is_not_here() -> None:
    async def main() -> None:
        download = a_download(1, broken_off)
        await download._run(StartRun(7, "near", (0,), insist=False))
        assert (download.sources.wire_bytes, download.coming_bytes) == (60_000, 0)

    async def broken_off(peer: str, request: Any, keep: Any, answered: Callable[[Answer], None]) -> None:
        answered(begun(60_000))

    asyncio.run(main())


def test_a_block_that_takes_minutes_is_no_stall_and_a_trickle_is() -> None:
    async def main() -> None:
        download = a_download(1)
        run, since = StartRun(7, "near", (0,), insist=False), download._last_progress
        assert not download._has_stalled(since + 59.0) and download._has_stalled(since + 61.0)
        download._answered(run, 0, begun(SOME_BYTES, since + 50.0))
        assert not download._has_stalled(since + 109.0)
        for second in range(50, 111):
            download._answered(run, 0, begun(SOME_BYTES + second, since + second))
        assert download._has_stalled(since + 111.0)

    asyncio.run(main())


def test_what_is_on_its_way_to_a_peer_is_all_of_its_downloads_while_they_last() -> None:
    async def main() -> None:
        works, first, second = Works(), a_download(1), a_download(1)
        with works.fetching("maps/roads", bytes(32), first):
            with works.fetching("maps/rail", bytes(32), second):
                for download, encoded_bytes in ((first, 25_000), (second, 50_000)):
                    download._answered(StartRun(7, "near", (0,), insist=False), 0, begun(encoded_bytes))
                assert works.coming_bytes == PLAIN // 4 + PLAIN // 2
            assert works.coming_bytes == PLAIN // 4
        assert works.coming_bytes == 0

    asyncio.run(main())
