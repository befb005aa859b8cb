"""One origin to many peers over shaped links: each contender in turn, in a network made for that round.

Everything runs and has joined before the clock; it starts when the payload is released to all peers at once, from one
thread per peer, and stops for each at its last verified byte. Files are compared with the payload's SHA-256 afterwards.
"""

from __future__ import annotations

import os
import queue
import shutil
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from bench.contenders import Fetched, Swarm, SwarmContender
from bench.network import Host, Network, make_network, missing_network
from bench.payload import Payload, holds, make_payload
from bench.processes import BenchError, Meter
from bench.provenance import filesystem
from bench.report import Missing, Tell
from bench.scenarios import Scenario
from bench.swarm_report import SwarmReport, SwarmRound

SETTLE_S: Final = 3.0
# How often memory is looked at: each look reads a file of every thread, and twice a second took a tenth of two cores.
SAMPLE_S: Final = 5.0
DEADLINE_FACTOR: Final = 8
DEADLINE_EXTRA_S: Final = 60.0


@dataclass(frozen=True, slots=True)
class SwarmSettings:
    """One run."""

    scenario: Scenario
    size_bytes: int
    rounds: int
    seed: int


@dataclass(slots=True)
class _Clocked:
    """What the threads of one round found: seconds from the release, and what peers said."""

    seconds: dict[int, float] = field(default_factory=dict)
    fetched: dict[int, Fetched] = field(default_factory=dict)
    failures: dict[int, str] = field(default_factory=dict)


def run_swarm(contenders: Sequence[SwarmContender], settings: SwarmSettings, folder: Path, tell: Tell) -> SwarmReport:
    """Measure every contender that can run, ``rounds`` times, in turns; the others are told as missing."""
    scenario = settings.scenario
    network = missing_network()
    # Whatever is not there is installed where that can be done: versions are known after that.
    why_not = {contender.name: network or contender.missing() for contender in contenders}
    able = [contender for contender in contenders if not why_not[contender.name]]
    report = SwarmReport(round(scenario.bound_s(settings.size_bytes), 3), _settings(able, settings, folder))
    report.missing += [Missing(name, why) for name, why in why_not.items() if why]
    if able:
        payload = make_payload(folder / "payload", settings.size_bytes, settings.seed)
    for number in range(settings.rounds):
        for contender in able[number % len(able) :] + able[: number % len(able)] if able else []:
            report.rounds.append(_round(contender, number, scenario, payload, folder / "round", tell))
    return report


def _settings(contenders: Sequence[SwarmContender], settings: SwarmSettings, folder: Path) -> dict[str, object]:
    scenario = settings.scenario
    return {
        "scenario": scenario.name,
        "peers": len(scenario.peers),
        "judged_peers": list(scenario.judged),
        "size_bytes": settings.size_bytes,
        "rounds": settings.rounds,
        "seed": settings.seed,
        "origin_up_bits_per_s": scenario.origin.up_bits_per_s,
        "peer_up_bits_per_s": [link.up_bits_per_s for link in scenario.peers],
        "wan_bits_per_s": scenario.wan_bits_per_s,
        "shaping": "tbf burst 32kb latency 20ms on both directions, gso tso gro off",
        "cpu_s_per_gb": "of all processes of the contender, per GB that arrived at a judged peer",
        "filesystem": filesystem(folder),
        "load_before": round(os.getloadavg()[0], 2),
        "contenders": {contender.name: dict(contender.settings) for contender in contenders},
    }


def _round(
    contender: SwarmContender, number: int, scenario: Scenario, payload: Payload, folder: Path, tell: Tell
) -> SwarmRound:
    tell(f"{contender.name}: joining")
    try:
        with make_network(scenario) as network, contender.swarm(payload, network.hosts, folder) as swarm:
            time.sleep(SETTLE_S)
            found = _measure(contender.name, number, scenario, payload, network, swarm)
    except BenchError as error:
        tell(f"{contender.name}: failed: {error}")
        return SwarmRound.failed(contender.name, number, [None] * len(scenario.peers), [str(error)])
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    tell(f"{contender.name}: {found.summary()}")
    return found


