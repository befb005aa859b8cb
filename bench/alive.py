"""How soon a dashboard shows what happens: a peer that dies, a tag that moves; and how soon those who follow it hear.

All are the real program, in processes of this machine: ``aetherfs up``, and peers that follow a tag. Here is one
listener of the tracker's stream of server-sent events, with the topics that the pages Overview, Rollout and Peers read,
and one of each peer's own watch. The clock of a move begins before the command that moves the tag is given, so it holds
the commit too; that of a death with kill -9. Deaths come one at a time, in any order and at any moment of a heartbeat,
until one peer is left.
"""

from __future__ import annotations

import asyncio
import json
import math
import random
import statistics
import time
from collections.abc import Awaitable, Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final

import aiohttp

from bench.contenders.ours import PROGRAM, READY_DEADLINE_S, ROLE_OPTIONS, home_environment
from bench.processes import BenchError, Standing, end_together, run_plain
from bench.provenance import provenance
from bench.report import Tell
from swarm import AsyncClient
from swarm.agent_messages import TagMoved
from swarm.cli.enrol import remember
from swarm.dialable import TRUSTED
from swarm.home import Home
from swarm.http.resolver import PeerResolver
from swarm.http.tls import peer_client_context
from swarm.identity import server_name_of
from swarm.joining import join
from swarm.token import parse_token

# What the issue asks for.
DEATH_MOST_S: Final = 15.0
MOVE_MOST_S: Final = 1.0
DATASET: Final = "bench/alive"
TAG: Final = "stable"
FOLLOWED: Final = f"{DATASET}:{TAG}"
TOPICS: Final = f"overview,rollout:{FOLLOWED},events,peers"
FILE_BYTES: Final = 100_000
STARTS_AT_ONCE: Final = 3
PATIENCE_S: Final = 60.0
# Between two: so that they come at any moment of what is done once a second, or once in a heartbeat.
BETWEEN_MOVES_S: Final = (0.5, 2.0)
BETWEEN_DEATHS_S: Final = (0.5, 5.5)

Said = Callable[[str, Any], bool]


@dataclass(frozen=True, slots=True)
class AliveSettings:
    """All peers but one are killed."""

    peers: int
    moves: int
    seed: int


@dataclass(slots=True)
class AliveReport:
    """Seconds of each death and move, in their order; of a move ``heard`` is of the last peer that heard."""

    settings: dict[str, Any]
    provenance: dict[str, Any] = field(default_factory=provenance)
    death_told_s: list[float] = field(default_factory=list)
    death_listed_s: list[float] = field(default_factory=list)
    move_command_s: list[float] = field(default_factory=list)
    move_overview_s: list[float] = field(default_factory=list)
    move_rollout_s: list[float] = field(default_factory=list)
    move_heard_s: list[float] = field(default_factory=list)

    @property
    def is_within(self) -> bool:
        deaths, moves = self.death_told_s + self.death_listed_s, self.move_overview_s + self.move_rollout_s
        return max(deaths) <= DEATH_MOST_S and max(moves + self.move_heard_s) <= MOVE_MOST_S

    def as_object(self) -> dict[str, Any]:
        told = asdict(self)
        figures = {name: figure_of(seconds) for name, seconds in told.items() if name.endswith("_s")}
        return {**told.pop("provenance"), **told, "figures": figures, "is_within": self.is_within}


def figure_of(seconds: list[float]) -> dict[str, float]:
    """The most, the 95th percentile (nearest rank) and the median."""
    ranked = sorted(seconds)
    p95 = ranked[math.ceil(0.95 * len(ranked)) - 1]
    return {"count": len(ranked), "max": ranked[-1], "p95": p95, "median": round(statistics.median(ranked), 3)}


def run_alive(settings: AliveSettings, folder: Path, tell: Tell) -> AliveReport:
    """Measure once. BenchError when something does not start, or is not told of at all."""
    with ExitStack() as stack:
        environment = home_environment(folder / "up")
        up = stack.enter_context(Standing([str(PROGRAM), "up", *ROLE_OPTIONS], folder / "up.log", environment))
        up.wait_line(READY_DEADLINE_S)
        uses = str(settings.peers + 1)
        token = run_plain([str(PROGRAM), "token", "create", "--uses", uses, "--quiet"], environment).strip()
        (folder / "token").write_text(token)

        def start(number: int) -> Standing:
            command = [str(PROGRAM), "peer", *ROLE_OPTIONS, "--join-file", str(folder / "token")]
            home = folder / f"peer{number}"
            peer = stack.enter_context(Standing(command, folder / f"peer{number}.log", home_environment(home)))
            peer.wait_line(READY_DEADLINE_S)
            return peer

        with ThreadPoolExecutor(STARTS_AT_ONCE) as pool:
            peers = list(pool.map(start, range(settings.peers)))
        stack.callback(end_together, [up, *peers])
        return asyncio.run(_measure(settings, folder, token, peers, tell))


