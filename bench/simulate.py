"""What ``aetherfs simulate`` says of rollouts, beside what came: the real commands, in a swarm of network namespaces.

Peers follow a tag. For each version in turn the producer asks ``simulate`` for a forecast, then publishes, and the
peers take it. Of the first version only the simulator knows something; from the second on also the rollouts in the
book of forecasts, by which ``simulate`` corrects what it says (``calibrated``). What came is the tracker's own figure,
as that book keeps it; what the bench's clock says, from the end of the publish on, is told beside it.

All hosts share the processors of one machine, which real swarms do not: how busy these were is told, whose work it was,
and what the simulator says with them as one more link, by the CPU seconds of the rollout before.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Final

import msgspec

from bench.compare import DELAY_S
from bench.contenders.ours import PROGRAM, home_environment
from bench.contenders.ours_swarm import OursSwarm, OurSwarm
from bench.network import Host, make_network
from bench.payload import Payload, holds, make_payload
from bench.processes import BenchError, Meter, Processors, run_plain
from bench.provenance import provenance
from bench.report import Tell
from bench.scenarios import Scenario
from bench.swarm import DEADLINE_EXTRA_S, DEADLINE_FACTOR, SETTLE_S
from swarm import Client
from swarm.encoding import encode_block
from swarm.scan import scan
from swarm.sim.calibration import Actual
from swarm.sim.forecast import Conditions, forecast, quantile
from swarm.sim.simulation import Calibration, Simulation

WITHIN: Final = 0.20
RUNS: Final = 3
FOLLOWED: Final = "bench/followed:main"
# What the tag means while peers begin to follow it.
FIRST_BYTES: Final = 64 * 1024
# Seldom enough that looking takes nothing.
LOOK_S: Final = 0.02
# The tracker says that a rollout has ended when all have told it so.
TOLD_S: Final = 30.0
ASK_S: Final = 1.0
# A swarm that takes so much of all processors waits for them, of which the simulator knows nothing.
WAITS_FROM: Final = 0.85


@dataclass(frozen=True, slots=True)
class Times:
    """Seconds until half of the peers, and 95% of them, had it."""

    p50_s: float
    p95_s: float

    def off(self, came: Times) -> float:
        """How far the one of the two that is further off is, as a share of what came."""
        return max((self.p50_s / came.p50_s - 1, self.p95_s / came.p95_s - 1), key=abs)


@dataclass(frozen=True, slots=True)
class Rollout:
    """One version. ``by_machine``: simulated with the machine as a link; None of the first. ``idle``, ``own`` and
    ``others`` are shares of the processors, of nobody, of the swarm's processes, and of all else.
    """

    forecast: Times
    calibrated: Times | None
    by_rollouts: int
    by_machine: Times | None
    came: Times
    clock: Times
    idle: float
    own: float
    others: float
    cpu_s_per_gb: float

    @property
    def has_waited(self) -> bool:
        """Whether processors were the bound, and not lines."""
        return self.own >= WAITS_FROM

    def as_object(self) -> dict[str, Any]:
        told = {"forecast": self.forecast, "calibrated": self.calibrated, "by_machine": self.by_machine}
        off = {f"{name}_off": round(times.off(self.came), 4) for name, times in told.items() if times is not None}
        return {**asdict(self), **off, "waited_for_processors": self.has_waited}


@dataclass(slots=True)
class SimulateReport:
    """Rollouts in their order."""

    settings: dict[str, Any]
    provenance: dict[str, Any] = field(default_factory=provenance)
    rollouts: list[Rollout] = field(default_factory=list)

    @property
    def is_within(self) -> dict[str, bool]:
        """Of forecasts as the simulator makes them, and of those that earlier rollouts correct."""
        plain = [each.forecast.off(each.came) for each in self.rollouts]
        calibrated = [each.calibrated.off(each.came) for each in self.rollouts if each.calibrated is not None]
        return {
            name: all(abs(off) <= WITHIN for off in offs)
            for name, offs in (("forecast", plain), ("calibrated", calibrated))
            if offs
        }

    @property
    def is_good(self) -> bool:
        """Whether each forecast was within the bound, corrected or not."""
        within = self.is_within
        return bool(within) and all(within.values())

    def as_object(self) -> dict[str, Any]:
        rollouts = [each.as_object() for each in self.rollouts]
        verdict = {"within": WITHIN, "is_within": self.is_within}
        return {**self.provenance, "settings": self.settings, "rollouts": rollouts, **verdict}


def options_of(scenario: Scenario) -> list[str]:
    """The lines of a plain scenario or of sites, as a user describes them to ``simulate``."""
    own = _rate(scenario.peers[0].up_bits_per_s)
    sites = ["--sites", str(scenario.sites), "--lan", own] if scenario.wan_bits_per_s else []
    line = _rate(scenario.wan_bits_per_s) if sites else own
    seeds = ["--seed-link", _rate(scenario.origin.up_bits_per_s)]
    return ["--peers", str(len(scenario.peers)), "--link", line, *sites, *seeds, "--delay", f"{1000 * DELAY_S:g}"]


def _rate(bits_per_s: int) -> str:
    return f"{bits_per_s // 1000}kbit"


def run_simulate(
    scenario: Scenario, size_bytes: int, rollouts: int, seed: int, folder: Path, tell: Tell
) -> SimulateReport:
    """Forecast and roll out so many versions, one after another. BenchError when one does not arrive."""
    settings = {"scenario": scenario.name, "size_bytes": size_bytes, "rollouts": rollouts, "seed": seed}
    report = SimulateReport({**settings, "options": options_of(scenario), "runs": RUNS})
    first = make_payload(folder / "first", FIRST_BYTES, seed)
    with (
        make_network(scenario) as network,
        OursSwarm().swarm(first, network.hosts, folder / "swarm") as swarm,
    ):
        followed = _Followed(scenario, network.hosts, swarm, folder)
        followed.begin(first)
        for number in range(rollouts):
            payload = make_payload(folder / f"version{number}", size_bytes, seed + 1 + number)
            time.sleep(SETTLE_S)
            report.rollouts.append(followed.roll_out(payload, report.rollouts[-1:]))
            tell(line_of(report.rollouts[-1]))
    return report


class _Followed:
    """A swarm whose peers follow a tag."""

    def __init__(self, scenario: Scenario, hosts: Sequence[Host], swarm: OurSwarm, folder: Path) -> None:
        self._scenario = scenario
        self._origin, *self._peers = hosts
        self._swarm = swarm
        self._folder = folder

    def begin(self, payload: Payload) -> None:
        """Everybody follows the tag, and has what it means first."""
        self._publish(payload)
        for host in self._peers:
            client = Client(self._home(host))
            host.inside(partial(client.subscribe, FOLLOWED, str(self._at(host))))

    def roll_out(self, payload: Payload, before: Sequence[Rollout]) -> Rollout:
        """Forecast, publish, wait until everybody has it and the tracker says so. ``before``: the last rollout."""
        asked = [str(payload.directory), "--against", FOLLOWED, "--no-sweep", "--runs", str(RUNS)]
        told = msgspec.convert(self._ask(*asked, *options_of(self._scenario)), Simulation)
        by_machine = _by_machine(payload, told.conditions, before[0].cpu_s_per_gb) if before else None
        had = {host: _current(self._at(host)) for host in self._peers}
        self._publish(payload)
        began = time.monotonic()
        meter, processors = Meter(self._swarm.pids()), Processors()
        clock = self._arrivals(payload, had, began)
        own_s, (busy_s, all_s) = meter.cpu_s(), processors.spent()
        self._check(payload)
        came = self._came(told.version)
        calibrated = None
        if told.calibrated_p50_s is not None and told.calibrated_p95_s is not None:
            calibrated = Times(told.calibrated_p50_s, told.calibrated_p95_s)
        return Rollout(
            forecast=Times(told.forecast.p50_s, told.forecast.p95_s),
            calibrated=calibrated,
            by_rollouts=told.calibrated_by,
            by_machine=by_machine,
            came=came,
            clock=clock,
            idle=round(1 - busy_s / all_s, 3),
            own=round(own_s / all_s, 3),
            others=round(max(0.0, busy_s - own_s) / all_s, 3),
            cpu_s_per_gb=round(own_s / (payload.size_bytes * len(self._peers) / 1e9), 2),
        )

    def _publish(self, payload: Payload) -> None:
        client = Client(self._home(self._origin))
        self._origin.inside(partial(client.publish, str(payload.directory), FOLLOWED))

    def _ask(self, *arguments: str) -> Any:
        """``aetherfs simulate``, as the producer gives it."""
        environment = home_environment(self._home(self._origin))
        return json.loads(
            run_plain(self._origin.command(str(PROGRAM), "simulate", *arguments, "--json", "--quiet"), environment)
        )

    def _arrivals(self, payload: Payload, had: Mapping[Host, str], began: float) -> Times:
        """When peers had switched to it from what they had, by our clock."""
        seconds: list[float] = []
        end = began + DEADLINE_FACTOR * self._scenario.bound_s(payload.size_bytes) + DEADLINE_EXTRA_S
        waiting = list(self._peers)
        while waiting:
            now = time.monotonic()
            if now > end:
                raise BenchError(f"{len(waiting)} peers have not taken what was published")
            late = [host for host in waiting if _current(self._at(host)) == had[host]]
            seconds += [now - began] * (len(waiting) - len(late))
            waiting = late
            time.sleep(LOOK_S)
        return _times_of(seconds)

    def _check(self, payload: Payload) -> None:
        wrong = [
            host.number for host in self._peers if not holds(self._at(host) / "current" / payload.file.name, payload)
        ]
        if wrong:
            raise BenchError(f"peers {wrong} have something else than what was published")

    def _came(self, version: str) -> Times:
        """As the tracker tells of it, once it has heard of all."""
        end = time.monotonic() + TOLD_S
        while time.monotonic() < end:
            book = msgspec.convert(self._ask("--calibration"), Calibration)
            actual = book.kept[-1].actual if book.kept and book.kept[-1].version == version else None
            if isinstance(actual, Actual) and actual.p50_s is not None and actual.p95_s is not None:
                return Times(actual.p50_s, actual.p95_s)
            time.sleep(ASK_S)
        raise BenchError(f"no tracker has told of the rollout within {TOLD_S:.0f} s")

    def _home(self, host: Host) -> Path:
        return self._folder / "swarm" / f"home{host.number}"

    def _at(self, host: Host) -> Path:
        return self._folder / f"followed{host.number}"


def _current(directory: Path) -> str:
    """What a subscription's ``current`` names."""
    return os.readlink(directory / "current")


