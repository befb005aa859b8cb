"""What figures cost a tracker: reports of thousands of simulated peers in, streams of dozens of browsers out.

The tracker is the real program in a process of its own. The peers are made up here: how long each takes comes from a
run of ``swarm.sim``, stretched to the length of the rollout. They report as often as a tracker of so many peers allows,
and come in as what another tracker passes on (``/api/v1/reports``), since one process cannot hold ten thousand
certificates and connections. What a report costs that a peer brings itself is measured beside it, on one connection,
and told apart.
"""

from __future__ import annotations

import asyncio
import heapq
import json
import random
import time
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import aiohttp

from bench.contenders.ours import PROGRAM, READY_DEADLINE_S, home_environment
from bench.edge import cpu_s, resident_bytes
from bench.payload import make_payload
from bench.processes import BenchError, Standing, end_together, run_plain
from bench.report import Tell
from swarm import canonical
from swarm.cli.enrol import remember
from swarm.dialable import TRUSTED
from swarm.home import Home
from swarm.http.resolver import PeerResolver
from swarm.http.tls import peer_client_context
from swarm.identity import server_name_of
from swarm.joining import join
from swarm.messages import Contact
from swarm.reports import RELAY_PATH, REPORT_PATH, Followed, LinkTotal, Relay, Relayed, Report, Step, Totals
from swarm.sim.links import MBIT
from swarm.sim.run import simulate
from swarm.sim.scenarios import SCENARIOS, Settings
from swarm.token import parse_token
from swarm.tracker.figures.picture import BEAT_MAX_S, BEAT_MIN_S, BEATS_PER_S, CHANGES_PER_S

MIB: Final = 1 << 20
CPU_MOST: Final = 0.1
MEMORY_MOST_BYTES: Final = 300 * MIB
BROWSER_MOST_BYTES_PER_S: Final = 50_000
REFERENCE: Final = ("bench/payload", "v1")
TOPICS: Final = "overview,rollout:bench/payload:v1,flow,events"
SIM_PEERS: Final = 100
DIRECT: Final = 400
NEIGHBOURS: Final = 8
MSGPACK: Final = {"Content-Type": "application/msgpack"}


@dataclass(frozen=True, slots=True)
class DashboardSettings:
    peers: int
    browsers: int
    seconds: float


@dataclass(slots=True)
class DashboardReport:
    """CPU as shares of one core; bytes resident; bytes per second of one browser."""

    settings: dict[str, Any]
    idle_cpu: float = 0.0
    cpu: float = 0.0
    reports_per_s: float = 0.0
    direct_report_cpu_us: float = 0.0
    cpu_if_all_came_directly: float = 0.0
    resident_bytes: int = 0
    browser_bytes_per_s: float = 0.0
    browser_most_bytes_per_s: float = 0.0
    sim: dict[str, Any] = field(default_factory=dict)

    @property
    def is_within(self) -> bool:
        return (
            self.cpu - self.idle_cpu <= CPU_MOST
            and self.resident_bytes <= MEMORY_MOST_BYTES
            and self.browser_most_bytes_per_s <= BROWSER_MOST_BYTES_PER_S
        )


class FedPeer:
    """A peer that was made up: when it begins and ends, and what it says at a moment."""

    def __init__(self, number: int, begins: float, ends: float, size: int, version: bytes, rng: random.Random) -> None:
        self.public = number.to_bytes(32, "big")
        self.site = f"site-{number % 40}"
        self.begins, self.ends, self.size, self.version = begins, ends, size, version
        self.sequence = 0
        self.givers = [rng.randrange(1, 1 + number) if number > 1 else 1 for _ in range(NEIGHBOURS)]

    def said(self, t_s: float) -> bytes:
        """Its report, so long after the tag was moved; before that it follows and holds nothing."""
        self.sequence += 1
        share = min(1.0, max(0.0, (t_s - self.begins) / max(0.1, self.ends - self.begins)))
        done, is_done = int(share * self.size), share >= 1.0
        steps = [Step(1, "waiting", max(0, round(1000 * t_s)))] if t_s > 0 else []
        if share > 0:
            steps.append(Step(2, "fetching", max(0, round(1000 * (t_s - self.begins)))))
        if is_done:
            steps.append(Step(3, "current", max(0, round(1000 * (t_s - self.ends)))))
        rate = 0 if is_done or not share else int(self.size / (self.ends - self.begins))
        phase: Any = "current" if is_done else ("fetching" if share else "waiting")
        told = Followed(
            *REFERENCE,
            False,
            round(1000 * max(0.0, t_s)),
            1 if is_done else 0,
            self.version if is_done else b"",
            1 if t_s > 0 else 0,
            0 if is_done or t_s <= 0 else 1,
            b"" if is_done or t_s <= 0 else self.version,
            phase,
            "",
            "",
            done,
            self.size,
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
            (),
            (),
            (),
            None,
            None,
            None,
        )
        return canonical.encode(report)


