"""The Dataset API over real TLS: publish, lookup, history, races, grants, restarts, watches."""

from __future__ import annotations

import asyncio
import os
import random
import time
from pathlib import Path
from typing import Any, Literal

import aiohttp
import msgspec
import pytest

from swarm import log, names
from swarm.errors import (
    AetherError,
    ConflictError,
    IntegrityError,
    NotAllowedError,
    NotFoundError,
    UnreachableError,
    UsageError,
)
from swarm.http.tls import peer_client_context, unverified_context
from swarm.identity import PeerKey
from swarm.log import Entry, Move, Totals
from swarm.messages import AppendRequest, Contact
from swarm.names import Reference
from swarm.objects.folder import FolderObjectStore
from swarm.records import Address
from swarm.signature import signature_of
from swarm.tracker.server import Tracker
from tests.integration.tracker_rig import (
    STORE_KEY,
    TOTALS,
    Enrolled,
    Rig,
    contact_at,
    publish,
    receipt_for,
    running_tracker,
)

V1, V2, V3 = (signature_of(bytes([number])) for number in (1, 2, 3))
Kind = Literal["publish", "tag", "rollback", "rm"]


def reference(text: str) -> Reference:
    return names.parse(text)


def entry_after(head: tuple[bytes, Entry] | None, member: Enrolled, dataset: str, kind: Kind, *moves: Move) -> Entry:
    """The next entry on a head, as a publisher builds it."""
    return Entry(
        format=1,
        dataset=dataset,
        serial=head[1].serial + 1 if head else 1,
        previous=log.entry_hash(head[0]) if head else b"",
        wall_time=int(time.time()),
        kind=kind,
        moves=moves,
        message="",
        totals=TOTALS if kind == "publish" else None,
        publisher=member.key.public,
    )


def test_a_published_tag_is_found_with_its_proof(tmp_path: Path) -> None:
    async def main() -> None:
        async with running_tracker(tmp_path) as rig:
            seed, producer, reader = await rig.member("seed"), await rig.member(), await rig.member()
            data, entry = await publish(producer, seed, "library/roads", "latest", V1)
            found = await reader.client.lookup(reference("roads"))
            assert (found.data, found.entry, found.version, found.serial) == (data, entry, V1, 1)
            assert found.snapshot.tags[0].version == V1
            assert entry.publisher == producer.key.public
            assert entry.totals == TOTALS
            by_version = await reader.client.lookup(reference(f"roads@{V1.hex()}"))
            assert (by_version.data, by_version.version) == (data, V1)
            for text, what in (("roads:no", "no tag"), (f"roads@{V2.hex()}", "no version"), ("lakes", "no dataset")):
                with pytest.raises(NotFoundError, match=what):
                    await reader.client.lookup(reference(text))
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
            assert (await client.lookup(reference("roads"))).version == V1
            await client.commit(roads, "rm", [Move("v1", None)], grant=grant)
            with pytest.raises(NotFoundError):
                await client.lookup(reference("roads:v1"))
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


def test_only_known_versions_and_tags_are_moved(tmp_path: Path) -> None:
    async def main() -> None:
        async with running_tracker(tmp_path) as rig:
            seed, producer = await rig.member("seed"), await rig.member()
            await publish(producer, seed, "library/roads", "latest", V1)
            await publish(producer, seed, "library/lakes", "latest", V2)
            grant = producer.papers.grant
            for kind in ("tag", "rollback"):
                with pytest.raises(NotFoundError, match="no version"):
                    await producer.client.commit("library/roads", kind, [Move("x", V2)], grant=grant)
            with pytest.raises(NotFoundError, match="no tag 'x'"):
                await producer.client.commit("library/roads", "rm", [Move("x", None)], grant=grant)
            assert (await producer.client.dataset("library/roads")).serial == 1

    asyncio.run(main())


def test_racing_writers_make_dense_and_unique_serials(tmp_path: Path) -> None:
    async def main() -> None:
        store = FolderObjectStore(tmp_path / "store")
        async with running_tracker(tmp_path / "a", store) as rig:
            other = await Tracker.start(store, STORE_KEY, PeerKey(os.urandom(32)), "127.0.0.1", 0)
            try:
                await race(rig, other)
            finally:
                await other.close()

    asyncio.run(main())


