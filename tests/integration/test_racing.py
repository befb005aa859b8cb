"""Racing producers and readers at two trackers that lose answers: some order of single steps explains it all."""

from __future__ import annotations

import asyncio
import os
import random
from pathlib import Path

import pytest

from swarm.identity import PeerKey
from swarm.objects import ObjectStore
from swarm.objects.memory import MemoryObjectStore
from swarm.tracker.server import Tracker
from tests.histories.history import Recorder
from tests.histories.log_model import Answer, Call
from tests.integration.faulty_store import FaultyStore
from tests.integration.racers import Racer, check_history
from tests.integration.tracker_rig import STORE_KEY, Rig, running_tracker

DATASETS = ("library/roads", "library/lakes")
PRODUCERS, MOVES, READERS = 5, 8, 3
# ``make soak`` has more.
ROUNDS = range(int(os.environ.get("RACE_ROUNDS", "1")))


class Unsteady:
    """A tracker that reaches the store over a bad line, and then often answers nothing at all."""

    def __init__(self, tracker: Tracker, line: FaultyStore) -> None:
        self.tracker = tracker
        self.line = line

    @classmethod
    async def start(cls, objects: ObjectStore, rng: random.Random, rate: float) -> Unsteady:
        loop = asyncio.get_running_loop()
        line = FaultyStore(objects, rng, rate, lambda: loop.call_soon_threadsafe(made.hang_up))
        made = cls(await Tracker.start(line, STORE_KEY, PeerKey(os.urandom(32)), "127.0.0.1", 0), line)
        return made

    def hang_up(self) -> None:
        """Whoever waits for an answer gets none."""
        server = self.tracker.listener._runner.server
        assert server is not None
        for connection in server.connections:
            if connection.transport is not None:
                connection.transport.abort()


async def racers(
    rig: Rig, trackers: list[Unsteady], recorder: Recorder[Call, Answer], rng: random.Random
) -> list[Racer]:
    """Clients that prefer one tracker or the other, producers first."""
    keeper = (await rig.member("seed")).key
    made = []
    for number in range(PRODUCERS + READERS):
        member = await rig.member()
        contacts = [each.tracker.contact for each in trackers]
        member.client.set_trackers(contacts[:: rng.choice([1, -1])])
        made.append(Racer(f"client-{number}", member, keeper, recorder, random.Random(rng.random()), DATASETS))
    return made


async def race(rig: Rig, seed: int, rate: float) -> dict[str, int]:
    """One race to its end, and what was in it. Fails unless it is linear, and all that was acknowledged is kept."""
    rng = random.Random(seed)
    recorder = Recorder[Call, Answer]()
    trackers = [await Unsteady.start(rig.objects, random.Random(rng.random()), rate) for _ in range(2)]
    is_over = asyncio.Event()
    try:
        everybody = await racers(rig, trackers, recorder, rng)
        reading = [asyncio.create_task(reader.read(is_over)) for reader in everybody[PRODUCERS:]]
        await asyncio.gather(*(producer.produce(MOVES) for producer in everybody[:PRODUCERS]))
        is_over.set()
        await asyncio.gather(*reading)
    finally:
        for each in trackers:
            await each.tracker.close()
    counted = await check_history(recorder.history(), rig.admin, DATASETS)
    return {**counted, "lost": sum(each.line.failed for each in trackers)}


@pytest.mark.parametrize("number", ROUNDS)
@pytest.mark.parametrize("rate", [0.0, 0.05, 0.15])
def test_the_history_of_a_race_is_linearizable(tmp_path: Path, number: int, rate: float) -> None:
    async def main() -> None:
        async with running_tracker(tmp_path, MemoryObjectStore()) as rig:
            counted = await race(rig, 100 + number, rate)
            print(counted)
            assert counted["acknowledged"] + counted["unknown"] >= counted["entries"] >= counted["acknowledged"]
            assert (counted["lost"] > 0) == (rate > 0)
            assert rate or (counted["acknowledged"] > 15 and not counted["unknown"])

    asyncio.run(main())
