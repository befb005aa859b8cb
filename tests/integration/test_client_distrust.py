"""A client and a tracker that lies: it has the right certificate, and answers what was not asked, too much, or
nonsense.

What a tracker says about a dataset counts only with the seals that prove it, so a broken or captured listener (it
does not hold the CA key) can withhold and delay, and nothing else.
"""

from __future__ import annotations

import asyncio
import base64
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec
import pytest
from aiohttp import web

from swarm import log, names
from swarm.errors import AetherError, FullError, NotAllowedError, RemoteProtocolError, UnreachableError
from swarm.events import LINE_MAX_BYTES, format_event
from swarm.http.serve import make_app, start_listener
from swarm.log import Move
from swarm.messages import (
    AppendAnswer,
    Contact,
    LogAnswer,
    LookupAnswer,
    RenewAnswer,
    SnapshotAnswer,
)
from swarm.objects.memory import MemoryObjectStore
from swarm.records import Address
from swarm.signature import signature_of
from swarm.snapshot import Snapshot, TagState, seal_snapshot
from swarm.tracker.certificates import listener_context, people_certificate
from tests.integration.tracker_rig import Enrolled, Rig, announce_of, publish, running_tracker

V1, V2 = signature_of(b"1"), signature_of(b"2")
ROADS, LAKES = "library/roads", "library/lakes"
Answerer = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Liar:
    """A listener with the tracker's own certificate that answers every request with ``body``."""

    def __init__(self) -> None:
        self.status = 200
        self.body = b""
        self.answerer: Answerer | None = None

    async def handle(self, request: web.Request) -> web.StreamResponse:
        await request.read()
        if self.answerer is not None:
            return await self.answerer(request)
        headers = {"Location": "https://127.0.0.1:1/"} if self.status == 302 else {}
        return web.Response(status=self.status, body=self.body, headers=headers)

    def says(self, answer: msgspec.Struct) -> None:
        self.body = msgspec.json.encode(answer)


@asynccontextmanager
async def lying_to(rig: Rig, victim: Enrolled) -> AsyncIterator[Liar]:
    """A liar that the victim takes for its tracker."""
    liar = Liar()
    app = make_app()
    app.router.add_route("*", "/{rest:.*}", liar.handle)
    papers = rig.tracker.state.papers
    context, _ = listener_context(rig.key, papers.certificate, rig.admin.papers.ca, people_certificate([], time.time()))
    listener = await start_listener(app, "127.0.0.1", 0, context)
    victim.client.set_trackers([Contact(rig.key.public, (Address("127.0.0.1", listener.port),))])
    try:
        yield liar
    finally:
        await victim.client.close()
        await listener.close()


def test_a_lookup_is_believed_only_with_its_proof(tmp_path: Path) -> None:
    async def main() -> None:
        async with running_tracker(tmp_path) as rig:
            seed, producer, victim = await rig.member("seed"), await rig.member(), await rig.member()
            old, _ = await publish(producer, seed, ROADS, "latest", V1)
            new, _ = await publish(producer, seed, ROADS, "latest", V2)
            other, _ = await publish(producer, seed, LAKES, "latest", V2)
            roads, _ = await producer.client.snapshot(ROADS)
            lakes, _ = await producer.client.snapshot(LAKES)
            state = TagState("latest", 2, V1)
            forged = seal_snapshot(producer.key, Snapshot(1, ROADS, 2, (state,), 0, 1 << 40))
            good = LookupAnswer(ROADS, "latest", 2, V2.hex(), new, roads)
            lies = [
                msgspec.structs.replace(good, entry=old),
                msgspec.structs.replace(good, entry=other),
                msgspec.structs.replace(good, entry=b""),
                msgspec.structs.replace(good, entry=new[:-1] + bytes([new[-1] ^ 1])),
                msgspec.structs.replace(good, snapshot=lakes),
                msgspec.structs.replace(good, snapshot=forged),
                msgspec.structs.replace(good, snapshot=b""),
            ]
            async with lying_to(rig, victim) as liar:
                for lie in lies:
                    liar.says(lie)
                    with pytest.raises(RemoteProtocolError):
                        await victim.client.lookup(names.parse("roads:latest"))
                liar.says(good)
                for text in (f"roads@{V1.hex()}", "roads:stable", "lakes:latest"):
                    with pytest.raises(RemoteProtocolError):
                        await victim.client.lookup(names.parse(text))
                liar.says(msgspec.structs.replace(good, version=V1.hex(), serial=77, tag="lie"))
                found = await victim.client.lookup(names.parse("roads:latest"))
                assert (found.version, found.serial) == (V2, 2)

    asyncio.run(main())


