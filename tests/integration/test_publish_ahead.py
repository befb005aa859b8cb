"""A publish that is read, sent and packed at once, through a seed that fails in the middle of it."""

from __future__ import annotations

import asyncio
import threading
from collections import Counter
from pathlib import Path

import pytest

from seed.backfill import PACKS
from seed.packs import head_bytes, read_head
from swarm.errors import UnreachableError
from swarm.objects import ObjectStore
from swarm.objects.memory import MemoryObjectStore
from swarm.objects.open import open_store
from swarm.peer import publish
from swarm.tracker.presence import Present
from tests.integration.swarm_rig import Swarm, contents, make_tree
from tests.s3_server import S3Server

PACK_BYTES = 1 << 20
LAST_PACK = 3


class Dying:
    """The store as a seed sees it that is about to die: after some packs, which are whole by then, no write ends until
    the seed is told to.
    """

    def __init__(self, objects: ObjectStore) -> None:
        self._objects = objects
        self._lock = threading.Lock()
        self.packs = 0
        self.is_dying = asyncio.Event()
        self.may_die = threading.Event()
        self._left = LAST_PACK
        self._is_full = threading.Event()
        self._loop = asyncio.get_running_loop()

    def put(self, key: str, data: bytes) -> None:
        with self._lock:
            self.packs += key.startswith(PACKS)
            number = self.packs
        if key.startswith(PACKS) and number > LAST_PACK:
            self._is_full.wait(30)
            self._loop.call_soon_threadsafe(self.is_dying.set)
            self.may_die.wait(30)
            raise UnreachableError("the seed is dead")
        self._objects.put(key, data)
        with self._lock:
            self._left -= key.startswith(PACKS)
            if not self._left:
                self._is_full.set()

    def __getattr__(self, name: str) -> object:
        return getattr(self._objects, name)


@pytest.fixture(params=["memory", "s3"])
def objects(request: pytest.FixtureRequest) -> ObjectStore:
    if request.param == "memory":
        return MemoryObjectStore()
    server: S3Server = request.getfixturevalue("s3")
    return open_store(server.url())


def test_another_seed_goes_on_when_one_dies(
    tmp_path: Path, objects: ObjectStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("seed.packs.PACK_TARGET_BYTES", PACK_BYTES)
    data = make_tree(tmp_path / "data", 1, large_bytes=12_000_000)

    async def main() -> None:
        async with Swarm(tmp_path, objects=objects) as swarm:
            await swarm.stop(swarm.seed)
            dying = Dying(objects)
            swarm.objects = dying  # type: ignore[assignment]
            await swarm.start_seed("first")
            first = swarm.seed
            producer = await swarm.peer("producer")
            publishing = asyncio.create_task(swarm.publish(producer, data, "maps/roads:v1"))
            await asyncio.wait({publishing, asyncio.create_task(dying.is_dying.wait())}, return_when="FIRST_COMPLETED")
            assert not publishing.done()
            swarm.objects = objects
            await swarm.start_seed("second")
            dying.may_die.set()
            await swarm.stop(first)
            published = await publishing
            assert published["serial"] == 1
            consumer = await swarm.peer("consumer")
            await swarm.stop(producer)
            await swarm.pull(consumer, "maps/roads:v1", tmp_path / "out")
            assert contents(tmp_path / "out") == contents(data)
        times = laid_how_often(objects)
        # What was in full packs was not sent again, and the rest once more.
        assert max(times.values()) == 1
        assert len(times) >= published["blocks"]

    asyncio.run(main())
    objects.close()


def laid_how_often(objects: ObjectStore) -> Counter[bytes]:
    """In how many packs each block lies."""
    times: Counter[bytes] = Counter()
    for key in objects.list(PACKS):
        pack = objects.get(key)
        times.update(list(read_head(key, pack[: head_bytes(pack)]).places))
    return times


def test_a_tracker_that_knows_no_seed_yet_holds_no_publish_up(tmp_path: Path) -> None:
    """It was killed and started anew, and the seed has not announced itself since."""
    data = make_tree(tmp_path / "data", 1, large_bytes=100_000)

    async def main() -> None:
        async with Swarm(tmp_path / "swarm") as swarm:
            producer = await swarm.peer("producer")
            await producer.announcer.beat()
            swarm.tracker.state.presence.forget(swarm.seed.key.peer_id)
            assert (await swarm.publish(producer, data, "maps/roads:v1"))["serial"] == 1
            await swarm.stop(swarm.seed)
            # Its goodbye waits a second at most for a tracker that is busy.
            swarm.tracker.state.presence.forget(swarm.seed.key.peer_id)
            (data / "more").write_text("more")
            with pytest.raises(UnreachableError, match="no seed is known"):
                await swarm.publish(producer, data, "maps/roads:v1")

    asyncio.run(main())


def test_a_publish_waits_for_a_seed_that_has_just_started(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(publish, "SEED_PATIENCE_S", 120.0)
    monkeypatch.setattr(publish, "SEED_LOOK_S", 0.05)
    data = make_tree(tmp_path / "data", 1, large_bytes=100_000)

    async def main() -> None:
        async with Swarm(tmp_path / "swarm") as swarm:
            presence = swarm.tracker.state.presence
            looks: list[float] = []

            def none_at_first(now: float) -> list[Present]:
                looks.append(now)
                return known(now) if len(looks) > 12 else []

            known = presence.seeds
            monkeypatch.setattr(presence, "seeds", none_at_first)
            producer = await swarm.peer("producer")
            assert (await swarm.publish(producer, data, "maps/roads:v1"))["serial"] == 1
            assert len(looks) > 12

    asyncio.run(main())


def test_a_publish_without_a_seed_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(publish, "SEED_PATIENCE_S", 0.0)
    data = make_tree(tmp_path / "data", 1, large_bytes=12_000_000)

    async def main() -> None:
        async with Swarm(tmp_path) as swarm:
            await swarm.stop(swarm.seed)
            swarm.tracker.state.presence.forget(swarm.seed.key.peer_id)
            producer = await swarm.peer("producer")
            with pytest.raises(UnreachableError, match="no seed is known"):
                await swarm.publish(producer, data, "maps/roads:v1")

    asyncio.run(main())