async def race(rig: Rig, other: Tracker) -> None:
    """Eight writers with tags of their own, half of them at another tracker over the same store."""
    seed = await rig.member("seed")
    writers = [await rig.member() for _ in range(8)]
    for writer in writers[::2]:
        writer.client.set_trackers([other.contact])

    async def write(index: int) -> list[int]:
        serials = []
        for turn in range(4):
            version = signature_of(bytes([index, turn]))
            _, entry = await publish(writers[index], seed, "library/race", f"writer-{index}", version)
            serials.append(entry.serial)
        return serials

    written = await asyncio.gather(*(write(index) for index in range(8)))
    assert sorted(serial for serials in written for serial in serials) == list(range(1, 33))
    history = await writers[0].client.log("library/race")
    assert [entry.serial for _, entry in history] == list(range(1, 33))
    for serials, writer in zip(written, writers, strict=True):
        for serial in serials:
            assert history[serial - 1][1].publisher == writer.key.public
    tags = (await writers[1].client.snapshot("library/race"))[1].tags
    assert {tag.tag: tag.version for tag in tags} == {
        f"writer-{index}": signature_of(bytes([index, 3])) for index in range(8)
    }


def test_a_loser_is_told_who_was_first(tmp_path: Path) -> None:
    async def main() -> None:
        async with running_tracker(tmp_path) as rig:
            seed, first, second = await rig.member("seed"), await rig.member(), await rig.member()
            mine = entry_after(None, first, "library/roads", "publish", Move("latest", V1))
            theirs = entry_after(None, second, "library/roads", "publish", Move("latest", V2))
            sealed = log.seal_entry(first.key, mine, first.papers.grant)
            receipt = receipt_for(seed.key, first.key, "library/roads", V1)
            committed = await first.client.append(sealed, receipt)
            other_receipt = receipt_for(seed.key, second.key, "library/roads", V2)
            other = log.seal_entry(second.key, theirs, second.papers.grant)
            with pytest.raises(ConflictError) as refusal:
                await second.client.append(other, other_receipt)
            text = str(refusal.value)
            assert "entry 1" in text
            assert "'latest'" in text
            assert first.key.peer_id[:12] in text
            assert await first.client.append(sealed, receipt) == committed
            with pytest.raises(ConflictError, match="'latest'"):
                await second.client.commit(
                    "library/roads",
                    "publish",
                    [Move("latest", V2)],
                    grant=second.papers.grant,
                    totals=TOTALS,
                    receipt=other_receipt,
                    base=0,
                )
            _, entry = await publish(second, seed, "library/roads", "latest", V2)
            assert entry.serial == 2

    asyncio.run(main())


def test_an_entry_that_skips_or_forks_is_refused(tmp_path: Path) -> None:
    async def main() -> None:
        async with running_tracker(tmp_path) as rig:
            seed, producer = await rig.member("seed"), await rig.member()
            head = await publish(producer, seed, "library/roads", "latest", V1)
            good = entry_after(head, producer, "library/roads", "tag", Move("x", V1))
            wrong_chain = msg_replace(good, previous=signature_of(b"another log"))
            skipping = msg_replace(good, serial=3)
            for entry in (wrong_chain, skipping):
                with pytest.raises(ConflictError, match="does not follow"):
                    await producer.client.append(log.seal_entry(producer.key, entry, producer.papers.grant))
            await producer.client.append(log.seal_entry(producer.key, good, producer.papers.grant))

    asyncio.run(main())


def msg_replace(entry: Entry, **changes: object) -> Entry:
    return msgspec.structs.replace(entry, **changes)


