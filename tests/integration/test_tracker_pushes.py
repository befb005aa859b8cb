"""Trackers over one store: what one of them does is served and told by the others, with pushes and without."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import msgspec
import pytest

from swarm import canonical
from swarm.client import TrackerClient
from swarm.errors import IntegrityError, NotAllowedError
from swarm.identity import PeerKey
from swarm.joining import join
from swarm.log import Entry, Move
from swarm.messages import Contact, Head
from swarm.objects.memory import MemoryObjectStore
from swarm.token import parse_token
from swarm.tracker import serve_announces, serve_datasets
from swarm.tracker.pushes import MSGPACK, PUSH_PATH, Push, Pushes
from swarm.tracker.server import Tracker
from tests.integration.test_tracker_pair import start
from tests.integration.tracker_rig import (
    STORE_KEY,
    Enrolled,
    Rig,
    announce_of,
    contact_at,
    publish,
    running_tracker,
    until,
)

ROADS = "maps/roads"
V1, V2 = b"\1" * 32, b"\2" * 32


class CountingStore(MemoryObjectStore):
    """Counts what is read of logs."""

    gets = 0

    def get(self, key: str) -> bytes:
        self.gets += key.startswith("datasets/")
        return super().get(key)


@asynccontextmanager
async def pair(folder: Path, objects: MemoryObjectStore | None = None) -> AsyncIterator[tuple[Rig, Tracker]]:
    """Two trackers that know of each other, and a rig at the first."""
    async with running_tracker(folder, objects) as rig:
        other = await start(rig.objects)
        await until(lambda: len(rig.tracker.state.pushes.others) == 1 == len(other.state.pushes.others))
        try:
            yield rig, other
        finally:
            await other.close()


def at(member: Enrolled, tracker: Tracker) -> TrackerClient:
    """A client of the same member at one tracker alone."""
    member.client.set_trackers([tracker.contact])
    return member.client


async def watched(client: TrackerClient, entries: list[Entry]) -> None:
    async for _, entry in client.watch(ROADS):
        entries.append(entry)


def without_pushes(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Every push of a head is lost: their serials."""
    lost: list[int] = []
    monkeypatch.setattr(Pushes, "moved", lambda _, dataset, serial: lost.append(serial))
    return lost


def is_at_rest(tracker: Tracker) -> bool:
    """Whether it has told others all that it had to tell. Who has nothing to tell says every few seconds so."""
    return not tracker.state.pushes._waiting and not tracker.state.pushes._telling


@asynccontextmanager
async def watching(client: TrackerClient) -> AsyncIterator[list[Entry]]:
    entries: list[Entry] = []
    task = asyncio.create_task(watched(client, entries))
    try:
        yield entries
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


