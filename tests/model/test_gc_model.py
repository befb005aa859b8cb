"""gc under concurrent publishes, tags and other gcs, each killed anywhere: no live block is lost, no dead one stays."""

from __future__ import annotations

import os
import random
import secrets

import pytest

from seed import collect, merging, table
from seed.backfill import INDEXES, PACKS
from seed.collect import Collector
from seed.packs import decode_index
from seed.seeing import Sight
from swarm import claims
from swarm.objects import ObjectStore
from swarm.objects.memory import MemoryObjectStore
from tests.model.origin import RECEIPT_S, Origin, _entries
from tests.unit.seed.stopping import Killed, Stopping


@pytest.fixture(autouse=True)
def ids(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ids that follow from the seed, so that a run can be repeated."""
    drawn = random.Random(1)
    monkeypatch.setattr(secrets, "token_hex", lambda size: drawn.randbytes(size).hex())
    monkeypatch.setattr(merging, "FANOUT", 2)


ROUNDS = int(os.environ.get("GC_ROUNDS", "6"))
DATASETS = ("maps/roads", "maps/rails")


def play(origin: Origin) -> None:
    """Some rounds of everything at once, over one store."""
    rng = origin.rng
    for _ in range(3):
        stage = origin.stage()
        for number in range(rng.randint(1, 3)):
            blocks = rng.sample(range(12), rng.randint(2, 6))
            stage.enter(f"publisher {number}", origin.publisher(rng.choice(DATASETS), blocks), calls=calls(rng))
        for number in range(rng.randint(0, 2)):
            stage.enter(f"tagger {number}", origin.tagger(rng.choice(DATASETS)), calls=calls(rng))
        for number in range(rng.randint(1, 3)):
            stage.enter(f"gc {number}", origin.gc(rng.choice((0.0, 0.0, 50.0))), calls=calls(rng))
        if rng.random() < 0.7:
            stage.enter("compactor", origin.compactor(), calls=calls(rng))
        stage.play()
        # Often leases of those who were killed are still in force.
        origin.wall_now += rng.choice((1, 100, 100_000))


def calls(rng: random.Random) -> int | None:
    return rng.randint(0, 120) if rng.random() < 0.4 else None


@pytest.mark.parametrize("seed", range(ROUNDS))
def test_no_live_block_is_lost_and_no_dead_one_stays(seed: int) -> None:
    origin = Origin(random.Random(seed))
    for _ in range(5):
        play(origin)
    origin.check()
    origin.check_is_clean(origin.settled())
    assert origin.acknowledged


@pytest.mark.parametrize("without", ["looks", "claims_first", "gc_looks_again", "gc_is_final"])
def test_each_part_of_the_protocol_is_needed(without: str) -> None:
    """Taken out, a version that is kept loses a block within some seeds."""
    for seed in range(60):
        origin = Origin(random.Random(seed))
        setattr(origin, without, False)
        try:
            for _ in range(5):
                play(origin)
            origin.check()
        except AssertionError:
            return
    raise AssertionError(f"nothing is lost without {without}")


class Ordered(MemoryObjectStore):
    """Holds that no index names a pack that goes."""

    def delete(self, key: str) -> None:
        if key.startswith(PACKS):
            for index in map(decode_index, map(self.get, self.list(INDEXES))):
                assert key.removeprefix(PACKS) not in {pack for pack, _, _ in index.packs}, "its index is still there"
        super().delete(key)


def published(count: int) -> Origin:
    """A store with so many versions, of which few are kept, and none is claimed."""
    origin = Origin(random.Random(1), objects=Ordered())
    for number in range(count):
        origin.publisher(DATASETS[0], [number, number + 1, 20])(origin.objects)
    origin.wall_now += 2 * RECEIPT_S
    return origin


def test_no_pack_goes_for_a_version_of_which_nobody_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """More is dead than a record holds. A pack also goes after all indexes that name it."""
    monkeypatch.setattr(collect, "CONDEMNED_MAX", 2)
    origin = published(9)
    sight = Sight(origin.objects, lambda _: frozenset(), frozenset)
    for run in range(24):
        Collector(sight).run(origin.wall_now, 50.0 if run < 3 else 1.0)
        origin.wall_now += 1 if run < 3 else 2 * RECEIPT_S
        seen = sight.see(origin.wall_now)
        resting = {block for pack in seen.standing for block in seen.places.get(pack, ())}
        for version, kept in seen.versions.items():
            assert claims.is_gone(origin.objects, version) or resting.issuperset(table.each(kept.blocks))
    assert not seen.versions and not seen.packs


def test_a_purge_that_was_broken_off_is_gone_on_with() -> None:
    last = 0
    while True:
        last += 1
        origin = published(3)
        try:
            purge_all(origin, Stopping(origin.objects, last, is_made=True))
        except Killed:
            purge_all(origin, origin.objects)
            assert not origin.objects.list(PACKS)
            continue
        break
    assert last > 9


def purge_all(origin: Origin, objects: ObjectStore) -> None:
    """Purge every version that was published."""
    versions = frozenset((DATASETS[0], version) for version in _entries(origin.objects, DATASETS[0]))
    Collector(Sight(objects, lambda _: frozenset(), lambda: versions)).purge(origin.wall_now)
