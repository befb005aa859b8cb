"""Streams of figures: who does not read is let go, and who comes back misses nothing unsaid."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from types import SimpleNamespace
from typing import Any, cast

import msgspec
import pytest
from aiohttp import web

from swarm.errors import FullError, UsageError
from swarm.figure_messages import Series
from swarm.identity import peer_id_of
from swarm.principal import Principal
from swarm.tracker.figures import hub as hub_module
from swarm.tracker.figures import serve
from swarm.tracker.figures.hub import LISTENERS_OF_ONE_MAX, PACE_BYTES_PER_S, WAITING_MAX_BYTES, Hub, Listener
from swarm.tracker.figures.picture import Picture
from swarm.tracker.figures.service import Figures
from swarm.tracker.figures.topics import EVENTS_RESUMED_MAX, Topic, View
from tests.reported import key

ALICE = Principal("user", "alice")
ALL = ("*",)
WALL = 1_700_000_000.0


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


def told_by(message: bytes) -> list[tuple[str, str, dict[str, Any]]]:
    """The id, the topic and the data of each event of a stream."""
    found = []
    for part in filter(None, message.decode().split("\n\n")):
        lines = dict(line.split(": ", 1) for line in part.split("\n"))
        found.append((lines["id"], lines["event"], msgspec.json.decode(lines["data"])))
    return found


def numbers_of(message: bytes) -> list[int]:
    told = [data for _, topic, data in told_by(message) if topic == "events"]
    return [event["number"] for data in told for event in data["events"]]


def happen(picture: Picture, count: int) -> None:
    for _ in range(count):
        picture.happenings.add("died", WALL, "a peer died", occasion=str(picture.happenings.number))


def streaming(topics: list[str]) -> tuple[Picture, Hub, Listener]:
    """Somebody who listens while a lot happens, and has taken all of it."""
    picture = Picture(0.0, WALL)
    hub = hub_of(picture)
    listener = hub.join(topics, ALL, "")
    hub.tick(1.0)
    listener.take()
    happen(picture, 10)
    hub.tick(2.0)
    return picture, hub, listener


def test_who_comes_back_is_told_each_event_once_however_many_it_missed() -> None:
    picture, hub, first = streaming(["events"])
    seen, last_id = numbers_of(message := first.take()), told_by(message)[-1][0]
    hub.leave(first)
    other = hub.join(["events"], ALL, "")
    hub.tick(3.0)
    for second in range(4, 7):
        happen(picture, 100)
        hub.tick(second)
    again = hub.join(["events"], ALL, last_id)
    happen(picture, 50)
    hub.tick(6.5)  # too soon for what is new: that comes with the next
    hub.tick(8.0)
    seen += numbers_of(again.take())
    assert seen == list(range(1, 361))
    assert numbers_of(other.take()) == list(range(1, 361))


def test_who_missed_more_than_is_told_again_is_told_that() -> None:
    picture, hub, first = streaming(["events"])
    last_id = told_by(first.take())[-1][0]
    hub.leave(first)
    happen(picture, EVENTS_RESUMED_MAX + 1)
    again = hub.join(["events"], ALL, last_id)
    hub.tick(3.0)
    ((_, _, told),) = told_by(again.take())
    assert (told["missed"], len(told["events"]), told["next"]) == (True, EVENTS_RESUMED_MAX, picture.happenings.number)


def test_what_is_refused_is_said_once_to_each() -> None:
    hub, told = hub_of(Picture(0.0, WALL)), list[list[str]]()
    first = hub.join(["peers"], ("maps/*",), "")
    hub.tick(1.0)
    second = hub.join(["peers"], ("maps/*",), "")
    for now in (2.0, 3.0, 4.0):
        hub.tick(now)
    for listener in (first, second):
        told.append([topic for _, topic, _ in told_by(listener.take())])
    assert told == [["refused"], ["refused"]]


def check_ids(message: bytes, had: int) -> None:
    """A stream may be cut off between any two of its messages: each id says of no event that it came that did not."""
    topics = set()
    for id, topic, data in told_by(message):
        had = max([had, *(event["number"] for event in data["events"])]) if topic == "events" else had
        assert int(id.split(".")[2]) == had, topic
        topics.add(topic)
    assert topics == {"overview", "events"}


def test_an_id_says_only_of_events_that_came_that_they_did() -> None:
    picture, hub, listener = streaming(["overview", "events"])
    last_id = told_by(listener.take())[-1][0]
    picture.sums = replace(picture.sums, peers=1)
    happen(picture, 250)  # more than one message tells
    hub.tick(3.0)
    picture.sums = replace(picture.sums, peers=2)
    hub.tick(4.0)
    check_ids(listener.take(), had=10)
    again = hub.join(["overview", "events"], ALL, last_id)
    hub.tick(4.5)
    check_ids(again.take(), had=10)


def test_a_topic_of_a_stranger_is_looked_at_before_anything_is_looked_up() -> None:
    async def main() -> None:
        asked = list[bytes]()
        picture = Picture(0.0, 0.0)

        async def know_joined(public: bytes) -> None:
            asked.append(public)

        routes = object.__new__(serve._Serve)
        routes.picture = picture
        routes.figures = cast(Figures, SimpleNamespace(hub=hub_of(picture), know_joined=know_joined))
        topics, patterns = "peer:" + peer_id_of(key(1)), ("maps/*",)

        async def may_read(who: Principal) -> tuple[str, ...]:
            return patterns

        routes._patterns = may_read  # type: ignore[method-assign]
        request: Any = SimpleNamespace(headers={}, transport=None)
        with pytest.MonkeyPatch.context() as patched:
            patched.setattr(serve, "query_of", lambda request, kind: kind(topics=topics))
            patched.setattr(web, "StreamResponse", Gone)
            with pytest.raises(ConnectionResetError):
                await routes.stream(request, ALICE)
            assert not asked  # who may not see a peer has nothing looked up
            patterns = ALL
            with pytest.raises(ConnectionResetError):
                await routes.stream(request, ALICE)
            assert asked == [key(1)]
            for wrong in ("peer:x", "peer:" + peer_id_of(key(2)) + ",nothing", "peer:é", ",", "overview," * 17):
                topics = wrong
                with pytest.raises(UsageError):
                    await routes.stream(request, ALICE)
            assert asked == [key(1)] and not len(routes.figures.hub)

    asyncio.run(main())


class Gone:
    """A response to somebody who has left."""

    def __init__(self, **_: object) -> None:
        return

    async def prepare(self, request: object) -> None:
        raise ConnectionResetError


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
        async with asyncio.timeout(60):
            await streaming
        assert aborted and not len(hub)

    asyncio.run(main())


class Tag:
    """A topic whose words are longer than what a second may take, and change each time."""

    def __init__(self, hub: Hub, size: int) -> None:
        self.listener, self._hub = hub.join(["overview"], ALL, ""), hub
        self._size, self._serial = size, 0
        (group,) = hub._groups.values()
        group.topic = Topic("overview", "overview", self._make)

    def _make(self, figures: Figures, view: View, now: float) -> Series:
        self._serial += 1
        return Series("x" * self._size, 1, ((now, self._serial),))

    def is_told(self, now: float) -> bool:
        self._hub.tick(now)
        return bool(self.listener.take())


def test_a_tag_that_moves_is_told_of_before_the_pace_allows_and_the_pace_is_kept() -> None:
    hub = hub_of(Picture(0.0, 0.0))
    page = Tag(hub, 3 * PACE_BYTES_PER_S)
    assert page.is_told(10.0)
    assert not page.is_told(11.0), "what is long takes three seconds"
    hub.moved("maps/roads", ["stable"])
    assert page.is_told(11.1)
    told = []
    for tenth in range(112, 712):
        hub.moved("maps/roads", ["stable"])
        told.append(page.is_told(tenth / 10))
    assert 18 <= sum(told) <= 21, "whoever moves tags all the time makes streams no longer"


def test_what_is_dear_to_make_is_told_less_often(monkeypatch: pytest.MonkeyPatch) -> None:
    spent = iter(range(1000))
    monkeypatch.setattr(hub_module, "time", SimpleNamespace(thread_time=lambda: 0.015 * next(spent)))
    page = Tag(hub_of(Picture(0.0, 0.0)), 10)
    assert [page.is_told(float(second)) for second in range(7)] == [True, False, False, True, False, False, True]


def test_after_a_move_that_has_to_wait_the_next_look_comes_soon() -> None:
    async def main() -> None:
        hub = hub_of(Picture(0.0, 0.0))
        page = Tag(hub, 10)
        assert page.is_told(0.0)
        hub.moved("maps/roads", ["stable"])
        assert page.is_told(0.2)
        hub.moved("maps/roads", ["stable"])
        assert not page.is_told(0.3)
        hub._woken.clear()
        async with asyncio.timeout(30):
            await hub.pause(60.0)
        assert page.is_told(0.95)

    asyncio.run(main())
