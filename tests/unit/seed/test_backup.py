"""Copies of an object store: whole whenever they are broken off, while the store goes on changing."""

from __future__ import annotations

import random
import re
import threading
from collections.abc import Callable

import pytest

from seed.backfill import INDEXES, PACKS
from seed.backup import Copy, Report
from swarm import claims
from swarm.errors import ConflictError, IntegrityError, NotFoundError, UnreachableError
from swarm.objects.memory import MemoryObjectStore
from swarm.tracker.entries import log_key
from swarm.tracker.figures.keeping import key_of

ROADS, RIVERS = "maps/roads", "maps/rivers"


@pytest.fixture(autouse=True)
def short_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    """The store changes also between the pages of a list."""
    monkeypatch.setattr(claims, "PAGE_KEYS", 7)


class Store(MemoryObjectStore):
    """A store that does something before each call: goes on changing, or breaks. ``kept``: what its writers know."""

    def __init__(self) -> None:
        super().__init__()
        self.before: Callable[[], None] = lambda: None
        self._one = threading.Lock()

    def get(self, key: str) -> bytes:
        self._call()
        return super().get(key)

    def put(self, key: str, data: bytes) -> None:
        self._call()
        super().put(key, data)

    def put_if_absent(self, key: str, data: bytes) -> bool:
        self._call()
        return super().put_if_absent(key, data)

    def list(self, prefix: str, *, after: str = "", limit: int = 1000) -> list[str]:
        self._call()
        return super().list(prefix, after=after, limit=limit)

    def _call(self) -> None:
        with self._one:
            self.before()


class Writers:
    """What goes on in a store, with packs and indexes that name one another: ``version:pack`` lines in an index."""

    def __init__(self, store: Store, seed: int) -> None:
        self.store = store
        self.rng = random.Random(seed)
        self.heads = {ROADS: 0, RIVERS: 0}
        self._objects = store._objects
        self._objects["swarm/ca"] = b"ca"
        self._objects["swarm/secret"] = b"secret"

    def _id(self) -> str:
        return self.rng.randbytes(8).hex()

    def publish(self) -> None:
        dataset = self.rng.choice(sorted(self.heads))
        pack, version = self._id(), self._id()
        self._objects[PACKS + pack] = pack.encode()
        self._objects[INDEXES + self._id()] = f"{version}:{pack}".encode()
        self.heads[dataset] += 1
        self._objects[f"names/{dataset}"] = b""
        self._objects[log_key(dataset, self.heads[dataset])] = version.encode()

    def merge(self) -> None:
        """Two indexes become one."""
        indexes = self._below(INDEXES)
        if len(indexes) > 1:
            chosen = self.rng.sample(indexes, 2)
            self._objects[INDEXES + self._id()] = b"\n".join(self._objects[key] for key in chosen)
            for key in chosen:
                del self._objects[key]

    def repack(self) -> None:
        """The packs of an index become one; the index goes first, then they."""
        indexes = self._below(INDEXES)
        if indexes:
            key = self.rng.choice(indexes)
            lines = [line.split(":") for line in self._objects[key].decode().split("\n")]
            pack = self._id()
            self._objects[PACKS + pack] = pack.encode()
            self._objects[INDEXES + self._id()] = "\n".join(f"{version}:{pack}" for version, _ in lines).encode()
            del self._objects[key]
            for _, old in lines:
                if not any(old.encode() in self._objects[other] for other in self._below(INDEXES)):
                    self._objects.pop(PACKS + old, None)

    def step(self) -> None:
        self.rng.choice([self.publish, self.publish, self.merge, self.repack])()

    def _below(self, prefix: str) -> list[str]:
        return sorted(key for key in self._objects if key.startswith(prefix))


def check_whole(store: MemoryObjectStore) -> None:
    """Logs are dense, and each version that they name is in an index all of whose packs are there."""
    objects = store._objects
    kept = set()
    for key, data in objects.items():
        if key.startswith(INDEXES):
            for line in data.decode().split("\n"):
                version, pack = line.split(":")
                assert PACKS + pack in objects, "an index names a pack that is not there"
                kept.add(version.encode())
    serials: dict[str, list[int]] = {}
    for key, data in objects.items():
        if match := re.fullmatch(r"datasets/(.+)/log/(\d+)", key):
            serials.setdefault(match[1], []).append(int(match[2]))
            assert data in kept, "an entry names a version that is not kept"
    for found in serials.values():
        assert sorted(found) == list(range(1, len(found) + 1))


def filled(seed: int = 0, publishes: int = 12) -> tuple[Store, Writers]:
    store = Store()
    writers = Writers(store, seed)
    for _ in range(publishes):
        writers.publish()
    return store, writers


def settled(store: MemoryObjectStore) -> dict[str, bytes]:
    return {key: data for key, data in store._objects.items() if not key.startswith("uploads/")}


def test_everything_is_copied_once() -> None:
    source, writers = filled()
    target = Store()
    source._objects["uploads/session"] = b"a lease"
    source._objects[key_of(ROADS, "stable", 7)] = b"the log of a rollout"
    report = Copy(source, target).run(verify=True)
    assert target._objects == settled(source)
    assert target._objects[key_of(ROADS, "stable", 7)] == b"the log of a rollout"
    assert (report.rounds, report.entries, report.repaired) == (1, 12, 0)
    assert report.verified == len(target._objects), "the swarm's keys and what may change among them"
    writers.publish()
    again = Copy(source, target).run()
    assert (again.copied, again.entries) == (2, 1), "a pack and an index: both names are there"
    assert target._objects == settled(source)
    assert Copy(source, target).run().bytes == 0


