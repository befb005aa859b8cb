"""A tracker in a process of its own, fed with the reports of thousands of peers that are made up here.

How long each peer takes comes from a run of ``swarm.sim``, stretched to the length of the rollout. They report as often
as a tracker of so many peers allows, and come in as what another tracker passes on (``/api/v1/reports``), since one
process cannot hold ten thousand certificates and connections.
"""

from __future__ import annotations

import asyncio
import heapq
import json
import random
import time
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import aiohttp

from bench.contenders.ours import PROGRAM, READY_DEADLINE_S, home_environment
from bench.edge import cpu_s
from bench.processes import BenchError, Standing, end_together, run_plain
from bench.small_tree import make_tree
from swarm import canonical
from swarm.cli.enrol import remember
from swarm.dialable import TRUSTED
from swarm.home import Home
from swarm.http.resolver import PeerResolver
from swarm.http.tls import peer_client_context
from swarm.identity import server_name_of
from swarm.joining import join
from swarm.messages import Contact
from swarm.reports import RELAY_PATH, REPORT_PATH, Followed, Held, LinkTotal, Relay, Relayed, Report, Step, Totals
from swarm.sim.links import MBIT
from swarm.sim.run import simulate
from swarm.sim.scenarios import SCENARIOS, Settings
from swarm.token import parse_token
from swarm.tracker.figures.picture import BEAT_MAX_S, BEAT_MIN_S, BEATS_PER_S, CHANGES_PER_S

MIB: Final = 1 << 20
REFERENCE: Final = ("bench/payload", "v1")
# So many files of so many bytes, each a block: a version that is worth a picture.
FILES: Final = 1000
FILE_BYTES: Final = 64 * 1024
SIM_PEERS: Final = 100
DIRECT: Final = 400
NEIGHBOURS: Final = 8
SITES: Final = 40
MSGPACK: Final = {"Content-Type": "application/msgpack"}


@dataclass(slots=True)
class Moved:
    """What the tag means once it has moved."""

    version: bytes = bytes(32)
    blocks: int = 0
    size_bytes: int = 64 * MIB


