"""How files lie in blocks is looked for once a version, a few at a time, and why it is not known is said."""

from __future__ import annotations

import asyncio

import pytest

from swarm.errors import UnreachableError
from swarm.tracker.figures import laying
from swarm.tracker.figures.copies import Layout
from swarm.tracker.figures.laying import COMING, LATER, LAYING_MAX, NOBODY, Laying

ROADS = "maps/roads"


def test_a_layout_is_looked_for_once_and_a_failure_is_told_and_tried_again_later(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def scenario() -> None:
        asked: list[bytes] = []
        goes_on = asyncio.Event()

        async def find(dataset: str, version: bytes) -> Layout:
            asked.append(version)
            await goes_on.wait()
            if version == b"gone":
                raise UnreachableError("nobody has it")
            return Layout(3, 300)

        known = Laying(asyncio.create_task)
        assert known.wanted(ROADS, b"one") == NOBODY
        known.find = find
        versions = [b"gone", *(bytes([number]) for number in range(1, LAYING_MAX))]
        assert [known.wanted(ROADS, version) for version in versions * 2] == [COMING] * len(versions) * 2
        assert known.wanted(ROADS, b"more") == LATER
        goes_on.set()
        assert await known.comes_soon(ROADS, versions[1])
        assert not await known.comes_soon(ROADS, b"gone")
        assert (known.known(ROADS, versions[1]), known.known(ROADS, b"gone")) == (Layout(3, 300), None)
        assert known.wanted(ROADS, b"gone") == "nobody has it"
        assert asked == versions
        monkeypatch.setattr(laying, "RETRY_S", 0.0)
        assert known.wanted(ROADS, b"gone") == COMING

    asyncio.run(scenario())
