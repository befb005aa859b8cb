"""Streams of figures: who does not read is let go, and who comes back misses nothing unsaid."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any, cast

import pytest
from aiohttp import web

from swarm.errors import FullError
from swarm.principal import Principal
from swarm.tracker.figures import serve
from swarm.tracker.figures.hub import LISTENERS_OF_ONE_MAX, WAITING_MAX_BYTES, Hub, Listener
from swarm.tracker.figures.picture import Picture
from swarm.tracker.figures.service import Figures

ALICE = Principal("user", "alice")
ALL = ("*",)


def hub_of(picture: Picture) -> Hub:
    return Hub(cast(Figures, SimpleNamespace(picture=picture)))


def test_what_waits_for_one_stream_is_bounded() -> None:
    listener = Listener(ALL, ("events",))
    for number in range(2000):
        listener.put("events", number, bytes(10_000))
        assert listener.size == sum(map(len, listener.waiting.values())) <= WAITING_MAX_BYTES
    assert listener.is_lost and not listener.waiting


def test_one_person_cannot_take_the_streams_of_all() -> None:
    hub = hub_of(Picture(0.0, 0.0))
    mine = [hub.join(["events"], ALL, "", "user:alice") for _ in range(LISTENERS_OF_ONE_MAX)]
    with pytest.raises(FullError, match="close some"):
        hub.join(["events"], ALL, "", "user:alice")
    hub.join(["events"], ALL, "", "user:bob")
    hub.leave(mine[0])
    hub.join(["events"], ALL, "", "user:alice")


class Stuck:
    """A response that takes its first bytes and then nothing more, as one whose reader has stopped."""

    def __init__(self, **_: object) -> None:
        self.taken = 0

    async def prepare(self, request: object) -> None:
        return

    async def write(self, data: bytes) -> None:
        self.taken += 1
        if self.taken > 1:
            await asyncio.Event().wait()


def test_who_takes_nothing_is_hung_up_and_gives_its_place_back(monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> None:
        picture, aborted = Picture(0.0, 0.0), list[int]()
        hub = hub_of(picture)
        routes = object.__new__(serve._Serve)
        routes.picture, routes.figures = picture, cast(Figures, SimpleNamespace(hub=hub))

        async def patterns(who: Principal) -> tuple[str, ...]:
            return ALL

        routes._patterns = patterns  # type: ignore[method-assign]
        transport = SimpleNamespace(abort=lambda: aborted.append(1))
        request: Any = SimpleNamespace(headers={}, transport=transport)
        monkeypatch.setattr(serve, "query_of", lambda request, kind: kind(topics="events"))
        monkeypatch.setattr(web, "StreamResponse", Stuck)
        monkeypatch.setattr(serve, "WRITE_TIMEOUT_S", 0.05)
        streaming = asyncio.create_task(routes.stream(request, ALICE))
        await asyncio.sleep(0)
        next(iter(hub._listeners)).put("events", 1, b"news")
        async with asyncio.timeout(2):
            await streaming
        assert aborted and not len(hub)

    asyncio.run(main())
