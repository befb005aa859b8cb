"""Racing tag moves at two tracker processes over a real S3 server, of which one or the other is killed -9 at random.

``make soak`` runs 200 moves (``RACE_MOVES``).
"""

from __future__ import annotations

import asyncio
import os
import random
import subprocess
import time
from pathlib import Path
from typing import Final

from swarm.cli.demo.place import free_ports
from swarm.home import Home
from swarm.identity import PeerKey
from swarm.joining import join
from swarm.messages import Contact
from swarm.records import Address
from swarm.token import parse_token
from tests.e2e.harness import Bench
from tests.histories.history import Recorder
from tests.histories.log_model import Answer, Call
from tests.integration.racers import Racer, check_history
from tests.integration.tracker_rig import Enrolled, enrolled_in
from tests.s3_server import S3Server

MOVES: Final = int(os.environ.get("RACE_MOVES", "40"))
SEED: Final = int(os.environ.get("RACE_SEED", "1"))
PRODUCERS, READERS = 10, 3
DATASETS: Final = ("maps/roads", "maps/lakes")
NAMES: Final = ("one", "two")


class TwoTrackers:
    """Tracker processes on homes of their own, which come back where they were."""

    def __init__(self, bench: Bench, url: str) -> None:
        self._bench = bench
        self._url = url
        self._bases = [free_ports(), free_ports()]
        self._running: dict[int, subprocess.Popen[bytes]] = {}
        self.kills = 0
        self.start(0)
        token = bench.ok("one", "token", "create", "--role", "tracker").text
        bench.ok("two", "join", "-", stdin=token)
        self.start(1)

    def start(self, number: int) -> None:
        store, base = ["--store", self._url], self._bases[number]
        self._running[number] = self._bench.start(NAMES[number], "tracker", *store, port_base=base)

    def kill(self, number: int) -> None:
        self.kills += 1
        self._running[number].kill()
        self._running[number].wait()

    def contacts(self) -> list[Contact]:
        homes = [Home(self._bench.home(name)) for name in NAMES]
        return [
            Contact(home.key().public, (Address("127.0.0.1", base),))
            for home, base in zip(homes, self._bases, strict=True)
        ]

    async def die_at_random(self, rng: random.Random, until: asyncio.Event) -> None:
        while not until.is_set():
            await asyncio.sleep(rng.uniform(0.1, 0.8))
            number = rng.randrange(2)
            self.kill(number)
            await asyncio.sleep(rng.uniform(0.0, 0.5))
            await asyncio.to_thread(self.start, number)


async def members(bench: Bench, role: str, count: int) -> list[Enrolled]:
    """New members of a role, with clients in this process."""
    token = bench.ok("one", "token", "create", "--role", role, "--uses", str(count)).text.strip()
    made = []
    for _ in range(count):
        key = PeerKey(os.urandom(32))
        folder = bench.folder / "members" / key.peer_id
        made.append(enrolled_in(folder, key, await join(parse_token(token), key)))
    return made


async def race(bench: Bench, trackers: TwoTrackers) -> dict[str, float]:
    """So many moves to their end, by producers and readers that prefer one tracker or the other."""
    rng = random.Random(SEED)
    recorder = Recorder[Call, Answer]()
    keeper, *_ = await members(bench, "seed", 1)
    everybody = await members(bench, "peer", PRODUCERS + READERS)
    racers = []
    for number, member in enumerate(everybody):
        member.client.set_trackers(trackers.contacts()[:: rng.choice([1, -1])])
        racers.append(Racer(f"client-{number}", member, keeper.key, recorder, random.Random(rng.random()), DATASETS))
    is_over = asyncio.Event()
    killing = asyncio.create_task(trackers.die_at_random(rng, is_over))
    reading = [asyncio.create_task(racer.read(is_over)) for racer in racers[PRODUCERS:]]
    started = time.monotonic()
    await asyncio.gather(*(racer.produce(MOVES // PRODUCERS) for racer in racers[:PRODUCERS]))
    seconds = time.monotonic() - started
    is_over.set()
    await asyncio.gather(killing, *reading)
    counted = await check_history(recorder.history(), everybody[0], DATASETS)
    for member in [keeper, *everybody]:
        await member.client.close()
    return {**counted, "kills": trackers.kills, "seconds": round(seconds, 1)}


def test_racing_moves_while_a_tracker_is_killed(bench: Bench, s3: S3Server, tmp_path: Path) -> None:
    trackers = TwoTrackers(bench, s3.url("race"))
    counted = asyncio.run(race(bench, trackers))
    print(counted)
    assert counted["kills"] > 0
    assert counted["entries"] >= counted["acknowledged"] > MOVES / 3
    assert counted["acknowledged"] + counted["unknown"] >= counted["entries"]
