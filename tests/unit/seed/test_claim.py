"""What a seed claims for a publish, and what it does when gc removes what the publish rests on."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable

import pytest

from seed.backfill import INDEXES, PACKS, PackStore
from seed.collect import Collector, Report
from seed.seeing import Sight
from seed.session import Session
from seed.shelf import writer_of
from seed.uploads import SESSION_IDLE_S, Uploads
from swarm import claims
from swarm.claims import Version
from swarm.cli.retention import _collected
from swarm.encoding import encode_block
from swarm.errors import FullError, NotFoundError
from swarm.identity import PeerKey
from swarm.limits import CLOCK_SKEW_S, RECEIPT_LIFETIME_S
from swarm.manifest import Manifest
from swarm.objects.counted import CountedStore
from swarm.objects.memory import MemoryObjectStore
from swarm.signature import signature_of
from tests.away import LeavingStore
from tests.datasets import manifest_of, seeded

SEED, ALICE = PeerKey(b"s" * 32), PeerKey(b"a" * 32)
ROADS = "maps/roads"
DAY_S = 86_400.0


class Origin:
    """A seed's uploads over a store, the blocks of two versions that share most, and gc."""

    def __init__(self) -> None:
        self.objects = MemoryObjectStore()
        self.packs = PackStore(self.objects)
        self.uploads = Uploads(self.packs, SEED)
        self.kept: frozenset[Version] = frozenset()

    def gc(self, *, later_s: float = 0.0, grace_s: float = 0.0) -> Report:
        sight = Sight(self.objects, lambda _: self.kept, frozenset)
        return Collector(sight).run(time.time() + later_s, grace_s)

    async def begin(self) -> Session:
        return self.uploads.session(await self.uploads.begin(ROADS, ALICE.public), ALICE.public)

    async def bring(self, session: Session, blocks: dict[bytes, bytes]) -> list[bytes]:
        """Bring what is missing: which that was."""
        missing = await self.uploads.missing(session, blocks, lambda _: True)
        await self.uploads.bring(session, [(one, encode_block(blocks[one])) for one in missing])
        return missing

    async def publish(self, manifest: Manifest, blocks: dict[bytes, bytes]) -> Session:
        session = await self.begin()
        await self.bring(session, blocks)
        await self.uploads.commit(session, manifest.root_bytes, lambda _: True)
        return session

    async def check_readable(self, blocks: dict[bytes, bytes]) -> None:
        fresh = PackStore(self.objects)
        await fresh.refresh()
        for signature in blocks:
            assert await fresh.get(signature) is not None


def version_of(name: str) -> tuple[Manifest, dict[bytes, bytes]]:
    manifest, blocks = manifest_of({name: seeded("content", 1_500_000), "own": name.encode()})
    return manifest, {**blocks, manifest.version: manifest.root_bytes, **manifest.segments}


OLD, OLD_BLOCKS = version_of("old")
NEW, NEW_BLOCKS = version_of("new")


def test_a_version_is_claimed_until_the_log_names_it_or_its_receipt_is_old() -> None:
    async def main() -> None:
        origin = Origin()
        session = await origin.publish(NEW, NEW_BLOCKS)
        (lease,) = claims.leases(origin.objects).values()
        assert (lease.dataset, lease.version) == (ROADS, NEW.version)
        assert abs(lease.expires - time.time() - RECEIPT_LIFETIME_S - CLOCK_SKEW_S) < 60
        assert origin.gc(later_s=RECEIPT_LIFETIME_S).removed_versions == 0
        await origin.check_readable(NEW_BLOCKS)
        await origin.uploads.done(session.id)
        assert not claims.leases(origin.objects)
        assert origin.gc().removed_versions == 1
        assert not origin.objects.list(PACKS)

    asyncio.run(main())


def test_a_claim_that_nobody_ends_expires() -> None:
    async def main() -> None:
        origin = Origin()
        await origin.publish(NEW, NEW_BLOCKS)
        report = origin.gc(later_s=2 * RECEIPT_LIFETIME_S)
        assert (report.removed_versions, report.expired_leases) == (1, 1)
        assert not origin.objects.list("")[1:]  # but that it is gone

    asyncio.run(main())


