"""Many small files, from "publish starts" to "the last file is at the consumer, complete and verified".

Every round has a fresh tree and fresh processes, which have joined before the clock. Publish and pull are two commands,
one right after the other; contenders take turns within a round, in an order that rotates. Then each file is hashed.
"""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from bench.contenders import SmallContender, SmallPair, Step
from bench.processes import BenchError, Spent, cpu_seconds, forget_peaks, peak_rss_bytes, run_measured
from bench.provenance import filesystem
from bench.report import Missing, Report, SmallRound, Tell
from bench.small_tree import holds_tree, make_tree

STEP_DEADLINE_S: Final = 120.0


@dataclass(frozen=True, slots=True)
class SmallSettings:
    """One run."""

    files: int
    size_bytes: int
    rounds: int
    seed: int


def run_small(
    contenders: Sequence[SmallContender], settings: SmallSettings, folder: Path, tell: Tell
) -> Report[SmallRound]:
    """Measure every contender that can run, ``rounds`` times; the others are told as missing."""
    report: Report[SmallRound] = Report(
        {
            "scenario": "small",
            "files": settings.files,
            "size_bytes": settings.size_bytes,
            "rounds": settings.rounds,
            "seed": settings.seed,
            "contenders": {},
            "filesystem": filesystem(folder),
            "load_before": round(os.getloadavg()[0], 2),
        }
    )
    able: list[SmallContender] = []
    for contender in contenders:
        if why := contender.missing():
            report.missing.append(Missing(contender.name, why))
        else:
            report.settings["contenders"][contender.name] = dict(contender.settings)
            able.append(contender)
    for number in range(settings.rounds):
        turn = number % len(able) if able else 0
        for contender in able[turn:] + able[:turn]:
            entry = _round(contender, settings, number, folder / f"{contender.name}-{number}", tell)
            report.rounds.append(entry)
    return report


def _round(contender: SmallContender, settings: SmallSettings, number: int, folder: Path, tell: Tell) -> SmallRound:
    try:
        with contender.pair(folder) as pair:
            seed = settings.seed * 1000 + number
            hashes = make_tree(pair.source, settings.files, settings.size_bytes, seed)
            entry = _measured(contender.name, pair, settings.files * settings.size_bytes)
            if not holds_tree(pair.received, hashes, pair.marks):
                raise BenchError("what arrived is not what was published")
    except BenchError as error:
        tell(f"{contender.name}: failed: {error}")
        return SmallRound.failed(contender.name, str(error))
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    tell(f"{contender.name}: publish {entry.publish_s:.2f} s, pull {entry.pull_s:.2f} s, in all {entry.seconds:.2f} s")
    return entry


def _measured(name: str, pair: SmallPair, total_bytes: int) -> SmallRound:
    """Publish and pull. BenchError when one of them fails."""
    publish, pull = pair.publish(), pair.pull()
    errors = pair.source.with_name("errors")
    os.sync()
    standing = pair.pids()
    forget_peaks(standing)
    before_s = cpu_seconds(standing)
    began = time.perf_counter()
    published = _done("publish", publish, errors)
    pulled = _done("pull", pull, errors)
    seconds = time.perf_counter() - began
    cpu_s = published.cpu_s + pulled.cpu_s + cpu_seconds(standing) - before_s
    return SmallRound(
        contender=name,
        publish_s=round(published.seconds, 3),
        pull_s=round(pulled.seconds, 3),
        seconds=round(seconds, 3),
        cpu_s_per_gb=round(cpu_s / (total_bytes / 1e9), 2),
        peak_rss_bytes=max([published.peak_rss_bytes, pulled.peak_rss_bytes, *map(peak_rss_bytes, standing)]),
        ok=True,
    )


def _done(what: str, step: Step, errors: Path) -> Spent:
    spent = run_measured(step.command, errors, step.environment, STEP_DEADLINE_S)
    if spent.exit_code:
        raise BenchError(f"{what} ended with {spent.exit_code}: {spent.stderr}")
    return spent
