"""Availability of versions as it is told: counted beside the event loop, once for all who ask."""

from __future__ import annotations

import asyncio
import threading
import time
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest

from swarm.errors import NotFoundError
from swarm.figure_messages import Blocks
from swarm.manifest import BlockEntry, Manifest, laid_out
from swarm.peer import layouts
from swarm.signature import signature_of
from swarm.tracker.figures import copies, counting
from swarm.tracker.figures.copies import Seen
from swarm.tracker.figures.service import Figures
from swarm.tracker.figures.topics import View
from tests.datasets import file_entry
from tests.reported import ROADS, V1, entry, followed, held, report, who
from tests.unit.figures.test_hub import told_by

ALL = View(("*",))
TOPIC = f"blocks:{ROADS}"


def figures(counts: list[int], monkeypatch: pytest.MonkeyPatch) -> Figures:
    """Of a tracker that two peers have told of version 1. ``counts``: the threads that have counted."""

    def noting(seen: Seen, ranges: int) -> Blocks:
        counts.append(threading.get_ident())
        return copies.counted(seen, ranges)

    monkeypatch.setattr(counting, "counted", noting)
    state: Any = SimpleNamespace(pushes=SimpleNamespace(others=()))
    made, now = Figures(state), time.monotonic()
    for number in (1, 2):
        made.picture.report(who(number), report(1, followed(), holdings=(held(8, 8),)), now)
    made.picture.moved(entry(1, V1, wall_time=int(time.time())), now)
    return made


def test_copies_are_counted_beside_the_loop_once_for_all_who_ask(monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> None:
        counts = list[int]()
        of, now = figures(counts, monkeypatch), time.monotonic()
        asked = [of.blocks(ROADS, ALL, now, version, 4) for version in (b"", V1, V1)]
        leaves = asyncio.create_task(of.blocks(ROADS, ALL, now, V1, 4))
        await asyncio.sleep(0)
        leaves.cancel()
        found = await asyncio.gather(*asked)
        assert {each.complete_peers for each in found} == {2} and len(counts) == 1
        assert counts[0] != threading.get_ident()
        of.picture.report(who(3), report(1, holdings=(held(8, 8),)), now)
        assert (await of.blocks(ROADS, ALL, now + counting.KEPT_S / 2, V1, 4)).complete_peers == 2
        assert (await of.blocks(ROADS, ALL, now + counting.KEPT_S, V1, 4)).complete_peers == 3
        assert len(counts) == 2
        with pytest.raises(NotFoundError):  # also while an answer for others is at hand
            await of.blocks(ROADS, View(("other/*",)), now + counting.KEPT_S, V1, 4)
        await of.close()

    asyncio.run(main())


def test_a_stream_is_told_when_it_is_counted_and_goes_on_meanwhile(monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> None:
        counts = list[int]()
        of, now = figures(counts, monkeypatch), time.monotonic()
        listener, stranger = of.hub.join([TOPIC], ("*",), ""), of.hub.join([TOPIC], ("other/*",), "")
        of.hub.tick(now)
        assert (listener.waiting, counts) == ({}, [])
        assert [topic for _, topic, _ in told_by(stranger.take())] == ["refused"]
        await asyncio.gather(*of.counting._making.values())
        assert of.hub._woken.is_set()
        of.hub.tick(now + 0.1)
        ((_, topic, told),) = told_by(listener.take())
        assert topic == TOPIC and msgspec.convert(told, Blocks).complete_peers == 2
        of.hub.tick(now + 2)
        assert not listener.waiting and len(counts) == 1
        await of.close()

    asyncio.run(main())


def test_of_a_version_with_many_files_the_first_are_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(layouts, "FILES_MAX", 5)
    layout = layouts.layout_of(manifest(20))
    assert [span.path for span in layout.files] == [f"f{number:02}" for number in range(5)]
    assert (layout.blocks, sum(layout.sizes)) == (20, 20 * 10)


def manifest(files: int) -> Manifest:
    plain = [bytes([number]) * 10 for number in range(files)]
    blocks = [BlockEntry(signature_of(each), len(each)) for each in plain]
    return laid_out([file_entry(f"f{number:02}", each) for number, each in enumerate(plain)], blocks)