def test_a_log_is_believed_only_in_order_and_whole(tmp_path: Path) -> None:
    async def main() -> None:
        async with running_tracker(tmp_path) as rig:
            seed, producer, victim = await rig.member("seed"), await rig.member(), await rig.member()
            roads = [(await publish(producer, seed, ROADS, "latest", version))[0] for version in (V1, V2, V1)]
            lakes = [(await publish(producer, seed, LAKES, "latest", version))[0] for version in (V1, V2)]
            async with lying_to(rig, victim) as liar:
                for entries in ([roads[1]], [roads[0], roads[2]], [roads[1], roads[0]], [lakes[0]], [b"x"]):
                    liar.says(LogAnswer(ROADS, 3, tuple(entries)))
                    with pytest.raises(RemoteProtocolError):
                        await victim.client.log(ROADS)
                authority = rig.tracker.state.keys.authority.key
                _, second = log.parse_entry(roads[1])
                fork = msgspec.structs.replace(second, previous=signature_of(b"another history"))
                forked = log.endorse(authority, log.seal_entry(producer.key, fork, producer.papers.grant))
                liar.says(LogAnswer(ROADS, 3, (roads[0], forked)))
                with pytest.raises(RemoteProtocolError, match="does not follow"):
                    await victim.client.log(ROADS)
                liar.says(LogAnswer(ROADS, 3, tuple(roads)))
                assert len(await victim.client.log(ROADS)) == 3
                for head, entries in ((3, []), (3, [roads[0]]), (1, [roads[0], roads[1]])):
                    liar.says(LogAnswer(ROADS, head, tuple(entries)))
                    with pytest.raises(RemoteProtocolError):
                        await victim.client.head(ROADS)
                liar.says(SnapshotAnswer((await producer.client.snapshot(LAKES))[0]))
                with pytest.raises(RemoteProtocolError, match="another dataset's"):
                    await victim.client.snapshot(ROADS)
                liar.says(AppendAnswer(1, roads[0]))
                liar.status = 200
                with pytest.raises(RemoteProtocolError):
                    await victim.client.append(lakes[0])

    asyncio.run(main())


def test_a_commit_is_believed_only_when_it_is_the_same(tmp_path: Path) -> None:
    async def main() -> None:
        async with running_tracker(tmp_path) as rig:
            seed, producer, victim = await rig.member("seed"), await rig.member(), await rig.member()
            roads, _ = await publish(producer, seed, ROADS, "latest", V1)
            async with lying_to(rig, victim) as liar:

                async def answer(request: web.Request) -> web.Response:
                    if request.method == "GET":
                        return web.Response(body=msgspec.json.encode(LogAnswer(ROADS, 1, (roads,))))
                    return web.Response(body=msgspec.json.encode(AppendAnswer(1, roads)))

                liar.answerer = answer
                with pytest.raises(RemoteProtocolError, match="something else"):
                    await victim.client.commit(ROADS, "tag", [Move("x", V1)], grant=victim.papers.grant)

    asyncio.run(main())


def test_nonsense_is_one_clear_error(tmp_path: Path) -> None:
    async def main() -> None:
        async with running_tracker(tmp_path) as rig:
            victim = await rig.member()
            async with lying_to(rig, victim) as liar:
                for status, body, error in (
                    (200, b"", RemoteProtocolError),
                    (200, b"<html>", RemoteProtocolError),
                    (200, b"[" * 10_000, RemoteProtocolError),
                    (200, b"x" * (2 << 20), RemoteProtocolError),
                    (302, b"", AetherError),
                    (404, b"<html>", AetherError),
                    (500, b"\xff", AetherError),
                    (500, b"x" * (1 << 20), RemoteProtocolError),
                    (503, b"busy", UnreachableError),
                    (418, b'{"type":"urn:aetherfs:not-allowed","detail":"no"}', NotAllowedError),
                ):
                    liar.status, liar.body = status, body
                    with pytest.raises(error) as refusal:
                        await victim.client.datasets()
                    assert "\n" not in str(refusal.value)
                liar.status = 200
                for body in (b"", b"\x90", b"x" * (9 << 20)):
                    liar.body = body
                    with pytest.raises(RemoteProtocolError):
                        await victim.client.announce(announce_of())

    asyncio.run(main())


def test_papers_for_another_key_are_not_taken(tmp_path: Path) -> None:
    async def main() -> None:
        async with running_tracker(tmp_path) as rig:
            victim, other = await rig.member(), await rig.member()
            papers = other.papers
            async with lying_to(rig, victim) as liar:
                for credential, grant in (
                    (papers.credential, papers.grant),
                    (victim.papers.credential, papers.grant),
                    (papers.credential, victim.papers.grant),
                    (b"", b""),
                ):
                    liar.says(RenewAnswer(1, papers.certificate, credential, grant, (), int(time.time())))
                    with pytest.raises(RemoteProtocolError):
                        await victim.client.renew()

    asyncio.run(main())