def test_what_is_being_brought_is_not_condemned() -> None:
    async def main() -> None:
        origin = Origin()
        old = await origin.publish(OLD, OLD_BLOCKS)
        await origin.uploads.done(old.id)
        session = await origin.begin()
        brought = await origin.bring(session, NEW_BLOCKS)
        session.shelf.settle()
        assert origin.gc().condemned_packs == 0
        assert len(brought) < len(NEW_BLOCKS)
        await origin.uploads.commit(session, NEW.root_bytes, lambda _: True)
        await origin.check_readable(NEW_BLOCKS)

    asyncio.run(main())


def test_a_version_over_the_quota_is_refused_before_it_counts() -> None:
    async def main() -> None:
        origin = Origin()
        await origin.publish(OLD, OLD_BLOCKS)
        used = sum(len(encode_block(plain)) for plain in OLD_BLOCKS.values())
        new = sum(len(encode_block(plain)) for one, plain in NEW_BLOCKS.items() if one not in OLD_BLOCKS)
        for limit, fits in ((used + new - 1, False), (used + new, True)):
            uploads = Uploads(origin.packs, SEED, limit_of={"maps": limit}.get)
            before = origin.objects.list(INDEXES)
            async with uploads.keeping(ROADS) as keeping:
                if fits:
                    await keeping.finish(NEW, lambda one: encode_block(NEW_BLOCKS[one]), lambda done: None)
                else:
                    with pytest.raises(FullError, match=f"uses {used} of the {limit} bytes .* adds {new}: keep fewer"):
                        await keeping.finish(NEW, lambda one: encode_block(NEW_BLOCKS[one]), lambda done: None)
                    assert origin.objects.list(INDEXES) == before
        # What adds nothing is fine, however small the quota has become.
        uploads = Uploads(origin.packs, SEED, limit_of={"maps": 1}.get)
        async with uploads.keeping(ROADS) as keeping:
            await keeping.finish(NEW, lambda one: encode_block(NEW_BLOCKS[one]), lambda done: None)

    asyncio.run(main())


def test_what_is_sent_again_or_kept_already_takes_no_room_of_the_quota() -> None:
    async def main() -> None:
        origin = Origin()
        await origin.publish(OLD, OLD_BLOCKS)
        used = sum(len(encode_block(plain)) for plain in OLD_BLOCKS.values())
        new = [(one, encode_block(plain)) for one, plain in NEW_BLOCKS.items() if one not in OLD_BLOCKS]
        limit = used + sum(len(encoded) for _, encoded in new)
        origin.uploads = Uploads(origin.packs, SEED, limit_of={"maps": limit}.get)
        session = await origin.begin()
        await origin.uploads.bring(session, [(one, encode_block(plain)) for one, plain in OLD_BLOCKS.items()])
        await asyncio.gather(*(origin.uploads.bring(session, new + new) for _ in range(3)))
        await origin.uploads.bring(session, new)
        await origin.uploads.commit(session, NEW.root_bytes, lambda _: True)
        more = await origin.begin()
        with pytest.raises(FullError, match="0 bytes left of its quota"):
            await origin.uploads.bring(more, [(signature_of(b"more"), encode_block(b"more"))])

    asyncio.run(main())


