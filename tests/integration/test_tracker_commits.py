"""Commits over real TLS: races, conflicts, receipts, grants, and what others put into the store."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Literal

import msgspec
import pytest

from swarm import log, names
from swarm.errors import (
    AetherError,
    ConflictError,
    IntegrityError,
    NotAllowedError,
    NotFoundError,
    UsageError,
)
from swarm.identity import PeerKey
from swarm.log import Entry, Move, Totals
from swarm.messages import AppendRequest
from swarm.objects.folder import FolderObjectStore
from swarm.signature import signature_of
from swarm.tracker.server import Tracker
from tests.integration.tracker_rig import (
    STORE_KEY,
    TOTALS,
    Enrolled,
    Rig,
    changed,
    entry_after,
    publish,
    receipt_for,
    running_tracker,
)

V1, V2, V3 = (signature_of(bytes([number])) for number in (1, 2, 3))
ROADS = "library/roads"
Kind = Literal["publish", "tag", "rollback", "rm"]


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
                    if_serial=0,
                )
            _, entry = await publish(second, seed, "library/roads", "latest", V2)
            assert entry.serial == 2

    asyncio.run(main())


def beaten(loser: Enrolled, rival: Callable[[], Awaitable[object]]) -> list[int]:
    """Between this member's look at the head and its first append, the rival commits. Its appends are counted."""
    appends: list[int] = []
    append = loser.client.append

    async def late(
        data: bytes, receipt: bytes = b"", *, if_serial: int | None = None, at_once: bool = False
    ) -> tuple[bytes, Entry]:
        appends.append(log.parse_entry(data)[1].serial)
        if len(appends) == 1:
            await rival()
        return await append(data, receipt, if_serial=if_serial)

    loser.client.append = late  # type: ignore[method-assign]
    return appends


def test_of_two_who_move_one_tag_the_last_wins_and_both_are_in_the_history(tmp_path: Path) -> None:
    async def main() -> None:
        async with running_tracker(tmp_path) as rig:
            seed, first, second = await rig.member("seed"), await rig.member(), await rig.member()
            appends = beaten(second, lambda: publish(first, seed, ROADS, "latest", V1))
            await publish(second, seed, ROADS, "latest", V2)
            assert appends == [1, 2]
            history = [(entry.publisher, entry.version) for _, entry in await first.client.log(ROADS)]
            assert history == [(first.key.public, V1), (second.key.public, V2)]
            assert (await first.client.lookup(names.parse("roads"))).version == V2

    asyncio.run(main())


def test_who_saw_less_than_the_winner_made_is_refused(tmp_path: Path) -> None:
    async def main() -> None:
        async with running_tracker(tmp_path) as rig:
            seed, first, second = await rig.member("seed"), await rig.member(), await rig.member()
            await publish(first, seed, ROADS, "latest", V1)
            moves, grant = [Move("other", V1), Move("latest", V1)], second.papers.grant
            appends = beaten(second, lambda: publish(first, seed, ROADS, "latest", V2))
            with pytest.raises(ConflictError, match=f"entry 2 .*publish of 'latest' by {first.key.peer_id[:12]} at 20"):
                await second.client.commit(ROADS, "tag", moves, grant=grant, if_serial=1)
            assert appends == [2, 3]
            assert [tag.tag for tag in (await first.client.dataset(ROADS)).tags] == ["latest"]
            with pytest.raises(ConflictError, match="entry 2 "):
                await second.client.check_unmoved(ROADS, ["other", "latest"], 1)
            await second.client.check_unmoved(ROADS, ["other", "latest"], 2)
            await second.client.commit(ROADS, "tag", moves, grant=grant, if_serial=2)

    asyncio.run(main())


def test_an_unrelated_tag_that_moves_meanwhile_is_no_conflict(tmp_path: Path) -> None:
    async def main() -> None:
        async with running_tracker(tmp_path) as rig:
            seed, first, second = await rig.member("seed"), await rig.member(), await rig.member()
            await publish(first, seed, ROADS, "latest", V1)
            appends = beaten(second, lambda: publish(first, seed, ROADS, "other", V2))
            grant = second.papers.grant
            _, entry = await second.client.commit(ROADS, "tag", [Move("latest", V1)], grant=grant, if_serial=1)
            assert (appends, entry.serial) == ([2, 3], 3)

    asyncio.run(main())


def test_an_entry_that_skips_or_forks_is_refused(tmp_path: Path) -> None:
    async def main() -> None:
        async with running_tracker(tmp_path) as rig:
            seed, producer = await rig.member("seed"), await rig.member()
            head = await publish(producer, seed, "library/roads", "latest", V1)
            good = entry_after(head, producer, "library/roads", "tag", Move("x", V1))
            wrong_chain = changed(good, previous=signature_of(b"another log"))
            skipping = changed(good, serial=3)
            for entry in (wrong_chain, skipping):
                with pytest.raises(ConflictError, match="does not follow"):
                    await producer.client.append(log.seal_entry(producer.key, entry, producer.papers.grant))
            await producer.client.append(log.seal_entry(producer.key, good, producer.papers.grant))

    asyncio.run(main())


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
            forged = log.seal_entry(producer.key, changed(entry, publisher=thief.key.public), thief.papers.grant)
            with pytest.raises(IntegrityError, match="not endorsed by its publisher"):
                await thief.client.append(forged, receipt)
            late = changed(entry, wall_time=entry.wall_time + 1000)
            with pytest.raises(NotAllowedError, match="clock"):
                await producer.client.append(log.seal_entry(producer.key, late, producer.papers.grant), receipt)
            elsewhere = entry_after(None, producer, "other/roads", "publish", Move("latest", V1))
            with pytest.raises(NotAllowedError, match="may not publish to"):
                await producer.client.append(log.seal_entry(producer.key, elsewhere, producer.papers.grant), receipt)
            body = msgspec.json.encode(AppendRequest(sealed, receipt))
            with pytest.raises(UsageError, match="is of team/roads"):
                await producer.client._call("POST", "/api/v1/datasets/team/lakes/log", body=body)
            await producer.client.append(sealed, receipt)

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