def test_a_new_version_needs_a_seeds_receipt_for_exactly_it(tmp_path: Path) -> None:
    async def main() -> None:
        async with running_tracker(tmp_path) as rig:
            seed, producer, other = await rig.member("seed"), await rig.member(), await rig.member()
            gone = await rig.member("seed")
            await rig.admin.client.remove_member(gone.key.peer_id)
            roads, key = "library/roads", producer.key
            wrong: list[tuple[bytes, type[AetherError], str]] = [
                (b"", UsageError, "needs a seed's receipt"),
                (b"garbage", IntegrityError, "malformed"),
                (receipt_for(other.key, key, roads, V1), NotAllowedError, "not given by a seed"),
                (receipt_for(producer.key, key, roads, V1), NotAllowedError, "not given by a seed"),
                (receipt_for(PeerKey(os.urandom(32)), key, roads, V1), NotAllowedError, "not given by a seed"),
                (receipt_for(gone.key, key, roads, V1), NotAllowedError, "not given by a seed"),
                (receipt_for(seed.key, other.key, roads, V1), IntegrityError, "something else"),
                (receipt_for(seed.key, key, "library/lakes", V1), IntegrityError, "something else"),
                (receipt_for(seed.key, key, roads, V2), IntegrityError, "something else"),
                (receipt_for(seed.key, key, roads, V1, totals=Totals(3, 1, 2, 300)), IntegrityError, "something else"),
                (receipt_for(seed.key, key, roads, V1, wall=time.time() - 90_000), NotAllowedError, "too old"),
            ]
            entry = entry_after(None, producer, roads, "publish", Move("latest", V1))
            sealed = log.seal_entry(key, entry, producer.papers.grant)
            for receipt, error, text in wrong:
                with pytest.raises(error, match=text):
                    await producer.client.append(sealed, receipt)
            assert await producer.client.head(roads) is None
            await producer.client.append(sealed, receipt_for(seed.key, key, roads, V1))

    asyncio.run(main())


def test_an_entry_is_committed_only_for_its_publisher_under_its_grant(tmp_path: Path) -> None:
    async def main() -> None:
        async with running_tracker(tmp_path) as rig:
            seed, producer = await rig.member("seed"), await rig.member(datasets=("team/*",))
            thief = await rig.member()
            receipt = receipt_for(seed.key, producer.key, "team/roads", V1)
            entry = entry_after(None, producer, "team/roads", "publish", Move("latest", V1))
            sealed = log.seal_entry(producer.key, entry, producer.papers.grant)
            with pytest.raises(NotAllowedError, match="another key"):
                await thief.client.append(sealed, receipt)
            with pytest.raises(IntegrityError, match="somebody else's grant"):
                await producer.client.append(log.seal_entry(producer.key, entry, thief.papers.grant), receipt)
            forged = log.seal_entry(producer.key, msg_replace(entry, publisher=thief.key.public), thief.papers.grant)
            with pytest.raises(IntegrityError, match="not endorsed by its publisher"):
                await thief.client.append(forged, receipt)
            late = msg_replace(entry, wall_time=entry.wall_time + 1000)
            with pytest.raises(NotAllowedError, match="clock"):
                await producer.client.append(log.seal_entry(producer.key, late, producer.papers.grant), receipt)
            elsewhere = entry_after(None, producer, "other/roads", "publish", Move("latest", V1))
            with pytest.raises(NotAllowedError, match="no grant of yours"):
                await producer.client.append(log.seal_entry(producer.key, elsewhere, producer.papers.grant), receipt)
            body = msgspec.json.encode(AppendRequest(sealed, receipt))
            with pytest.raises(UsageError, match="is of team/roads"):
                await producer.client._call("POST", "/api/v1/datasets/team/lakes/log", body=body)
            await producer.client.append(sealed, receipt)

    asyncio.run(main())


def test_no_grant_and_no_dataset_are_the_same_answer(tmp_path: Path) -> None:
    async def main() -> None:
        async with running_tracker(tmp_path) as rig:
            seed, producer = await rig.member("seed"), await rig.member()
            outsider = await rig.member(datasets=("library/mine",))
            await publish(producer, seed, "library/real", "latest", V1)
            connector = aiohttp.TCPConnector(
                ssl=peer_client_context(outsider.files), resolver=FixedResolver(rig.tracker.port)
            )
            async with aiohttp.ClientSession(connector=connector) as session:
                for path in ("", "/tags/latest", f"/versions/{V1.hex()}", "/log", "/log?last=1", "/snapshot", "/watch"):
                    answers = []
                    for name in ("real", "none"):
                        base = f"https://{rig.key.peer_id}.peer.aetherfs/api/v1/datasets/library/"
                        async with session.get(base + name + path) as response:
                            body = (await response.text()).replace(name, "NAME")
                            headers = {key: value for key, value in response.headers.items() if key != "Date"}
                            answers.append((response.status, body, headers))
                    assert answers[0] == answers[1]
                    assert answers[0][0] == 404
            assert (await outsider.client.datasets()).datasets == ()
            assert (await producer.client.datasets()).datasets == ("library/real",)
            for dataset in ("library/real", "library/none"):
                with pytest.raises(NotAllowedError, match="no grant of yours"):
                    await outsider.client.commit(dataset, "rm", [Move("latest", None)], grant=outsider.papers.grant)

    asyncio.run(main())