def test_a_publish_of_the_seed_s_own_is_not_forgotten_while_it_reads(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """However long that takes, and though the store is away when its claim is due."""
    monkeypatch.setattr("seed.session.LEASE_S", 0.04)

    async def main() -> None:
        origin = Origin()
        objects = LeavingStore()
        origin.packs.objects = origin.objects = objects
        async with origin.uploads.keeping(ROADS) as keeping:
            keeping.session.claim._renew_at = 0.0
            keeping.session.last_used -= 2 * SESSION_IDLE_S
            objects.is_away = True
            while objects.asked < 2:
                await asyncio.sleep(0.01)
            objects.is_away = False
            (before,) = objects.list(claims.LEASES)
            objects.delete(before)
            while not objects.list(claims.LEASES):
                await asyncio.sleep(0.01)
            await origin.begin()
            assert keeping.session.id in origin.uploads._sessions
            assert before in objects.list(claims.LEASES)

    asyncio.run(asyncio.wait_for(main(), 20))
    assert "is not renewed yet" in caplog.text


class Waiting(MemoryObjectStore):
    """The packs that begin so are listed when it is let go on."""

    def __init__(self, prefix: str) -> None:
        super().__init__()
        self.prefix = prefix
        self.is_asked, self.may_go_on = threading.Event(), threading.Event()

    def list(self, prefix: str, *, after: str = "", limit: int = 1000) -> list[str]:
        if prefix == self.prefix:
            self.is_asked.set()
            assert self.may_go_on.wait(20)
        return super().list(prefix, after=after, limit=limit)


def test_nobody_waits_for_what_another_has_left() -> None:
    async def main() -> None:
        objects = Waiting(PACKS + writer_of(ALICE.public, ROADS))
        uploads = Uploads(PackStore(objects), SEED)
        slow = [asyncio.create_task(uploads.begin(ROADS, ALICE.public)) for _ in range(2)]
        try:
            await asyncio.to_thread(objects.is_asked.wait, 20)
            await asyncio.wait_for(uploads.begin("maps/rivers", ALICE.public), 10)
            await asyncio.wait_for(uploads.begin(ROADS, SEED.public), 10)
        finally:
            objects.may_go_on.set()
        one, two = [uploads.session(session_id, ALICE.public) for session_id in await asyncio.gather(*slow)]
        assert one.shelf is two.shelf
        assert not uploads._opening

    asyncio.run(main())


def condemned_only(origin: Origin) -> None:
    """As with a lease that expired: the grace is not over."""
    assert origin.gc(later_s=2 * DAY_S, grace_s=DAY_S).condemned_packs


def removed(origin: Origin) -> None:
    assert origin.gc(later_s=2 * DAY_S).removed_packs


@pytest.mark.parametrize("happening", [condemned_only, removed])
def test_what_goes_between_the_look_and_the_commit_is_laid_anew(happening: Callable[[Origin], None]) -> None:
    async def main() -> None:
        origin = Origin()
        await origin.publish(OLD, OLD_BLOCKS)
        session = await origin.begin()
        await origin.bring(session, NEW_BLOCKS)
        happening(origin)
        if happening is removed:
            with pytest.raises(NotFoundError, match="ask which"):
                await origin.uploads.commit(session, NEW.root_bytes, lambda _: True)
            assert await origin.bring(session, NEW_BLOCKS)
        await origin.uploads.commit(session, NEW.root_bytes, lambda _: True)
        origin.kept = frozenset([(ROADS, NEW.version)])
        origin.gc(later_s=9 * DAY_S)
        await origin.check_readable(NEW_BLOCKS)

    asyncio.run(main())


@pytest.mark.parametrize("happening", [condemned_only, removed])
def test_a_version_that_goes_is_published_again(happening: Callable[[Origin], None]) -> None:
    async def main() -> None:
        origin = Origin()
        await origin.publish(OLD, OLD_BLOCKS)
        happening(origin)
        assert claims.is_gone(origin.objects, (ROADS, OLD.version))
        session = await origin.begin()
        while True:
            await origin.bring(session, OLD_BLOCKS)
            try:
                await origin.uploads.commit(session, OLD.root_bytes, lambda _: True)
                break
            except NotFoundError:
                continue
        assert not claims.is_gone(origin.objects, (ROADS, OLD.version))
        origin.kept = frozenset([(ROADS, OLD.version)])
        await origin.uploads.done(session.id)
        origin.gc(later_s=9 * DAY_S)
        await origin.check_readable(OLD_BLOCKS)
        assert not claims.condemned(origin.objects)

    asyncio.run(main())


def test_keys_are_listed_with_no_request_behind_the_last_page(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(claims, "PAGE_KEYS", 2)
    for count, lists in ((0, 1), (1, 1), (2, 2), (3, 2), (5, 3)):
        objects = CountedStore(MemoryObjectStore())
        keys = [f"many/{number}" for number in range(count)]
        for key in keys:
            objects.put(key, b"")
        assert list(claims.keys_below(objects, "many/")) == keys
        assert objects.meter.spent.list == lists


def test_packs_of_an_upload_that_came_to_nothing_are_counted_apart_as_their_bytes_are_not_known() -> None:
    origin = Origin()
    origin.objects.put(PACKS + "0" * 32, b"of a publish that was killed")
    report = origin.gc(grace_s=DAY_S)
    assert (report.condemned_packs, report.unnamed_packs, report.condemned_bytes) == (1, 1, 0)
    said = next(iter(_collected({"dry_run": True, **report.as_json()})))
    assert said == "0 versions and 0 packs (0 B) and 1 pack of unfinished uploads would be condemned; kept: 0 versions"
