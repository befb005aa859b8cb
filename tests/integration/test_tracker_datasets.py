"""The Dataset API over real TLS: lookup, history, grants, lists, watches."""

from __future__ import annotations

import asyncio
import os
import random
import re
import time
from pathlib import Path
from typing import Literal

import aiohttp
import pytest

from swarm import names
from swarm.errors import (
    NotAllowedError,
    NotFoundError,
    UnreachableError,
)
from swarm.http.tls import peer_client_context
from swarm.identity import PeerKey
from swarm.log import Entry, Move
from swarm.objects.memory import MemoryObjectStore
from swarm.signature import signature_of
from swarm.tracker import serve_datasets
from swarm.tracker.server import Tracker
from tests.integration.tracker_rig import (
    STORE_KEY,
    TOTALS,
    FixedResolver,
    publish,
    running_tracker,
    until,
)

V1, V2, V3 = (signature_of(bytes([number])) for number in (1, 2, 3))
Kind = Literal["publish", "tag", "rollback", "rm"]
# Every refusal has a number of its own.
DENIAL = re.compile("d-[0-9a-f]{12}")


def test_a_published_tag_is_found_with_its_proof(tmp_path: Path) -> None:
    async def main() -> None:
        async with running_tracker(tmp_path) as rig:
            seed, producer, reader = await rig.member("seed"), await rig.member(), await rig.member()
            data, entry = await publish(producer, seed, "library/roads", "latest", V1)
            found = await reader.client.lookup(names.parse("roads"))
            assert (found.data, found.entry, found.version, found.serial) == (data, entry, V1, 1)
            assert found.snapshot.tags[0].version == V1
            assert entry.publisher == producer.key.public
            assert entry.totals == TOTALS
            by_version = await reader.client.lookup(names.parse(f"roads@{V1.hex()}"))
            assert (by_version.data, by_version.version) == (data, V1)
            for text, what in (("roads:no", "no tag"), (f"roads@{V2.hex()}", "no version"), ("lakes", "no dataset")):
                with pytest.raises(NotFoundError, match=what):
                    await reader.client.lookup(names.parse(text))
            head = await reader.client.dataset("library/roads")
            assert [(tag.tag, tag.version, tag.serial) for tag in head.tags] == [("latest", V1.hex(), 1)]
            _, snapshot = await reader.client.snapshot("library/roads")
            assert snapshot.serial == 1
            assert snapshot.issued <= time.time() < snapshot.expires

    asyncio.run(main())


def test_tag_rollback_and_rm_are_entries(tmp_path: Path) -> None:
    async def main() -> None:
        async with running_tracker(tmp_path) as rig:
            seed, producer = await rig.member("seed"), await rig.member()
            client, grant, roads = producer.client, producer.papers.grant, "library/roads"
            await publish(producer, seed, roads, "latest", V1)
            await publish(producer, seed, roads, "latest", V2)
            await client.commit(roads, "tag", [Move("stable", V1), Move("v1", V1)], grant=grant, message="good\nreally")
            await client.commit(roads, "rollback", [Move("latest", V1)], grant=grant)
            assert (await client.lookup(names.parse("roads"))).version == V1
            await client.commit(roads, "rm", [Move("v1", None)], grant=grant)
            with pytest.raises(NotFoundError):
                await client.lookup(names.parse("roads:v1"))
            history = await client.log(roads)
            assert [(entry.serial, entry.kind) for _, entry in history] == [
                (1, "publish"),
                (2, "publish"),
                (3, "tag"),
                (4, "rollback"),
                (5, "rm"),
            ]
            assert [entry.serial for _, entry in await client.log(roads, after=3, limit=1)] == [4]
            assert await client.log(roads, after=5) == []
            head = await client.head(roads)
            assert head is not None
            assert head[1].serial == 5
            assert history[2][1].message == "good\nreally"

    asyncio.run(main())