async def _measure(settings: AliveSettings, folder: Path, token: str, peers: list[Standing], tell: Tell) -> AliveReport:
    report = AliveReport({"peers": settings.peers, "moves": settings.moves, "seed": settings.seed, "topics": TOPICS})
    rng = random.Random(settings.seed)
    hub = AsyncClient(folder / "up")
    for number in (1, 2):
        path = folder / f"version{number}"
        path.mkdir()
        (path / "data.bin").write_bytes(rng.randbytes(FILE_BYTES))
        names = [f"{DATASET}:v{number}", *([FOLLOWED] if number == 1 else [])]
        await hub.publish(str(path), *names)
    home = Home(folder / "listener")
    remember(home, await join(parse_token(token), home.key()))
    stream = Stream(home)
    clients = [AsyncClient(folder / f"peer{number}") for number in range(settings.peers)]
    watches = [Watch(client) for client in clients]
    tasks = [asyncio.create_task(stream.run()), *(asyncio.create_task(watch.run()) for watch in watches)]
    try:
        all_follow = stream.until(lambda topic, data: topic == "overview" and _row(data).get("current") == len(peers))
        for number, client in enumerate(clients):
            await client.subscribe(FOLLOWED, str(folder / f"followed{number}"))
        await _within(all_follow)
        tell(f"{len(peers)} peers follow {FOLLOWED}")
        for number in range(settings.moves):
            await asyncio.sleep(rng.uniform(*BETWEEN_MOVES_S))
            await _move(report, hub, stream, watches, f"v{1 + (number + 1) % 2}")
        tell(f"moved {settings.moves} times")
        ids = [Home(folder / f"peer{number}").key().peer_id for number in range(settings.peers)]
        for place in rng.sample(range(settings.peers), settings.peers - 1):
            await asyncio.sleep(rng.uniform(*BETWEEN_DEATHS_S))
            await _kill(report, stream, peers[place], ids[place])
        tell(f"killed {settings.peers - 1} peers")
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    return report


async def _move(report: AliveReport, hub: AsyncClient, stream: Stream, watches: list[Watch], version: str) -> None:
    before = max(watches[0].heard, default=0)
    overview = stream.until(lambda topic, data: topic == "overview" and _row(data).get("serial", 0) > before)
    rollout = stream.until(lambda topic, data: topic == f"rollout:{FOLLOWED}" and data["serial"] > before)
    began = time.monotonic()
    committed = await hub.tag(f"{DATASET}:{version}", FOLLOWED)
    report.move_command_s.append(_since(began, time.monotonic()))
    report.move_overview_s.append(_since(began, await _within(overview)))
    report.move_rollout_s.append(_since(began, await _within(rollout)))
    heard = [await _within(watch.has_heard(committed.serial)) for watch in watches]
    report.move_heard_s.append(_since(began, max(heard)))


async def _kill(report: AliveReport, stream: Stream, peer: Standing, peer_id: str) -> None:
    def is_told(topic: str, data: Any) -> bool:
        return topic == "events" and any(one["kind"] == "died" and one["peer"] == peer_id for one in data["events"])

    def is_listed(topic: str, data: Any) -> bool:
        return topic == "peers" and any(one["id"] == peer_id and one["health"] == "gone" for one in data["peers"])

    told, listed = stream.until(is_told), stream.until(is_listed)
    began = time.monotonic()
    peer.process.kill()
    report.death_told_s.append(_since(began, await _within(told)))
    report.death_listed_s.append(_since(began, await _within(listed)))


def _since(began: float, at: float) -> float:
    return round(at - began, 3)


def _row(overview: Any) -> dict[str, Any]:
    """The followed tag's row of the overview."""
    return next((row for row in overview["tags"] if (row["dataset"], row["tag"]) == (DATASET, TAG)), {})


async def _within(told: Awaitable[float]) -> float:
    try:
        async with asyncio.timeout(PATIENCE_S):
            return await told
    except TimeoutError:
        raise BenchError(f"the stream has not told within {PATIENCE_S:.0f} s what happened") from None


class Stream:
    """A listener of the tracker's stream, as a page is one."""

    def __init__(self, home: Home) -> None:
        self._home = home
        self._waits: list[tuple[Said, asyncio.Future[float]]] = []

    def until(self, says: Said) -> asyncio.Future[float]:
        """When a message has come of which that is so; of those that come from now on."""
        told: asyncio.Future[float] = asyncio.get_running_loop().create_future()
        self._waits.append((says, told))
        return told

    async def run(self) -> None:
        tracker = self._home.swarm().trackers[0]
        resolver = PeerResolver(TRUSTED)
        resolver.learn(tracker.peer_id, tracker.addresses)
        context = peer_client_context(self._home.tls_files)
        connector = aiohttp.TCPConnector(ssl=context, resolver=resolver, use_dns_cache=False)
        url = f"https://{server_name_of(tracker.peer_id)}/api/v1/figures/stream"
        timeout = aiohttp.ClientTimeout(total=None)
        async with (
            aiohttp.ClientSession(connector=connector, timeout=timeout, read_bufsize=1 << 22) as session,
            session.get(url, params={"topics": TOPICS}) as response,
        ):
            topic = ""
            async for line in response.content:
                name, _, value = line.decode().rstrip("\n").partition(": ")
                if name == "event":
                    topic = value
                elif name == "data":
                    self._heard(topic, json.loads(value), time.monotonic())

    def _heard(self, topic: str, data: Any, at: float) -> None:
        for says, told in self._waits:
            if not told.done() and says(topic, data):
                told.set_result(at)
        self._waits = [wait for wait in self._waits if not wait[1].done()]


class Watch:
    """A follower's own word, over its agent: when it has heard of which serial of the tag."""

    def __init__(self, client: AsyncClient) -> None:
        self._client = client
        self.heard: dict[int, float] = {}
        self._new = asyncio.Event()

    async def run(self) -> None:
        async for event in self._client.watch(FOLLOWED):
            if isinstance(event, TagMoved):
                self.heard.setdefault(event.serial, time.monotonic())
                self._new.set()

    async def has_heard(self, serial: int) -> float:
        while serial not in self.heard:
            self._new.clear()
            await self._new.wait()
        return self.heard[serial]


def lines_of(report: AliveReport) -> Iterable[tuple[str, dict[str, float]]]:
    """What is shown of a report, a line a figure."""
    figures: dict[str, dict[str, float]] = report.as_object()["figures"]
    return figures.items()