class FixedResolver(aiohttp.abc.AbstractResolver):
    """Every name is this machine, at one port."""

    def __init__(self, port: int) -> None:
        self._port = port

    async def resolve(self, host: str, port: int = 0, family: int = 0) -> list[aiohttp.abc.ResolveResult]:
        return [aiohttp.abc.ResolveResult(hostname=host, host="127.0.0.1", port=self._port, family=2, proto=6, flags=4)]

    async def close(self) -> None:
        """Nothing is held."""


def test_without_a_certificate_only_the_public_side_answers(tmp_path: Path) -> None:
    async def main() -> None:
        async with running_tracker(tmp_path) as rig:
            document = await fetch_json(rig, "/api/openapi.json")
            paths = document["paths"]
            assert document["openapi"] == "3.1.0"
            public = set()
            connector = aiohttp.TCPConnector(ssl=unverified_context())
            async with aiohttp.ClientSession(connector=connector) as session:
                for path, operations in paths.items():
                    for method, operation in operations.items():
                        url = f"https://127.0.0.1:{rig.tracker.port}{path.replace('{', '').replace('}', '')}"
                        async with session.request(method, url) as response:
                            if operation["x-access"] == "member":
                                assert response.status == 403, path
                            elif operation["x-access"] == "public":
                                public.add(path)
            assert public == {
                "/api/v1/swarm",
                "/api/v1/join",
                "/api/v1/renew",
                "/livez",
                "/readyz",
                "/api/openapi.json",
            }

    asyncio.run(main())


async def fetch_json(rig: Rig, path: str) -> dict[str, Any]:
    connector = aiohttp.TCPConnector(ssl=unverified_context())
    async with (
        aiohttp.ClientSession(connector=connector) as session,
        session.get(f"https://127.0.0.1:{rig.tracker.port}{path}") as response,
    ):
        assert response.status == 200
        found: dict[str, Any] = await response.json()
        return found


def test_health_and_metrics(tmp_path: Path) -> None:
    async def main() -> None:
        async with running_tracker(tmp_path) as rig:
            await rig.member()
            connector = aiohttp.TCPConnector(ssl=unverified_context())
            async with aiohttp.ClientSession(connector=connector) as session:
                texts = {}
                for path in ("livez", "readyz", "metrics"):
                    async with session.get(f"https://127.0.0.1:{rig.tracker.port}/{path}") as response:
                        assert response.status == 200
                        texts[path] = await response.text()
            assert 'aetherfs_tracker_requests_total{operation="join",result="ok"} 1' in texts["metrics"]
            assert rig.key.peer_id not in texts["metrics"]
            rig.objects.delete("swarm/ca")
            connector = aiohttp.TCPConnector(ssl=unverified_context())
            async with (
                aiohttp.ClientSession(connector=connector) as session,
                session.get(f"https://127.0.0.1:{rig.tracker.port}/readyz") as response,
            ):
                assert response.status == 503

    asyncio.run(main())


