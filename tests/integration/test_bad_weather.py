"""A real S3 server in seeded bad weather: bytes that are right or one clear error, and nothing acknowledged is lost.

``WEATHER_ROUNDS`` rounds of a swarm, and ten times as many of a store: ``make soak`` does many.
"""

from __future__ import annotations

import asyncio
import os
import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from swarm.errors import AetherError, NotFoundError
from swarm.objects import ObjectStore, s3_calls, s3_client
from swarm.objects.open import open_store
from swarm.objects.standing import standing_of
from tests.bad_weather import CALM, FAULTS, BadWeather, fault_of
from tests.integration.swarm_rig import Swarm, contents, make_tree
from tests.s3_server import S3Server, store_url

ROUNDS = int(os.environ.get("WEATHER_ROUNDS", "2"))
FIRST_SEED = int(os.environ.get("WEATHER_SEED", "1"))
# Of requests that something befalls: mostly it passes, and often it does not.
STORE_RATES = (0.3, 0.65)
SWARM_RATES = (0.4, 0.7)
# Of a server that hangs every second time, two tries in a row soon hang: it counts as away.
RATES = {"hang": 0.1}


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pauses and patience of a server that is near."""
    monkeypatch.setattr(s3_calls, "FIRST_PAUSE_S", 0.005)
    monkeypatch.setattr(s3_calls, "LOOK_FIRST_S", 0.02)
    monkeypatch.setattr(s3_client, "READ_TIMEOUT_S", 1.0)
    monkeypatch.setattr(s3_client, "STORED_TIMEOUT_S", 2.0)


@pytest.fixture
def weather(s3: S3Server) -> Iterator[BadWeather]:
    with BadWeather(s3.endpoint) as proxy:
        yield proxy


def until(holds: Callable[[], object]) -> None:
    """Wait until it holds; pytest ends what never does."""
    while not holds():
        time.sleep(0.005)


def is_one_line(error: AetherError) -> bool:
    """One line, and of a kind that says what to make of it."""
    return type(error) is not AetherError and "\n" not in str(error) and ";" in str(error)


# ---- the store ------------------------------------------------------------------------------------------------------


class Writer:
    """Does what a seed says to keys of its own, and knows what must be there."""

    def __init__(self, store: ObjectStore, name: str, rng: random.Random) -> None:
        self.store = store
        self.name = name
        self.rng = rng
        # What may be there: one value where all was acknowledged, several where an answer was lost.
        self.possible: dict[str, set[bytes | None]] = {}
        self.outcomes: Counter[str] = Counter()
        self.wrong: list[str] = []

    def run(self, steps: int) -> None:
        for _ in range(steps):
            key = f"{self.name}/{self.rng.randrange(4)}"
            may_be = self.possible.setdefault(key, {None})
            kind = self.rng.choice(("put", "put", "get", "get", "absent", "delete", "list"))
            try:
                getattr(self, "_" + kind)(key, may_be)
                self.outcomes[f"{kind} ok"] += 1
            except AetherError as error:
                self.outcomes[f"{kind} {type(error).__name__}"] += 1
                if not is_one_line(error):
                    self.wrong.append(f"{kind} {key}: {error}")

    def _data(self) -> bytes:
        return self.rng.randbytes(self.rng.choice((16, 100, 5_000, 1_200_000)))

    def _put(self, key: str, may_be: set[bytes | None]) -> None:
        data = self._data()
        before = set(may_be)
        may_be.add(data)
        self.store.put(key, data)
        # A try whose answer was lost may still be on its way; the last one that was acknowledged counts from here on.
        may_be.difference_update(before - {data})

    def _absent(self, key: str, may_be: set[bytes | None]) -> None:
        data = self._data()
        is_free = may_be == {None}
        may_be.add(data)
        if self.store.put_if_absent(key, data):
            if None not in may_be - {data}:
                self.wrong.append(f"{key} was there, and was written again")
            may_be.intersection_update({data})
        else:
            may_be.discard(data)
            may_be.discard(None)
            if is_free:
                self.wrong.append(f"{key} was refused and nobody had written it")

    def _get(self, key: str, may_be: set[bytes | None]) -> None:
        try:
            found: bytes | None = self.store.get(key)
        except NotFoundError:
            found = None
        if found not in may_be:
            self.wrong.append(f"{key} gives {'nothing' if found is None else len(found)}, which nobody wrote")
        may_be.intersection_update({found})

    def _delete(self, key: str, may_be: set[bytes | None]) -> None:
        may_be.add(None)
        self.store.delete(key)
        may_be.intersection_update({None})

    def _list(self, key: str, may_be: set[bytes | None]) -> None:
        found = self.store.list(self.name + "/")
        for other, possible in self.possible.items():
            if (other in found and possible == {None}) or (other not in found and None not in possible):
                self.wrong.append(f"{other} is {'' if other in found else 'not '}listed")


@pytest.mark.parametrize("seed", range(FIRST_SEED, FIRST_SEED + 3 * ROUNDS))
def test_a_store_gives_what_was_written_or_one_clear_error(s3: S3Server, weather: BadWeather, seed: int) -> None:
    store = open_store(store_url(weather.endpoint))
    weather.seed, weather.rate = seed, STORE_RATES[seed % 2]
    writers = [Writer(store, f"w{number}", random.Random(100 * seed + number)) for number in range(4)]
    threads = [threading.Thread(target=writer.run, args=(30,)) for writer in writers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    outcomes = sum((writer.outcomes for writer in writers), Counter[str]())
    weather.rate = 0.0
    store.close()
    store = open_store(store_url(weather.endpoint, store.address.prefix.strip("/")))  # type: ignore[attr-defined]
    for writer in writers:
        writer.store = store
        for key, possible in writer.possible.items():
            writer._get(key, possible)
    store.close()
    assert [wrong for writer in writers for wrong in writer.wrong] == [], f"seed {seed}"
    print(f"seed {seed}: {dict(weather.befell)}; {dict(sorted(outcomes.items()))}")
    assert weather.befell.total() > 10


@pytest.mark.parametrize("kind", FAULTS)
def test_each_fault_by_itself(s3: S3Server, weather: BadWeather, monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    """Half of the time nobody notices; all of the time there is one clear error; afterwards all is as it was."""
    monkeypatch.setattr(s3_client, "READ_TIMEOUT_S", 0.3)
    store = open_store(store_url(weather.endpoint))
    weather.seed, weather.only = 7, frozenset({kind})
    writer = Writer(store, "w", random.Random(7))
    weather.rate = RATES.get(kind, 0.5)
    writer.run(20)
    half, told = dict(sorted(writer.outcomes.items())), "bytes were right"
    weather.rate = 0.0
    until(lambda: standing_of(store).away_since is None)
    store.put("whole", b"bytes" * 10_000)
    weather.rate = 1.0
    try:
        if kind == "flip there":
            store.put("whole", b"other")
        assert store.get("whole") == b"bytes" * 10_000
    except AetherError as error:
        assert is_one_line(error)
        told = f"{type(error).__name__}: {str(error).partition(': ')[2]}"
    assert (told == "bytes were right") == (kind == "delay")
    weather.rate = 0.0
    until(lambda: standing_of(store).away_since is None)
    assert store.get("whole") == b"bytes" * 10_000
    store.close()
    assert writer.wrong == []
    print(f"| {kind} | {weather.befell[kind]} {half} | {told[:160]} |")


@pytest.mark.parametrize("seed", range(FIRST_SEED, FIRST_SEED + ROUNDS))
def test_one_of_racing_writers_wins_in_any_weather(s3: S3Server, weather: BadWeather, seed: int) -> None:
    """Whose answer is lost learns that it won. Who gets an error may have won or not; nobody else believes so."""
    store = open_store(store_url(weather.endpoint))
    weather.seed, weather.rate = seed, STORE_RATES[seed % 2]
    told: dict[str, list[tuple[bytes, bool]]] = {f"log/{number}": [] for number in range(12)}

    def race(name: bytes) -> None:
        for key, won in told.items():
            try:
                won.append((name, store.put_if_absent(key, name)))
            except AetherError as error:
                assert is_one_line(error)

    threads = [threading.Thread(target=race, args=(bytes([65 + number]),)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    weather.rate = 0.0
    store.close()
    prefix = store.address.prefix.strip("/")  # type: ignore[attr-defined]
    store = open_store(store_url(s3.endpoint, prefix))
    for key, answers in told.items():
        winners = [name for name, won in answers if won]
        assert len(winners) <= 1
        if winners:
            assert store.get(key) == winners[0]
        if any(not won for _, won in answers):
            assert store.get(key)
    store.close()


# ---- a swarm --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(FIRST_SEED, FIRST_SEED + ROUNDS))
def test_what_is_published_and_pulled_is_right_or_one_clear_error(
    tmp_path: Path, s3: S3Server, weather: BadWeather, seed: int
) -> None:
    outcomes: Counter[str] = Counter()
    store = open_store(store_url(weather.endpoint))

    async def tried(what: str, work: Any) -> Any:
        try:
            result = await work
        except AetherError as error:
            outcomes[f"{what} {type(error).__name__}"] += 1
            assert is_one_line(error), str(error)
            return None
        outcomes[f"{what} ok"] += 1
        return result

    async def calm() -> None:
        weather.rate = 0.0
        await asyncio.to_thread(until, lambda: standing_of(store).away_since is None)

    async def main() -> None:
        async with Swarm(tmp_path / "homes", objects=store) as swarm:
            producer = await swarm.peer("producer")
            kept: dict[str, dict[str, bytes]] = {}
            weather.seed, weather.rate = seed, SWARM_RATES[seed % 2]
            for number in range(3):
                name = f"maps/roads:v{number}"
                source = make_tree(tmp_path / f"source-{number}", 10 * seed + number, large_bytes=9_000_000)
                if await tried("publish", swarm.publish(producer, source, name)) is not None:
                    kept[name] = contents(source)
            await calm()
            await swarm.stop(producer)
            await swarm.stop(swarm.seed)
            await swarm.start_seed("another seed")
            peers = [await swarm.peer(f"peer-{number}") for number in range(2)]
            weather.rate = SWARM_RATES[seed % 2]
            for name, wanted in kept.items():
                out = tmp_path / "out" / name[-2:]
                pulls = [tried("pull", swarm.pull(peer, name, out / str(number))) for number, peer in enumerate(peers)]
                for number, pulled in enumerate(await asyncio.gather(*pulls)):
                    if pulled is not None:
                        assert contents(out / str(number)) == wanted
            await calm()
            last = await swarm.peer("last")
            for name, wanted in kept.items():
                await swarm.pull(last, name, tmp_path / "last" / name[-2:])
                assert contents(tmp_path / "last" / name[-2:]) == wanted

    asyncio.run(main())
    store.close()
    print(f"seed {seed}: {dict(weather.befell)}; {dict(sorted(outcomes.items()))}")
    assert weather.befell


# ---- the weather itself ---------------------------------------------------------------------------------------------


def test_the_same_seed_is_the_same_weather() -> None:
    days = [[fault_of(seed, number, 0.5) for number in range(300)] for seed in (1, 1, 2)]
    assert days[0] == days[1] != days[2]
    assert {fault.kind for fault in days[0]} == {*FAULTS, ""}
    assert all(fault_of(1, number, 0.0) == CALM for number in range(100))