async def follow(victim: Enrolled, seen: list[int]) -> None:
    async for _, entry in victim.client.watch(ROADS):
        seen.append(entry.serial)


def test_a_watch_is_believed_only_in_order(tmp_path: Path) -> None:
    async def main() -> None:
        async with running_tracker(tmp_path) as rig:
            seed, producer, victim = await rig.member("seed"), await rig.member(), await rig.member()
            one, _ = await publish(producer, seed, ROADS, "latest", V1)
            two, _ = await publish(producer, seed, ROADS, "latest", V2)
            other, _ = await publish(producer, seed, LAKES, "latest", V2)
            streams: list[tuple[bytes, type[AetherError], int]] = [
                (format_event(2, two), RemoteProtocolError, 0),
                (format_event(1, one) + format_event(1, one), RemoteProtocolError, 1),
                (format_event(1, other), RemoteProtocolError, 0),
                (b"data: !!!\n\n", RemoteProtocolError, 0),
                (b"data: " + base64.b64encode(b"garbage") + b"\n\n", RemoteProtocolError, 0),
                (b"data: " + b"A" * LINE_MAX_BYTES, RemoteProtocolError, 0),
                (b":\n\n: hello\nevent: x\n\n" + format_event(1, one), UnreachableError, 1),
                (format_event(1, one)[:-40], UnreachableError, 0),
            ]
            async with lying_to(rig, victim) as liar:
                for stream, error, expected in streams:
                    liar.body = stream
                    seen: list[int] = []
                    with pytest.raises(error):
                        await follow(victim, seen)
                    assert len(seen) == expected
                liar.status, liar.body = 404, b"{}"
                with pytest.raises(AetherError):
                    await victim.client.watch(ROADS).__anext__()

    asyncio.run(main())


def test_silence_ends_at_the_deadline(tmp_path: Path) -> None:
    async def main() -> None:
        async with running_tracker(tmp_path) as rig:
            victim = await rig.member()
            release = asyncio.Event()

            async def silent(request: web.Request) -> web.StreamResponse:
                await release.wait()
                return web.Response()

            async with lying_to(rig, victim) as liar:
                liar.answerer = silent
                assert victim.client._member is not None
                victim.client._member.timeout_s = 0.2
                with pytest.raises(UnreachableError, match="does not answer in time"):
                    await victim.client.datasets()
                release.set()

    asyncio.run(main())


def test_another_swarm_or_peer_is_not_taken_for_the_tracker(tmp_path: Path) -> None:
    """TLS itself refuses: a mere member at the tracker's address, and a tracker of another swarm."""

    async def main() -> None:
        async with running_tracker(tmp_path / "a") as rig, running_tracker(tmp_path / "b") as foreign:
            victim, member = await rig.member(), await rig.member()
            heard: list[str] = []

            async def listen(request: web.Request) -> web.StreamResponse:
                heard.append(request.path)
                return web.Response()

            app = make_app()
            app.router.add_route("*", "/{rest:.*}", listen)
            context, _ = listener_context(
                member.key, member.papers.certificate, member.papers.ca, people_certificate([], time.time())
            )
            listener = await start_listener(app, "127.0.0.1", 0, context)
            for port in (listener.port, foreign.tracker.port):
                victim.client.set_trackers([Contact(rig.key.public, (Address("127.0.0.1", port),))])
                with pytest.raises(UnreachableError, match="cannot prove its identity"):
                    await victim.client.datasets()
            assert heard == []
            await listener.close()

    asyncio.run(main())


def test_a_full_store_is_said_and_nothing_is_half_written(tmp_path: Path) -> None:
    async def main() -> None:
        class Filling(MemoryObjectStore):
            is_full = False

            def put(self, key: str, data: bytes) -> None:
                self._check()
                super().put(key, data)

            def put_if_absent(self, key: str, data: bytes) -> bool:
                self._check()
                return super().put_if_absent(key, data)

            def _check(self) -> None:
                if self.is_full:
                    raise FullError("the disk of the object store is full: free some room")

        store = Filling()
        async with running_tracker(tmp_path, store) as rig:
            seed, producer = await rig.member("seed"), await rig.member()
            await publish(producer, seed, ROADS, "latest", V1)
            store.is_full = True
            with pytest.raises(FullError, match="free some room"):
                await publish(producer, seed, ROADS, "latest", V2)
            with pytest.raises(FullError, match="free some room"):
                await rig.token()
            assert (await producer.client.lookup(names.parse("roads"))).version == V1
            store.is_full = False
            _, entry = await publish(producer, seed, ROADS, "latest", V2)
            assert entry.serial == 2

    asyncio.run(main())