def test_a_tracker_started_again_over_its_store_knows_everything(tmp_path: Path) -> None:
    async def main() -> None:
        key, store = PeerKey(os.urandom(32)), tmp_path / "store"
        async with running_tracker(tmp_path / "a", FolderObjectStore(store), key) as rig:
            seed, producer = await rig.member("seed"), await rig.member(datasets=("library/*",))
            committed = await publish(producer, seed, "library/roads", "latest", V1)
            secret, ca = rig.tracker.state.keys.secret, rig.admin.papers.ca
        async with running_tracker(tmp_path / "b", FolderObjectStore(store), key) as rig:
            assert rig.tracker.state.keys.secret == secret
            assert rig.admin.papers.ca == ca
            again = rig.enrolled(producer.key, producer.papers)
            again.client.set_trackers([rig.tracker.contact])
            found = await again.client.lookup(reference("roads"))
            assert (found.data, found.entry) == committed
            assert (await again.client.datasets()).datasets == ("library/roads",)
            _, entry = await publish(again, seed, "library/roads", "next", V2)
            assert entry.serial == 2
            with pytest.raises(NotFoundError):
                await again.client.dataset("other/roads")

    asyncio.run(main())


def test_another_store_key_does_not_open_the_swarm(tmp_path: Path) -> None:
    async def main() -> None:
        async with running_tracker(tmp_path) as rig:
            for store_key, error in ((bytes(32), NotAllowedError), (b"short", UsageError)):
                with pytest.raises(error, match="store key"):
                    await Tracker.start(rig.objects, store_key, PeerKey(os.urandom(32)), "127.0.0.1", 0)

    asyncio.run(main())


def test_a_taken_port_is_said_in_one_line(tmp_path: Path) -> None:
    async def main() -> None:
        async with running_tracker(tmp_path) as rig:
            with pytest.raises(AetherError, match="cannot listen on 127"):
                await Tracker.start(rig.objects, STORE_KEY, PeerKey(os.urandom(32)), "127.0.0.1", rig.tracker.port)

    asyncio.run(main())


def test_what_somebody_else_put_into_the_store_is_never_served(tmp_path: Path) -> None:
    async def main() -> None:
        async with running_tracker(tmp_path) as rig:
            seed, producer = await rig.member("seed"), await rig.member()
            head = await publish(producer, seed, "library/roads", "latest", V1)
            forged = entry_after(head, producer, "library/roads", "tag", Move("latest", V1))
            half = log.seal_entry(producer.key, forged, producer.papers.grant)
            foreign = log.endorse(PeerKey(os.urandom(32)), half)
            for data in (half, foreign, b"garbage", head[0]):
                rig.objects.put("datasets/library/roads/log/" + "2".zfill(20), data)
                with pytest.raises(IntegrityError, match="damaged"):
                    await producer.client.dataset("library/roads")
            rig.objects.delete("datasets/library/roads/log/" + "2".zfill(20))
            assert (await producer.client.dataset("library/roads")).serial == 1
            moved = await publish(producer, seed, "library/lakes", "latest", V1)
            rig.objects.put("datasets/library/rivers/log/" + "1".zfill(20), moved[0])
            with pytest.raises(IntegrityError, match="damaged"):
                await producer.client.dataset("library/rivers")

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


def test_calls_go_on_at_the_next_tracker(tmp_path: Path) -> None:
    async def main() -> None:
        async with running_tracker(tmp_path) as rig:
            other = await Tracker.start(rig.objects, STORE_KEY, PeerKey(os.urandom(32)), "127.0.0.1", 0)
            member = await rig.member()
            nobody = Contact(PeerKey(os.urandom(32)).public, (Address("127.0.0.1", 1),))
            swapped = contact_at(other.contact, rig.tracker.port)
            member.client.set_trackers([nobody, swapped, rig.tracker.contact])
            assert (await member.client.datasets()).datasets == ()
            member.client.set_trackers([rig.tracker.contact, other.contact])
            await other.close()
            assert (await member.client.datasets()).datasets == ()
            member.client.set_trackers([nobody])
            with pytest.raises(UnreachableError, match=r"no tracker answers \(127.0.0.1:1: "):
                await member.client.datasets()

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


def test_a_wrong_message_is_refused_before_it_is_sent(tmp_path: Path) -> None:
    async def main() -> None:
        async with running_tracker(tmp_path) as rig:
            member = await rig.member()
            for message in ("\x1b[2J", "x\0"):
                with pytest.raises(UsageError, match="control"):
                    await member.client.commit(
                        "a/b", "rm", [Move("x", None)], grant=member.papers.grant, message=message
                    )

    asyncio.run(main())