class NotingStore(MemoryObjectStore):
    """It knows which objects it was asked for."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[str] = []

    def get(self, key: str) -> bytes:
        self.asked.append(key)
        return super().get(key)

    def list(self, prefix: str, *, after: str = "", limit: int = 1000) -> list[str]:
        self.asked.append(prefix)
        return super().list(prefix, after=after, limit=limit)


def test_no_grant_and_no_dataset_are_the_same_answer(tmp_path: Path) -> None:
    """In bytes, and in work: what would take time is done for neither."""

    async def main() -> None:
        objects = NotingStore()
        async with running_tracker(tmp_path, objects) as rig:
            seed, producer = await rig.member("seed"), await rig.member()
            outsider = await rig.member(datasets=("library/mine",))
            await publish(producer, seed, "library/real", "latest", V1)
            connector = aiohttp.TCPConnector(
                ssl=peer_client_context(outsider.files), resolver=FixedResolver(rig.tracker.port)
            )
            objects.asked.clear()
            async with aiohttp.ClientSession(connector=connector) as session:
                for path in ("", "/tags/latest", f"/versions/{V1.hex()}", "/log", "/log?last=1", "/snapshot", "/watch"):
                    answers = []
                    for name in ("real", "none"):
                        base = f"https://{rig.key.peer_id}.peer.aetherfs/api/v1/datasets/library/"
                        async with session.get(base + name + path) as response:
                            body = DENIAL.sub("ID", (await response.text()).replace(name, "NAME"))
                            drawn = ("Date", "X-Request-ID")
                            headers = {key: value for key, value in response.headers.items() if key not in drawn}
                            answers.append((response.status, body, headers))
                    assert answers[0] == answers[1]
                    assert answers[0][0] == 404
            assert [key for key in objects.asked if not key.startswith("swarm/")] == []
            assert (await outsider.client.datasets()).datasets == ()
            assert (await producer.client.datasets()).datasets == ("library/real",)
            for dataset in ("library/real", "library/none"):
                with pytest.raises(NotAllowedError, match=f"may not remove tags of {dataset}"):
                    await outsider.client.commit(dataset, "rm", [Move("latest", None)], grant=outsider.papers.grant)

    asyncio.run(main())


def test_a_watch_brings_old_and_new_entries_in_order(tmp_path: Path) -> None:
    async def main() -> None:
        async with running_tracker(tmp_path) as rig:
            seed, producer, reader = await rig.member("seed"), await rig.member(), await rig.member()
            await publish(producer, seed, "library/roads", "latest", V1)
            seen: asyncio.Queue[Entry] = asyncio.Queue()

            async def follow() -> None:
                async for _, entry in reader.client.watch("library/roads"):
                    await seen.put(entry)

            following = asyncio.create_task(follow())
            assert (await asyncio.wait_for(seen.get(), 30)).serial == 1
            await publish(producer, seed, "library/roads", "latest", V2)
            second = await asyncio.wait_for(seen.get(), 30)
            assert (second.serial, second.moves) == (2, (Move("latest", V2),))
            await rig.tracker.close()
            with pytest.raises(UnreachableError):
                await asyncio.wait_for(following, 30)

    asyncio.run(main())


def test_a_watch_ends_with_its_right_however_fast_the_tag_moves(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def main() -> None:
        monkeypatch.setattr(serve_datasets, "RECHECK_S", 0.3)
        async with running_tracker(tmp_path) as rig:
            seed, producer, reader = await rig.member("seed"), await rig.member(), await rig.member()
            await publish(producer, seed, "library/roads", "latest", V1)
            seen: list[int] = []

            async def follow() -> None:
                async for _, entry in reader.client.watch("library/roads"):
                    seen.append(entry.serial)

            following = asyncio.create_task(follow())
            await until(lambda: seen)
            await rig.tracker.state.work(rig.tracker.state.members.remove, reader.key.peer_id)
            async with asyncio.timeout(60):
                while not following.done():
                    move = [Move("stable", V1)]
                    await producer.client.commit("library/roads", "tag", move, grant=producer.papers.grant)
                    await asyncio.sleep(0.03)
            with pytest.raises(UnreachableError):
                await following

    asyncio.run(main())


def test_a_watch_at_one_tracker_sees_what_another_commits(tmp_path: Path) -> None:
    async def main() -> None:
        async with running_tracker(tmp_path) as rig:
            other = await Tracker.start(rig.objects, STORE_KEY, PeerKey(os.urandom(32)), "127.0.0.1", 0)
            seed, producer, reader = await rig.member("seed"), await rig.member(), await rig.member()
            await publish(producer, seed, "library/roads", "latest", V1)
            reader.client.set_trackers([other.contact])
            entries = reader.client.watch("library/roads", after=1)
            waiting = asyncio.ensure_future(entries.__anext__())
            await publish(producer, seed, "library/roads", "latest", V2)
            _, entry = await asyncio.wait_for(waiting, 30)
            assert entry.serial == 2
            await other.close()

    asyncio.run(main())


def test_datasets_are_paged_and_filtered(tmp_path: Path) -> None:
    async def main() -> None:
        async with running_tracker(tmp_path) as rig:
            seed, producer = await rig.member("seed"), await rig.member()
            reader = await rig.member(datasets=("b/*", "c/d1"))
            expected = [f"{scope}/d{number}" for scope in "abc" for number in range(3)]
            shuffled = expected[:]
            random.Random(1).shuffle(shuffled)
            for dataset in shuffled:
                await publish(producer, seed, dataset, "latest", V1)
            rig.objects.put_if_absent("names/b/unborn", b"")
            assert list((await producer.client.datasets()).datasets) == expected
            pages, cursor = [], ""
            while True:
                page = await producer.client.datasets(cursor=cursor, limit=4)
                pages.append(list(page.datasets))
                cursor = page.next
                if not cursor:
                    break
            assert pages == [expected[:4], expected[4:8], expected[8:]]
            assert (await reader.client.datasets()).datasets == ("b/d0", "b/d1", "b/d2", "c/d1")

    asyncio.run(main())


def test_bad_requests_are_usage_errors(tmp_path: Path) -> None:
    async def main() -> None:
        async with running_tracker(tmp_path) as rig:
            member = await rig.member()
            connector = aiohttp.TCPConnector(
                ssl=peer_client_context(member.files), resolver=FixedResolver(rig.tracker.port)
            )
            async with aiohttp.ClientSession(connector=connector) as session:
                for path in (
                    "?limit=0",
                    "?limit=x",
                    "?limit=99999",
                    "?cursor=../..",
                    "/UPPER/x",
                    "/a/b/tags/.x",
                    "/a/b/versions/zz",
                    "/a/..%2f..%2fb",
                ):
                    url = f"https://{rig.key.peer_id}.peer.aetherfs/api/v1/datasets{path}"
                    async with session.get(url) as response:
                        assert response.status == 400, path

    asyncio.run(main())