def run_dashboard(settings: DashboardSettings, folder: Path, tell: Tell) -> DashboardReport:
    """Measure once. BenchError when something does not start."""
    with ExitStack() as stack:
        environment = home_environment(folder / "up")
        command = [str(PROGRAM), "up", "--port-base", "0", "--json", "--quiet"]
        up = stack.enter_context(Standing(command, folder / "up.log", environment))
        up.wait_line(READY_DEADLINE_S)
        stack.callback(end_together, [up])
        token = run_plain([str(PROGRAM), "token", "create", "--role", "tracker", "--quiet"], environment).strip()
        payload = make_payload(folder / "payload", MIB, 1)
        publish = [str(PROGRAM), "publish", str(payload.directory), ":".join(REFERENCE), "--json", "--quiet"]
        tell("simulating how long peers take")
        report = DashboardReport({"peers": settings.peers, "browsers": settings.browsers, "seconds": settings.seconds})
        return asyncio.run(_measure(settings, report, folder, token, publish, environment, up.process.pid, tell))


def _times(settings: DashboardSettings, report: DashboardReport) -> list[float]:
    """Seconds until each peer is done: drawn by the percentiles of a simulated swarm, stretched to the rollout."""
    name = "plain" if "plain" in SCENARIOS else next(iter(SCENARIOS))
    outcome = simulate(name, Settings(SIM_PEERS, 64, 1, 8, 50 * MBIT, 0.1), checks_every=1000)
    report.sim = {"scenario": name, "peers": SIM_PEERS, "p50_s": outcome.p50_s, "p95_s": outcome.p95_s}
    points = [(0.0, 0.6 * outcome.p50_s), (0.5, outcome.p50_s), (0.95, outcome.p95_s), (0.99, outcome.p99_s)]
    points.append((1.0, outcome.last_s))
    stretch = settings.seconds / outcome.last_s
    found = []
    for number in range(settings.peers):
        share = (number + 0.5) / settings.peers
        place = next(i for i in range(len(points) - 1) if share <= points[i + 1][0])
        (a, x), (b, y) = points[place], points[place + 1]
        found.append(stretch * (x + (y - x) * (share - a) / (b - a)))
    return found


async def _measure(
    settings: DashboardSettings,
    report: DashboardReport,
    folder: Path,
    token: str,
    publish: list[str],
    environment: Any,
    process: int,
    tell: Tell,
) -> DashboardReport:
    rng = random.Random(1)
    times = _times(settings, report)
    home = Home(folder / "feeder")
    answer = await join(parse_token(token), home.key())
    remember(home, answer)
    tracker = answer.trackers[0]
    resolver = PeerResolver(TRUSTED)
    resolver.learn(tracker.peer_id, tracker.addresses)
    context = peer_client_context(home.tls_files)
    connector = aiohttp.TCPConnector(ssl=context, resolver=resolver, limit=0, use_dns_cache=False)
    async with aiohttp.ClientSession(connector=connector, timeout=aiohttp.ClientTimeout(total=None)) as session:
        feed = _Feed(session, tracker, rng, times)
        report.direct_report_cpu_us = await feed.direct(process)
        tell(f"{settings.peers} peers are there")
        await feed.begin()
        counts = [0] * settings.browsers
        listening = [asyncio.create_task(_listen(session, tracker, counts, place)) for place in range(len(counts))]
        await asyncio.sleep(5)
        before, at = cpu_s(process), time.monotonic()
        await asyncio.sleep(5)
        report.idle_cpu = round((cpu_s(process) - before) / (time.monotonic() - at), 4)
        published = json.loads(await asyncio.to_thread(run_plain, publish, environment))
        for peer in feed.peers:
            peer.version = bytes.fromhex(published["version"])
        tell("the tag has moved")
        counts[:] = [0] * len(counts)
        before, began = cpu_s(process), time.monotonic()
        fed = await feed.run(settings.seconds)
        elapsed = time.monotonic() - began
        report.cpu = round((cpu_s(process) - before) / elapsed, 4)
        report.reports_per_s = round(fed / elapsed, 1)
        report.resident_bytes = resident_bytes(process)
        rates = [count / elapsed for count in counts]
        report.browser_bytes_per_s = round(sum(rates) / max(1, len(rates)))
        report.browser_most_bytes_per_s = round(max(rates, default=0.0))
        report.cpu_if_all_came_directly = round(
            report.cpu + report.reports_per_s * report.direct_report_cpu_us / 1e6, 4
        )
        for task in listening:
            task.cancel()
        await asyncio.gather(*listening, return_exceptions=True)
    return report


class _Feed:
    """The reports of all peers, as often as a tracker of so many allows."""

    def __init__(
        self, session: aiohttp.ClientSession, tracker: Contact, rng: random.Random, times: list[float]
    ) -> None:
        self._session = session
        self._base = f"https://{server_name_of(tracker.peer_id)}"
        self._rng = rng
        self._times = times
        self.peers: list[FedPeer] = []

    async def direct(self, process: int) -> float:
        """What one report costs that a member brings itself, in microseconds of CPU."""
        peer = FedPeer(1, 0.0, 1.0, MIB, bytes(32), self._rng)
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
            FedPeer(2 + number, rng.uniform(0.2, 2.0), 2.0 + ends, 64 * MIB, bytes(32), rng)
            for number, ends in enumerate(times)
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


async def _listen(session: aiohttp.ClientSession, tracker: Contact, counts: list[int], place: int) -> None:
    url = f"https://{server_name_of(tracker.peer_id)}/api/v1/figures/stream"
    async with session.get(url, params={"topics": TOPICS}) as response:
        async for part in response.content.iter_any():
            counts[place] += len(part)
