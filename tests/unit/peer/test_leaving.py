"""Leaving: the word of it comes last at every tracker, and is sent whatever else hangs."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any, cast

import pytest

from swarm.errors import IncompleteError
from swarm.messages import Announce, AnnounceAnswer
from swarm.metrics import Metrics
from swarm.peer import announce
from swarm.peer.announce import Announcer
from swarm.peer.node import PeerNode
from swarm.peer.tasks import Tasks


class Trackers:
    """One that answers, and others. ``heard``: who heard what, in that order."""

    def __init__(self) -> None:
        self.calls = SimpleNamespace(on_moved=None, answered_last="")
        self.heard: list[tuple[str, str]] = []
        self.is_open = asyncio.Event()
        self.is_open_to_others = asyncio.Event()
        self.is_open.set()
        self.is_open_to_others.set()

    def on_news(self, heard: object) -> None:
        """Nothing is told."""

    async def announce(self, message: str) -> str:
        if message == "beat":
            await self.is_open.wait()
        self.heard.append(("first", message))
        return "answer"

    async def announce_to_others(self, message: str) -> None:
        if message == "beat":
            await self.is_open_to_others.wait()
        self.heard.append(("others", message))


class Beating(Announcer):
    """An announcer whose messages are words."""

    def _message(self, *, leaving: bool) -> Announce:
        return cast(Announce, "leaving" if leaving else "beat")

    def _take(self, announce: Announce, answer: AnnounceAnswer) -> None:
        self._was_answered = True


def announcer_of(trackers: Trackers) -> Beating:
    node: Any = SimpleNamespace(
        tracker=trackers, tasks=Tasks(), extension=object(), tracker_address=None, metrics=Metrics()
    )
    return Beating(cast(PeerNode, node))


def test_a_beat_that_is_slow_to_other_trackers_is_not_overtaken_by_the_word_of_leaving() -> None:
    async def main() -> None:
        trackers = Trackers()
        announcer = announcer_of(trackers)
        trackers.is_open_to_others.clear()
        await announcer.beat()
        leaving = asyncio.create_task(announcer.leave())
        for _ in range(20):
            await asyncio.sleep(0)
        assert trackers.heard == [("first", "beat")]
        trackers.is_open_to_others.set()
        await leaving
        assert trackers.heard[1:] == [("others", "beat"), ("first", "leaving"), ("others", "leaving")]

    asyncio.run(main())


@pytest.mark.parametrize("was_answered", [True, False])
def test_the_word_of_leaving_is_sent_though_a_beat_hangs(monkeypatch: pytest.MonkeyPatch, was_answered: bool) -> None:
    monkeypatch.setattr(announce, "LEAVE_DEADLINE_S", 1000.0)

    async def main() -> None:
        trackers = Trackers()
        announcer = announcer_of(trackers)
        if was_answered:
            await announcer.beat()
            await asyncio.sleep(0)
        trackers.heard.clear()
        trackers.is_open.clear()
        hanging = asyncio.create_task(announcer.beat())
        await asyncio.sleep(0)
        leaving, loop = asyncio.create_task(announcer.leave()), asyncio.get_running_loop()
        await asyncio.sleep(0)
        later = loop.time() + announce.LEAVE_DEADLINE_S * 0.6
        monkeypatch.setattr(loop, "time", lambda: later)
        await leaving
        assert trackers.heard == ([("first", "leaving"), ("others", "leaving")] if was_answered else [])
        with pytest.raises(IncompleteError, match="leaves"):
            await announcer.beat()
        hanging.cancel()
        await asyncio.gather(hanging, return_exceptions=True)

    asyncio.run(main())