def _measure(
    name: str, number: int, scenario: Scenario, payload: Payload, network: Network, swarm: Swarm
) -> SwarmRound:
    meter = Meter(swarm.pids())
    sent_before, sites_before = network.origin_sent_bytes(), network.site_received_bytes()
    clocked = _clock(scenario, payload.size_bytes, network.hosts[1:], swarm, meter)
    sent, sites = network.origin_sent_bytes(), network.site_received_bytes()
    cpu_s = meter.cpu_s()
    judged, size = scenario.judged, payload.size_bytes
    seconds = [
        round(clocked.seconds[peer], 3) if peer in clocked.seconds else None for peer in range(len(scenario.peers))
    ]
    if not all(peer in clocked.seconds and holds(swarm.received(peer), payload) for peer in judged):
        failures = [clocked.failures[peer] for peer in sorted(clocked.failures) if peer in judged]
        return SwarmRound.failed(name, number, seconds, failures)
    payload_sent = swarm.origin_sent_bytes()
    wasted = [fetched.wasted_bytes for fetched in clocked.fetched.values() if fetched.wasted_bytes is not None]
    return SwarmRound(
        contender=name,
        number=number,
        seconds=seconds,
        last_over_bound=round(max(clocked.seconds[peer] for peer in judged) / scenario.bound_s(size), 3),
        origin_copies=None if payload_sent is None else round(payload_sent / size, 3),
        origin_copies_interface=round((sent - sent_before) / size, 3),
        wasted_share=round(sum(wasted) / (size * len(wasted)), 4) if wasted else None,
        wan_copies=[round((after - before) / size, 3) for before, after in zip(sites_before, sites, strict=True)],
        cpu_s_per_gb=round(cpu_s / (size * len(judged) / 1e9), 2),
        peak_rss_bytes=meter.peak_rss_bytes,
        ok=True,
    )


def _clock(scenario: Scenario, size_bytes: int, peers: Sequence[Host], swarm: Swarm, meter: Meter) -> _Clocked:
    """Release the payload to all peers; return when every judged one has it, has failed, or the deadline has passed."""
    clocked = _Clocked()
    together = threading.Barrier(len(peers) + 1)
    ends: queue.SimpleQueue[tuple[int, float, Fetched | None, str]] = queue.SimpleQueue()

    def fetch(peer: int) -> None:
        try:
            peers[peer].enter()
            together.wait()
            fetched = swarm.fetch(peer)
            ends.put((peer, time.perf_counter(), fetched, ""))
        except Exception as error:  # A thread's failure is told by the round, whatever it is.
            ends.put((peer, time.perf_counter(), None, f"{type(error).__name__}: {error}"))

    for peer in range(len(peers)):
        threading.Thread(target=fetch, args=(peer,), daemon=True).start()
    together.wait()
    began = time.perf_counter()
    bound_s = scenario.bound_s(size_bytes)
    to_kill = list(scenario.killed)
    waiting = set(scenario.judged)
    sampled = began
    while waiting and time.perf_counter() - began < DEADLINE_FACTOR * bound_s + DEADLINE_EXTRA_S:
        if to_kill and time.perf_counter() - began >= bound_s / 2:
            swarm.kill(to_kill.pop())
            continue
        if time.perf_counter() - sampled >= SAMPLE_S:
            sampled = time.perf_counter()
            meter.sample()
        try:
            peer, ended, fetched, failure = ends.get(timeout=0.05 if to_kill else 1.0)
        except queue.Empty:
            continue
        waiting.discard(peer)
        if fetched is None:
            clocked.failures[peer] = failure
        else:
            clocked.seconds[peer], clocked.fetched[peer] = ended - began, fetched
    meter.sample()
    for peer in waiting:
        clocked.failures[peer] = "not complete at the deadline"
    return clocked