def test_a_move_at_one_rings_at_the_other_by_push_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Polling would come after hours."""
    monkeypatch.setattr(serve_datasets, "WATCH_POLL_S", 1e4)
    monkeypatch.setattr(serve_announces, "HEAD_MAX_AGE_S", 1e4)

    async def main() -> None:
        async with pair(tmp_path) as (rig, other):
            seed, writer, reader = await rig.member("seed"), await rig.member(), await rig.member()
            at(writer, rig.tracker)
            await publish(writer, seed, ROADS, "v1", V1)
            async with watching(at(reader, other)) as entries:
                await until(lambda: entries)
                asked = announce_of(heads=[ROADS])
                assert (await reader.client.announce(asked)).heads == (Head(ROADS, 1),)
                reader.client.set_trackers([other.contact])
                passed_on: list[bytes] = []
                other.state.on_commit = passed_on.append
                data, _ = await publish(writer, seed, ROADS, "v2", V2)
                await until(lambda: len(entries) == 2 and passed_on)
                assert passed_on == [data]
                assert (await reader.client.announce(asked)).heads == (Head(ROADS, 2),)

    asyncio.run(main())


def test_a_push_that_is_lost_costs_a_pause(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serve_datasets, "WATCH_POLL_S", 0.05)
    lost = without_pushes(monkeypatch)

    async def main() -> None:
        async with pair(tmp_path) as (rig, other):
            seed, writer, reader = await rig.member("seed"), await rig.member(), await rig.member()
            at(writer, rig.tracker)
            await publish(writer, seed, ROADS, "v1", V1)
            async with watching(at(reader, other)) as entries:
                await until(lambda: entries)
                await publish(writer, seed, ROADS, "v2", V2)
                await until(lambda: len(entries) == 2)
            assert lost == [1, 2]

    asyncio.run(main())


def test_a_lookup_never_answers_what_another_tracker_has_changed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    without_pushes(monkeypatch)

    async def main() -> None:
        async with pair(tmp_path) as (rig, other):
            seed, writer, reader = await rig.member("seed"), await rig.member(), await rig.member()
            at(writer, rig.tracker)
            client = at(reader, other)
            for number in range(1, 30):
                _, entry = await publish(writer, seed, ROADS, "latest", bytes([number]) * 32)
                assert (await client.dataset(ROADS)).serial == entry.serial == number
                assert (await client.log(ROADS, after=number - 1))[0][1] == entry

    asyncio.run(main())


def test_lookups_that_come_together_share_their_look_at_the_store(tmp_path: Path) -> None:
    async def main() -> None:
        objects = CountingStore()
        async with pair(tmp_path, objects) as (rig, other):
            seed, writer, reader = await rig.member("seed"), await rig.member(), await rig.member()
            at(writer, rig.tracker)
            await publish(writer, seed, ROADS, "v1", V1)
            client = at(reader, other)
            await client.dataset(ROADS)
            await until(lambda: is_at_rest(rig.tracker))  # the other looks at what it is told of
            before, looks = objects.gets, other.state.looks.looks
            for _ in range(10):
                await asyncio.gather(*(client.dataset(ROADS) for _ in range(40)))
            looked = other.state.looks.looks - looks
            assert objects.gets - before == looked
            # Eight connections at a time, so a round of 40 calls is about five looks when they are shared.
            assert looked < 200, "each lookup asked the store for itself"

    asyncio.run(main())


def test_only_trackers_push_and_only_of_themselves(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> None:
        async with pair(tmp_path) as (rig, other):
            listing = rig.tracker.state.pushes.listing
            # Nor does it say by itself that it is there.
            monkeypatch.setattr(Pushes, "ask", lambda _: None)
            await until(lambda: is_at_rest(rig.tracker))

            async def told(member: Enrolled, listing: bytes) -> bytes:
                push = canonical.encode(Push(1, listing, True, ()))
                return await member.client.calls.call("POST", PUSH_PATH, body=push, content_type=MSGPACK)

            for stranger in (await rig.member("peer"), await rig.member("seed")):
                at(stranger, other)
                with pytest.raises(NotAllowedError, match="for trackers alone"):
                    await told(stranger, listing)
            at(rig.admin, other)
            with pytest.raises(IntegrityError, match="says of another where it is"):
                await told(rig.admin, other.state.pushes.listing)
            with pytest.raises(IntegrityError):
                await told(rig.admin, b"garbage")
            assert rig.tracker.contact in other.state.trackers
            assert await told(rig.admin, listing) == b""
            assert rig.tracker.contact not in other.state.trackers

    asyncio.run(main())


def test_a_tracker_that_comes_or_goes_is_known_at_once(tmp_path: Path) -> None:
    """Nobody reads the list in the store anew here; one that dies without a word stays listed for some minutes."""

    async def main() -> None:
        async with pair(tmp_path) as (rig, other):
            third = await start(rig.objects)
            await until(lambda: all(third.contact in each.state.trackers for each in (rig.tracker, other)))
            member = await rig.member()
            assert third.contact in (await at(member, other).announce(announce_of())).trackers
            await third.close()
            for tracker in (rig.tracker, other):
                assert third.contact not in tracker.state.trackers

    asyncio.run(main())


def test_who_leaves_says_so_after_all_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Else what it has said before would make it present again, for some minutes."""
    monkeypatch.setattr("swarm.tracker.pushes.LAST_WORDS_S", 60.0)

    async def main() -> None:
        async with pair(tmp_path) as (rig, other):
            pushes, said, may_go_on = other.state.pushes, list[tuple[str, bool]](), asyncio.Event()
            post = pushes._post

            async def slowly(to: Contact, push: bytes) -> bool:
                is_leaving = canonical.decode(push, Push, limit_bytes=len(push)).leaving
                said.append(("begun", is_leaving))
                if not is_leaving:
                    await may_go_on.wait()
                took = await post(to, push)
                said.append(("told", is_leaving))
                return took

            monkeypatch.setattr(pushes, "_post", slowly)
            pushes.ask()
            await until(lambda: said)
            closing = asyncio.create_task(other.close())
            await asyncio.wait([closing], timeout=0.1)
            may_go_on.set()
            await closing
            assert said == [("begun", False), ("told", False), ("begun", True), ("told", True)]
            assert other.contact not in rig.tracker.state.trackers

    asyncio.run(main())


