"""kill -9 of every process in turn, during publish and during pull, over a real S3 server.

Nothing acknowledged is lost, no reader sees half a version, what is repeated succeeds, and what a killed process left
behind is what ``gc`` finds, all of it and nothing else. ``make soak`` runs more (``KILL_ROUNDS`` times all victims).
"""

from __future__ import annotations

import os
import random
from collections.abc import Iterator
from typing import Final

import pytest

from tests.e2e.harness import Bench
from tests.e2e.killing import LONER, S3, Mortals, Rounds, told_of
from tests.s3_server import S3Server

VICTIMS: Final = [
    ("tracker", "publish"),
    ("seed", "publish"),
    ("producer", "publish"),
    (LONER, "publish"),
    (S3, "publish"),
    ("tracker", "pull"),
    ("seed", "pull"),
    ("consumer", "pull"),
    (LONER, "pull"),
    (S3, "pull"),
]
SEED: Final = int(os.environ.get("KILL_SEED", "1"))
COUNT: Final = 3 if "KILL_ROUNDS" not in os.environ else len(VICTIMS) * int(os.environ["KILL_ROUNDS"])


@pytest.fixture
def own_s3(s3_credentials: None) -> Iterator[S3Server]:
    """A server that may be killed."""
    server = S3Server()
    try:
        yield server
    finally:
        server.close()


def test_kill_rounds(bench: Bench, own_s3: S3Server) -> None:
    rng = random.Random(SEED)
    rounds = Rounds(Mortals(bench, own_s3), rng)
    rounds.begin()
    order = VICTIMS if len(VICTIMS) <= COUNT else rng.sample(VICTIMS, COUNT)
    for number in range(COUNT):
        victim, phase = order[number % len(order)]
        rounds.one(victim, phase)
    rounds.check_bucket()
    print(told_of(rounds))
