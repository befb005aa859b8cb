"""One pull over loopback, one to one: each contender's origin and a consumer that has joined, then the clock.

Contenders take turns within a round, in an order that rotates, since the machine's noise comes in waves. All origins
stand all the time, and idle while another is measured. What a round wrote is removed and synced before the next clock.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from bench.contenders import Consumer, Contender, Origin
from bench.payload import Payload, holds, make_payload
from bench.processes import BenchError, cpu_seconds, forget_peaks, peak_rss_bytes, run_measured
from bench.provenance import filesystem
from bench.report import Missing, Report, Round, Tell

PULL_DEADLINE_S: Final = 300.0


@dataclass(frozen=True, slots=True)
class PairSettings:
    """One run."""

    size_bytes: int
    rounds: int
    seed: int


def run_pair(contenders: Sequence[Contender], settings: PairSettings, folder: Path, tell: Tell) -> Report[Round]:
    """Measure every contender that can run, ``rounds`` times; the others are told as missing."""
    report: Report[Round] = Report(
        {
            "scenario": "pair",
            "size_bytes": settings.size_bytes,
            "rounds": settings.rounds,
            "seed": settings.seed,
            "contenders": {},
            "origin_copies_interface": "everything that went over loopback meanwhile, both ways",
            "filesystem": filesystem(folder),
            "load_before": round(os.getloadavg()[0], 2),
        }
    )
    tell(f"writing {settings.size_bytes} bytes")
    payload = make_payload(folder / "payload", settings.size_bytes, settings.seed)
    with ExitStack() as stack:
        origins: dict[str, Origin] = {}
        for contender in contenders:
            why = contender.missing()
            try:
                if why is None:
                    tell(f"{contender.name}: starting its origin")
                    origin = contender.origin(payload, folder / contender.name)
                    origins[contender.name] = stack.enter_context(origin)
                    report.settings["contenders"][contender.name] = dict(contender.settings)
            except BenchError as error:
                why = str(error)
            if why is not None:
                report.missing.append(Missing(contender.name, why))
        names = list(origins)
        for number in range(settings.rounds):
            for name in names[number % len(names) :] + names[: number % len(names)] if names else []:
                report.rounds.append(_round(name, origins[name], payload, folder / f"{name}-{number}", tell))
    return report


def _round(name: str, origin: Origin, payload: Payload, folder: Path, tell: Tell) -> Round:
    directory = folder.with_name(folder.name + "-pulled")
    errors = folder.with_name(folder.name + "-errors")
    try:
        with origin.consumer(folder) as consumer:
            entry = _measured(name, origin, consumer, payload, directory, errors)
    except BenchError as error:
        tell(f"{name}: failed: {error}")
        return Round.failed(name, str(error))
    finally:
        shutil.rmtree(directory, ignore_errors=True)
        shutil.rmtree(folder, ignore_errors=True)
    tell(f"{name}: {entry.seconds[0]:.2f} s, {entry.mb_per_s:.0f} MB/s")
    return entry


def _measured(name: str, origin: Origin, consumer: Consumer, payload: Payload, directory: Path, errors: Path) -> Round:
    """One pull. BenchError when it fails, or what arrives is not the payload."""
    pull = consumer.pull(directory)
    os.sync()
    standing = [*origin.pids(), *consumer.pids()]
    payload_before = origin.sent_bytes()
    forget_peaks(standing)
    before_s, sent_before = cpu_seconds(standing), loopback_bytes()
    spent = run_measured(pull.command, errors, pull.environment, PULL_DEADLINE_S)
    cpu_s, sent = spent.cpu_s + cpu_seconds(standing) - before_s, loopback_bytes() - sent_before
    peak_bytes = max([spent.peak_rss_bytes, *map(peak_rss_bytes, standing)])
    payload_sent = origin.sent_bytes()
    if spent.exit_code:
        raise BenchError(f"the pull ended with {spent.exit_code}: {spent.stderr}")
    if not holds(pull.received, payload):
        raise BenchError("what arrived is not the payload")
    size = payload.size_bytes
    return Round(
        contender=name,
        mb_per_s=round(size / 1e6 / spent.seconds, 1),
        seconds=[round(spent.seconds, 3)],
        last_over_bound=None,
        origin_copies=(
            None if payload_sent is None or payload_before is None else round((payload_sent - payload_before) / size, 3)
        ),
        origin_copies_interface=round(sent / size, 3),
        cpu_s_per_gb=round(cpu_s / (size / 1e9), 2),
        peak_rss_bytes=peak_bytes,
        ok=True,
    )


def loopback_bytes() -> int:
    """What has gone over loopback so far; what is sent there is received there, and counts once."""
    lines = (line.partition(":") for line in Path("/proc/net/dev").read_text().splitlines())
    return next(int(numbers.split()[0]) for device, _, numbers in lines if device.strip() == "lo")
