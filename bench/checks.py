"""What checks cost on the loopback pair: the program beside itself without them, as ratios of one run.

Four pairs of a standing origin and a standing consumer: the program, the program once more, without its checks of
rights and lines, and without the hashes of received blocks too. They pull by turns, in an order that rotates, each time
into a fresh directory that is removed off the clock; the first turn is not counted. The machine's noise comes in waves,
which neighbours in a round share: so a cost is the median over rounds of the ratio of two pulls of one round, told with
the interval in which that median lies in 95% of all cases (by ranks, which suppose nothing of how noise is spread).
What the program loses beside its twin is nothing but noise: a cost below that is not seen. CPU time of both ends, told
beside, is steadier.
"""

from __future__ import annotations

import math
import os
import shutil
import statistics
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from bench.contenders.ours import OurConsumer, OurOrigin, Ours, OursUnchecked, OursUnhashed
from bench.pair import PULL_DEADLINE_S
from bench.payload import Payload, holds, make_payload
from bench.processes import BenchError, cpu_seconds, run_measured
from bench.provenance import filesystem, provenance
from bench.report import Tell

CONFIDENCE: Final = 0.95
# Fewer say nothing: the interval is then all that there is.
ROUNDS_LEAST: Final = 6


class OursAgain(Ours):
    """The same program a second time."""

    name = "ours-again"


ARMS: Final[tuple[Ours, ...]] = (Ours(), OursAgain(), OursUnchecked(), OursUnhashed())
# Beside whom the program is put, and what that tells.
TOLD: Final = {
    OursAgain.name: "noise",
    OursUnchecked.name: "checks of grants, versions, connections, requests and addresses",
    OursUnhashed.name: "these and the hashes of received blocks",
}


@dataclass(frozen=True, slots=True)
class Pulled:
    """One pull: by the clock, and of both ends' processes."""

    seconds: float
    cpu_s: float


@dataclass(frozen=True, slots=True)
class Cost:
    """The part of its MB/s that the program loses by ``of``, in which interval that lies, and the part of its CPU
    time.
    """

    of: str
    speed: float
    speed_low: float
    speed_high: float
    cpu: float

    @property
    def line(self) -> str:
        between = f"{self.speed_low:.1%} to {self.speed_high:.1%}"
        return f"{self.of}: {self.speed:.1%} of MB/s ({between}), {self.cpu:.1%} of CPU"


def cost(of: str, with_it: Sequence[Pulled], without: Sequence[Pulled]) -> Cost:
    """What the difference costs; both have an entry of each round."""
    pairs = list(zip(with_it, without, strict=True))
    lost = sorted(1 - other.seconds / one.seconds for one, other in pairs)
    rank = interval_rank(len(lost))
    cpu = statistics.median(1 - other.cpu_s / one.cpu_s for one, other in pairs)
    return Cost(of, statistics.median(lost), lost[rank], lost[-1 - rank], cpu)


def interval_rank(count: int) -> int:
    """The rank, from either end of so many sorted values, between which the true median lies in 95% of all cases; 0
    also for so few that nothing else can be said.
    """
    rank, outside = 0, 2 / 2**count
    while outside <= 1 - CONFIDENCE:
        rank += 1
        outside += 2 * math.comb(count, rank) / 2**count
    return max(0, rank - 1)


def run_checks(size_bytes: int, pulling_s: float, seed: int, folder: Path, tell: Tell) -> dict[str, Any]:
    """The report: each pull, and what they say of each check. BenchError when one fails."""
    head = {**provenance(), "load_before": round(os.getloadavg()[0], 2)}
    payload = make_payload(folder / "payload", size_bytes, seed)
    with ExitStack() as stack:
        ends = {arm.name: _ends(arm, payload, folder, stack) for arm in ARMS}
        pulls = _rounds(ends, payload, folder, pulling_s, tell)
    ours = pulls[Ours.name]
    rates = {name: size_bytes / 1e6 / statistics.median(one.seconds for one in each) for name, each in pulls.items()}
    return {
        **head,
        "settings": {"size_bytes": size_bytes, "seed": seed, "filesystem": filesystem(folder), "rounds": len(ours)},
        "mb_per_s": {name: round(rate, 1) for name, rate in rates.items()},
        "costs": [asdict(cost(told, ours, pulls[name])) for name, told in TOLD.items()],
        "rounds": {name: [asdict(one) for one in each] for name, each in pulls.items()},
    }


Ends = tuple[OurOrigin, OurConsumer]


def _ends(arm: Ours, payload: Payload, folder: Path, stack: ExitStack) -> Ends:
    origin = stack.enter_context(arm.origin(payload, folder / arm.name))
    return origin, stack.enter_context(origin.consumer(folder / f"{arm.name}-consumer"))


def _rounds(
    ends: Mapping[str, Ends], payload: Payload, folder: Path, pulling_s: float, tell: Tell
) -> dict[str, list[Pulled]]:
    """As many rounds as that time has, and no fewer than say something."""
    names = list(ends)
    pulls: dict[str, list[Pulled]] = {name: [_pulled(*ends[name], payload, folder, checked=True)] for name in names}
    until, number = time.monotonic() + pulling_s, 0
    while number < ROUNDS_LEAST or time.monotonic() < until:
        turn = number % len(names)
        for name in names[turn:] + names[:turn]:
            pulls[name].append(_pulled(*ends[name], payload, folder))
        number += 1
        tell(f"round {number}: " + ", ".join(f"{name} {each[-1].seconds:.2f} s" for name, each in pulls.items()))
    return {name: each[1:] for name, each in pulls.items()}


def _pulled(
    origin: OurOrigin, consumer: OurConsumer, payload: Payload, folder: Path, *, checked: bool = False
) -> Pulled:
    """One pull into a directory that is gone afterwards; if ``checked``, compared with the payload by its hash."""
    directory = folder / "pulled"
    pull = consumer.pull(directory)
    standing = [*origin.pids(), *consumer.pids()]
    before_s = cpu_seconds(standing)
    spent = run_measured(pull.command, folder / "errors", pull.environment, PULL_DEADLINE_S)
    cpu_s = spent.cpu_s + cpu_seconds(standing) - before_s
    if spent.exit_code:
        raise BenchError(f"the pull ended with {spent.exit_code}: {spent.stderr}")
    if pull.received.stat().st_size != payload.size_bytes or (checked and not holds(pull.received, payload)):
        raise BenchError("what arrived is not the payload")
    shutil.rmtree(directory)
    return Pulled(spent.seconds, cpu_s)
