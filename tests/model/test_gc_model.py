"""gc under concurrent publishes, tags and other gcs, each killed anywhere: no live block is lost, no dead one stays."""

from __future__ import annotations

import os
import random
import secrets

import pytest

from seed import merging
from tests.model.origin import Origin


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