def test_a_push_to_a_tracker_that_is_gone_is_given_up(tmp_path: Path) -> None:
    async def main() -> None:
        async with pair(tmp_path) as (rig, other):
            seed, writer = await rig.member("seed"), await rig.member()
            at(writer, rig.tracker)
            await other.listener.close()
            pushes = rig.tracker.state.pushes
            await publish(writer, seed, ROADS, "v1", V1)
            await until(lambda: pushes.lost and is_at_rest(rig.tracker))

    asyncio.run(main())


def test_a_tracker_that_was_removed_pushes_no_more(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("swarm.tracker.members.REMOVED_CACHE_S", 0.0)

    async def main() -> None:
        async with pair(tmp_path) as (rig, other):
            await rig.admin.client.remove_member(other.contact.peer_id)
            with pytest.raises(NotAllowedError):
                await Tracker.start(rig.objects, STORE_KEY, other._key, "127.0.0.1", 0)
            lost = other.state.pushes.lost
            other.state.pushes.moved(ROADS, 1)
            await until(lambda: other.state.pushes.lost > lost)

    asyncio.run(main())


def test_a_silent_tracker_is_not_waited_for(tmp_path: Path) -> None:
    """It takes the connection and says nothing, and every timeout of the call is longer than the test may take."""

    async def main() -> None:
        async with running_tracker(tmp_path) as rig:
            member, seed = await rig.member(), await rig.member("seed")
            with socket.create_server(("127.0.0.1", 0)) as silent:
                nobody = contact_at(Contact(PeerKey(os.urandom(32)).public, ()), silent.getsockname()[1])
                trackers = [nobody, rig.tracker.contact]
                client = TrackerClient(
                    trackers, key=member.key, root=member.papers.ca, files=member.files, timeout_s=1e4
                )
                assert (await client.datasets()).datasets == ()
                standing = client.calls.standing
                assert standing[nobody.peer_id].failure == "it is slower than others"
                assert standing[rig.tracker.contact.peer_id].failure == ""
                assert client.calls.answered_last == rig.tracker.contact.peer_id
                await publish(member, seed, ROADS, "v1", V1)
                client.set_trackers(trackers)
                async with watching(client) as entries:
                    await until(lambda: entries)
                    assert entries[0].moves == (Move("v1", V1),)
                await client.close()

    asyncio.run(main())


def test_a_home_joins_where_a_tracker_of_its_token_is_silent(tmp_path: Path) -> None:
    async def main() -> None:
        async with running_tracker(tmp_path) as rig:
            with socket.create_server(("127.0.0.1", 0)) as silent:
                token = parse_token(await rig.token())
                addresses = (f"127.0.0.1:{silent.getsockname()[1]}", *token.addresses)
                token = msgspec.structs.replace(token, addresses=addresses)
                assert (await join(token, PeerKey(os.urandom(32)), timeout_s=1e4)).ca == rig.admin.papers.ca

    asyncio.run(main())