def _times_of(seconds: Sequence[float]) -> Times:
    """Of all peers, in order."""
    return Times(quantile(seconds, 0.5), quantile(seconds, 0.95))


def _by_machine(payload: Payload, conditions: Conditions, cpu_s_per_gb: float) -> Times:
    """Simulated with the processors as one more link, which carry as much as they did for so many CPU seconds."""
    manifest = scan(payload.directory).manifest
    parts = [len(encode_block(data)) for data in manifest.segments.values()]
    carried = 1e9 * (os.cpu_count() or 1) / cpu_s_per_gb
    lines = msgspec.structs.replace(conditions, machine_bytes_per_s=carried)
    told = forecast([*parts, *(block.size for block in manifest.unique)], lines, runs=RUNS)
    return Times(told.p50_s, told.p95_s)


def line_of(rollout: Rollout) -> str:
    """For who waits."""
    came = rollout.came

    def told(name: str, times: Times | None) -> str:
        return "" if times is None else f"; {name} {times.p50_s:.2f}, {times.p95_s:.2f} ({times.off(came):+.1%})"

    calibrated = told(f"calibrated by {rollout.by_rollouts}", rollout.calibrated)
    machine = told("with the machine as a link", rollout.by_machine)
    processors = f"processors: the swarm {rollout.own:.0%}, other work {rollout.others:.0%}, idle {rollout.idle:.0%}"
    bound = ", so they were the bound, which no forecast of lines knows" if rollout.has_waited else ""
    return (
        f"p50 and p95 came {came.p50_s:.2f}, {came.p95_s:.2f} s{told('forecast', rollout.forecast)}{calibrated}"
        f"{machine}; {processors}{bound}"
    )