class FedPeer:
    """A peer that was made up: when it begins and ends, and what it says at a moment."""

    def __init__(self, number: int, begins: float, ends: float, moved: Moved, rng: random.Random) -> None:
        self.public = number.to_bytes(32, "big")
        self.site = f"site-{number % SITES}"
        self.begins, self.ends, self.moved = begins, ends, moved
        self.sequence = 0
        self.givers = [rng.randrange(1, 1 + number) if number > 1 else 1 for _ in range(NEIGHBOURS)]
        self._first = rng.random()

    def said(self, t_s: float) -> bytes:
        """Its report, so long after the tag was moved; before that it follows and holds nothing."""
        self.sequence += 1
        size, version = self.moved.size_bytes, self.moved.version
        share = min(1.0, max(0.0, (t_s - self.begins) / max(0.1, self.ends - self.begins)))
        done, is_done = int(share * size), share >= 1.0
        steps = [Step(1, "waiting", max(0, round(1000 * t_s)))] if t_s > 0 else []
        if share > 0:
            steps.append(Step(2, "fetching", max(0, round(1000 * (t_s - self.begins)))))
        if is_done:
            steps.append(Step(3, "current", max(0, round(1000 * (t_s - self.ends)))))
        rate = 0 if is_done or not share else int(size / (self.ends - self.begins))
        phase: Any = "current" if is_done else ("fetching" if share else "waiting")
        told = Followed(
            *REFERENCE,
            False,
            round(1000 * max(0.0, t_s)),
            1 if is_done else 0,
            version if is_done else b"",
            1 if t_s > 0 else 0,
            0 if is_done or t_s <= 0 else 1,
            b"" if is_done or t_s <= 0 else version,
            phase,
            "",
            "",
            done,
            size,
            0,
            done - done // 50,
            done // 50,
            0,
            0,
            done,
            rate,
            NEIGHBOURS,
            tuple(steps),
        )
        links = tuple(LinkTotal(giver.to_bytes(32, "big"), 0, done // NEIGHBOURS, True) for giver in set(self.givers))
        report = Report(
            1,
            1,
            self.sequence,
            self.sequence == 1,
            round(1000 * time.time()),
            100,
            "bench",
            Totals(0, done, 0, done),
            links,
            0,
            0,
            (told,),
            (self._held(share),) if share > 0 and self.moved.blocks else (),
            (),
            (),
            None,
            None,
            None,
        )
        return canonical.encode(report)

    def _held(self, share: float) -> Held:
        """Blocks from a place of its own on, around the end: so each block has another number of copies."""
        blocks = self.moved.blocks
        held, first = int(share * blocks), int(self._first * blocks)
        run = ((1 << held) - 1) << first
        bits = run & ((1 << blocks) - 1) | run >> blocks
        told = bits.to_bytes((blocks + 7) // 8, "little") if held < blocks else b""
        return Held(REFERENCE[0], self.moved.version, blocks, held, self.moved.size_bytes, False, told)


def simulated_times(peers: int, seconds: float) -> tuple[list[float], dict[str, Any]]:
    """Seconds until each peer is done: drawn by the percentiles of a simulated swarm, stretched to the rollout; and
    what was simulated.
    """
    name = "plain" if "plain" in SCENARIOS else next(iter(SCENARIOS))
    outcome = simulate(name, Settings(SIM_PEERS, 64, 1, 8, 50 * MBIT, 0.1), checks_every=1000)
    points = [(0.0, 0.6 * outcome.p50_s), (0.5, outcome.p50_s), (0.95, outcome.p95_s), (0.99, outcome.p99_s)]
    points.append((1.0, outcome.last_s))
    stretch = seconds / outcome.last_s
    found = []
    for number in range(peers):
        share = (number + 0.5) / peers
        place = next(i for i in range(len(points) - 1) if share <= points[i + 1][0])
        (a, x), (b, y) = points[place], points[place + 1]
        found.append(stretch * (x + (y - x) * (share - a) / (b - a)))
    return found, {"scenario": name, "peers": SIM_PEERS, "p50_s": outcome.p50_s, "p95_s": outcome.p95_s}


class Feed:
    """The reports of all peers, as often as a tracker of so many allows."""

    def __init__(
        self, session: aiohttp.ClientSession, tracker: Contact, rng: random.Random, times: list[float]
    ) -> None:
        self._session = session
        self._base = f"https://{server_name_of(tracker.peer_id)}"
        self._rng = rng
        self._times = times
        self.moved = Moved()
        self.peers: list[FedPeer] = []

    async def direct(self, process: int) -> float:
        """What one report costs that a member brings itself, in microseconds of CPU."""
        peer = FedPeer(1, 0.0, 1.0, Moved(size_bytes=MIB), self._rng)
        before = cpu_s(process)
        for _ in range(DIRECT):
            await self._post(REPORT_PATH, peer.said(0.0))
        return round(1e6 * (cpu_s(process) - before) / DIRECT, 1)

    async def begin(self) -> None:
        """Everybody says that it follows the tag."""
        rng = self._rng
        times = self._times[:]
        rng.shuffle(times)
        self.peers = [
            FedPeer(2 + number, rng.uniform(0.2, 2.0), 2.0 + ends, self.moved, rng) for number, ends in enumerate(times)
        ]
        for start in range(0, len(self.peers), 500):
            await self._relay([(peer, 0.0) for peer in self.peers[start : start + 500]])

    async def run(self, seconds: float) -> int:
        """Play the rollout: how many reports that took."""
        pause_s = max(1.0, len(self.peers) / CHANGES_PER_S)
        beat_s = min(BEAT_MAX_S, max(BEAT_MIN_S, len(self.peers) / BEATS_PER_S))
        began, fed = time.monotonic(), 0
        due = [(self._rng.uniform(0, pause_s), place) for place in range(len(self.peers))]
        heapq.heapify(due)
        while (t_s := time.monotonic() - began) < seconds:
            batch: list[tuple[FedPeer, float]] = []
            while due and due[0][0] <= t_s and len(batch) < 1000:
                at, place = heapq.heappop(due)
                peer = self.peers[place]
                batch.append((peer, t_s))
                heapq.heappush(due, (at + (pause_s if t_s < peer.ends else beat_s), place))
            if batch:
                fed += len(batch)
                await self._relay(batch)
            await asyncio.sleep(0.5)
        return fed

    async def _relay(self, batch: list[tuple[FedPeer, float]]) -> None:
        said = tuple(
            Relayed(peer.public, "peer", peer.site, (), (), "", 0, False, peer.said(t_s)) for peer, t_s in batch
        )
        await self._post(RELAY_PATH, canonical.encode(Relay(1, said)))

    async def _post(self, path: str, body: bytes) -> None:
        async with self._session.post(self._base + path, data=body, headers=MSGPACK) as response:
            if response.status != 200:
                raise BenchError(f"the tracker answers {response.status}: {await response.text()}")
            await response.read()


@dataclass(frozen=True, slots=True)
class Fed:
    """A tracker that is fed. ``session`` is a member's; ``url`` is where browsers find it."""

    process: int
    environment: Mapping[str, str]
    session: aiohttp.ClientSession
    tracker: Contact
    feed: Feed
    url: str
    payload: Path

    async def move(self) -> None:
        """Publish: the tag moves, and from now on peers speak of that version."""
        command = [str(PROGRAM), "publish", str(self.payload), ":".join(REFERENCE), "--json", "--quiet"]
        published = json.loads(await asyncio.to_thread(run_plain, command, self.environment))
        moved = self.feed.moved
        moved.version, moved.blocks = bytes.fromhex(published["version"]), published["blocks"]
        moved.size_bytes = published["bytes"]


@contextmanager
def standing_tracker(folder: Path) -> Iterator[tuple[int, Mapping[str, str], str]]:
    """The real program, until it is left: its process, the environment of commands to it, and its address."""
    environment = home_environment(folder / "up")
    command = [str(PROGRAM), "up", "--port-base", "0", "--json", "--quiet"]
    with Standing(command, folder / "up.log", environment) as up:
        ready = json.loads(up.wait_line(READY_DEADLINE_S))
        try:
            yield up.process.pid, environment, f"https://{ready['addresses']['tracker'][0]}"
        finally:
            end_together([up])


@asynccontextmanager
async def fed(
    process: int, environment: Mapping[str, str], url: str, folder: Path, times: list[float]
) -> AsyncIterator[Fed]:
    """A member that passes on what it makes up. Nothing is fed before ``feed`` is told to."""
    token = run_plain([str(PROGRAM), "token", "create", "--role", "tracker", "--quiet"], environment).strip()
    home = Home(folder / "feeder")
    answer = await join(parse_token(token), home.key())
    remember(home, answer)
    tracker = answer.trackers[0]
    resolver = PeerResolver(TRUSTED)
    resolver.learn(tracker.peer_id, tracker.addresses)
    context = peer_client_context(home.tls_files)
    connector = aiohttp.TCPConnector(ssl=context, resolver=resolver, limit=0, use_dns_cache=False)
    make_tree(folder / "payload", FILES, FILE_BYTES, 1)
    async with aiohttp.ClientSession(connector=connector, timeout=aiohttp.ClientTimeout(total=None)) as session:
        feed = Feed(session, tracker, random.Random(1), times)
        yield Fed(process, environment, session, tracker, feed, url, folder / "payload")
