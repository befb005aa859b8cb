"""What figures cost a tracker: reports of thousands of simulated peers in, streams of dozens of browsers out.

The tracker is fed by ``bench.fed``. What a report costs that a peer brings itself is measured beside it, on one
connection, and told apart.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from bench.edge import cpu_s, resident_bytes
from bench.fed import MIB, Fed, fed, simulated_times, standing_tracker
from bench.report import Tell
from swarm.identity import server_name_of

CPU_MOST: Final = 0.1
MEMORY_MOST_BYTES: Final = 300 * MIB
BROWSER_MOST_BYTES_PER_S: Final = 50_000
TOPICS: Final = "overview,rollout:bench/payload:v1,flow,events"


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


def run_dashboard(settings: DashboardSettings, folder: Path, tell: Tell) -> DashboardReport:
    """Measure once. BenchError when something does not start."""
    report = DashboardReport({"peers": settings.peers, "browsers": settings.browsers, "seconds": settings.seconds})
    with standing_tracker(folder) as (process, environment, url):
        tell("simulating how long peers take")
        times, report.sim = simulated_times(settings.peers, settings.seconds)

        async def measure() -> DashboardReport:
            async with fed(process, environment, url, folder, times) as tracker:
                return await _measure(settings, report, tracker, tell)

        return asyncio.run(measure())


async def _measure(settings: DashboardSettings, report: DashboardReport, tracker: Fed, tell: Tell) -> DashboardReport:
    process, feed = tracker.process, tracker.feed
    report.direct_report_cpu_us = await feed.direct(process)
    tell(f"{settings.peers} peers are there")
    await feed.begin()
    counts = [0] * settings.browsers
    listening = [asyncio.create_task(_listen(tracker, counts, place)) for place in range(len(counts))]
    await asyncio.sleep(5)
    before, at = cpu_s(process), time.monotonic()
    await asyncio.sleep(5)
    report.idle_cpu = round((cpu_s(process) - before) / (time.monotonic() - at), 4)
    await tracker.move()
    tell("the tag has moved")
    counts[:] = [0] * len(counts)
    before, began = cpu_s(process), time.monotonic()
    fed_reports = await feed.run(settings.seconds)
    elapsed = time.monotonic() - began
    report.cpu = round((cpu_s(process) - before) / elapsed, 4)
    report.reports_per_s = round(fed_reports / elapsed, 1)
    report.resident_bytes = resident_bytes(process)
    rates = [count / elapsed for count in counts]
    report.browser_bytes_per_s = round(sum(rates) / max(1, len(rates)))
    report.browser_most_bytes_per_s = round(max(rates, default=0.0))
    report.cpu_if_all_came_directly = round(report.cpu + report.reports_per_s * report.direct_report_cpu_us / 1e6, 4)
    for task in listening:
        task.cancel()
    await asyncio.gather(*listening, return_exceptions=True)
    return report


async def _listen(tracker: Fed, counts: list[int], place: int) -> None:
    url = f"https://{server_name_of(tracker.tracker.peer_id)}/api/v1/figures/stream"
    async with tracker.session.get(url, params={"topics": TOPICS}) as response:
        async for part in response.content.iter_any():
            counts[place] += len(part)
