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

from bench.contenders import Contender, Origin
from bench.payload import Payload, holds, make_payload
from bench.processes import BenchError, cpu_seconds, forget_peaks, peak_rss_bytes, run_measured
from bench.report import Missing, Report, Round, Tell, filesystem

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
            "contenders": {contender.name: contender.protection for contender in contenders},
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
            pull = consumer.pull(directory)
            os.sync()
            standing = [*origin.pids(), *consumer.pids()]
            forget_peaks(standing)
            before_s = cpu_seconds(standing)
            spent = run_measured(pull.command, errors, pull.environment, PULL_DEADLINE_S)
            cpu_s = spent.cpu_s + cpu_seconds(standing) - before_s
            peak_bytes = max([spent.peak_rss_bytes, *map(peak_rss_bytes, standing)])
            ok = spent.exit_code == 0 and holds(pull.received, payload)
    except BenchError as error:
        tell(f"{name}: failed: {error}")
        return Round(name, 0.0, 0.0, 0.0, 0, ok=False)
    finally:
        shutil.rmtree(directory, ignore_errors=True)
        shutil.rmtree(folder, ignore_errors=True)
    mb_per_s = payload.size_bytes / 1e6 / spent.seconds
    tell(f"{name}: {spent.seconds:.2f} s, {mb_per_s:.0f} MB/s" if ok else f"{name}: failed: {spent.stderr}")
    return Round(
        contender=name,
        mb_per_s=round(mb_per_s, 1) if ok else 0.0,
        seconds=round(spent.seconds, 3),
        cpu_s_per_gb=round(cpu_s / (payload.size_bytes / 1e9), 2),
        peak_rss_bytes=peak_bytes,
        ok=ok,
    )