@pytest.mark.parametrize("seed", range(30))
def test_a_copy_is_whole_though_the_store_changes_all_the_time(seed: int) -> None:
    source, writers = filled(seed)
    heads = dict(writers.heads)
    steps = 30

    def change() -> None:
        nonlocal steps
        if steps and writers.rng.random() < 0.3:
            steps -= 1
            writers.step()

    source.before = change
    target = Store()
    Copy(source, target).run()
    check_whole(target)
    assert all(log_key(dataset, head) in target._objects for dataset, head in heads.items())
    source.before = lambda: None
    Copy(source, target).run(delete=True)
    assert target._objects == settled(source)


@pytest.mark.parametrize("seed", range(30))
def test_a_copy_that_breaks_off_anywhere_is_whole_and_goes_on(seed: int) -> None:
    source, writers = filled(seed, publishes=20)
    target = Store()
    broken = 0
    while True:
        left = writers.rng.randrange(5, 40)

        def breaks() -> None:
            nonlocal left
            left -= 1
            if left < 0:
                raise UnreachableError("the store is away")

        target.before = breaks
        try:
            Copy(source, target).run()
            break
        except UnreachableError:
            broken += 1
            check_whole(target)
            writers.merge()
    assert broken, "it was broken off at least once"
    target.before = lambda: None
    Copy(source, target).run(delete=True)
    assert target._objects == settled(source)


def test_what_is_damaged_in_the_copy_is_found_and_written_anew() -> None:
    source, _ = filled()
    target = Store()
    Copy(source, target).run()
    pack = next(key for key in target._objects if key.startswith(PACKS))
    target._objects[pack] = b"damaged"
    assert Copy(source, target).run().copied == 0, "it is there, and that is all that is looked at"
    assert Copy(source, target).run(verify=True).repaired == 1
    assert target._objects == settled(source)
    target._objects[log_key(ROADS, 1)] = b"damaged"
    with pytest.raises(IntegrityError, match="damaged in the copy"):
        Copy(source, target).run(verify=True)


@pytest.mark.parametrize(("key", "times"), [("swarm/members/one", 1), ("swarm/members/one", 2), ("swarm/ca", 1)])
def test_what_is_damaged_as_it_is_written_is_found(key: str, times: int) -> None:
    """Also what may change, which is written anew, and the swarm's own keys, without which a copy is worth nothing."""
    source, _ = filled()
    source._objects["swarm/members/one"] = b"a member"
    target = Store()
    left = times

    def damage() -> None:
        nonlocal left
        if left and target._objects.get(key, b"damaged") != b"damaged":
            left -= 1
            target._objects[key] = b"damaged"

    target.before = damage
    if key != "swarm/ca" and times == 1:
        Copy(source, target).run(verify=True)
        assert target._objects == settled(source)
    else:
        with pytest.raises(IntegrityError, match=key):
            Copy(source, target).run(verify=True)


def test_another_swarm_and_another_history_are_not_written_over() -> None:
    source, _ = filled(1)
    foreign = Store()
    foreign._objects["swarm/ca"] = b"another"
    with pytest.raises(ConflictError, match="another swarm"):
        Copy(source, foreign).run()
    assert foreign._objects == {"swarm/ca": b"another"}
    forked = Store()
    Copy(source, forked).run()
    last = max(key for key in forked._objects if key.startswith(f"datasets/{ROADS}/log/"))
    forked._objects[last] = b"another entry"
    with pytest.raises(ConflictError, match="another history"):
        Copy(source, forked).run()


def test_a_store_that_is_ahead_is_not_copied_to() -> None:
    source, writers = filled(2)
    target = Store()
    Copy(source, target).run()
    writers.publish()
    with pytest.raises(ConflictError, match="ahead"):
        Copy(target, source).run()


def test_a_store_without_a_swarm_is_refused() -> None:
    with pytest.raises(NotFoundError, match="no swarm"):
        Copy(Store(), Store()).run()


def test_what_was_copied_stays_though_its_successor_was_not() -> None:
    """Indexes are merged between the end of a copy and the removal of what is not wanted."""
    source, writers = filled(4)
    target = Store()

    def merge(report: Report) -> None:
        if report.entries == 12:
            writers.merge()

    Copy(source, target, merge).run(delete=True)
    check_whole(target)


def test_a_pack_that_went_makes_another_round() -> None:
    """An index is copied when all packs that were settled on are."""
    source, _ = filled(5)
    target = Store()
    pack = max(key for key in source._objects if key.startswith(PACKS))
    index = next(k for k, data in source._objects.items() if k.startswith(INDEXES) and pack[len(PACKS) :] in str(data))
    target._objects[index] = source._objects[index]

    def collect(report: Report) -> None:
        source._objects.pop(pack, None)

    report = Copy(source, target, collect).run()
    assert report.rounds == 2


def test_nothing_is_removed_unless_that_is_asked_for() -> None:
    source, writers = filled(3)
    target = Store()
    Copy(source, target).run()
    before = len(target._objects)
    writers.merge()
    Copy(source, target).run()
    assert len(target._objects) == before + 1
    assert Copy(source, target).run(delete=True).deleted == 2
