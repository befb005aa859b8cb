"""Which stage holds a publish up, in one line. Pure.

A stage's share is the time in which it was at work, of the whole publish. Compressing is told as a sum over threads,
so it is divided by those that a publish uses.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from swarm.cli.output import duration, size

# What a stage of a publish is compared with.
CEILING_OF: Final = {"read": "read, cut and hash", "compress": "compress", "send": "tls", "store": "disk write"}
WORDS: Final = {
    "read": "reading, cutting and hashing",
    "compress": "compressing",
    "send": "sending to the seed",
    "store": "writing into the object store",
    "commit": "the tracker's commit",
}
# A stage that reaches so much of what the machine can do is limited by the machine.
REACHED: Final = 0.5


@dataclass(frozen=True, slots=True)
class Reached:
    """A stage of the last publish."""

    stage: str
    busy_s: float
    bytes_per_s: float | None


def stages_of(publish: Mapping[str, Any], threads: int) -> list[Reached]:
    """The stages by the time in which they were at work, longest first."""
    found: list[Reached] = []
    stages = publish["stages"]
    for name, stage in stages.items():
        busy_s = stage["seconds"]
        if name == "read":
            busy_s = max(0.0, busy_s - publish["held_up_s"])
        elif name == "compress":
            busy_s /= threads
        elif name == "store" and "send" in stages:
            continue  # what is sent to a seed has its own line
        rate = stage["bytes"] / busy_s if stage["bytes"] and busy_s > 0 else None
        found.append(Reached(name, busy_s, rate))
    return sorted(found, key=lambda reached: -reached.busy_s)


def bottleneck(rates: Mapping[str, float], publish: Mapping[str, Any] | None, threads: int) -> str:
    """The line. ``rates`` are the ceilings, in bytes a second."""
    if publish is None:
        name = min(("read, cut and hash", "compress", "tls"), key=lambda name: rates[name])
        return (
            f"of what a publish needs, this machine is slowest at: {name}, {_rate(rates[name])}; "
            "no publish of this home has read 8 MB yet: publish, and ask again"
        )
    reached = stages_of(publish, threads)
    if not reached:
        return "the last publish told nothing of its stages"
    first = reached[0]
    what = f"the last publish took {duration(publish['seconds'])} for {size(publish['bytes'])}"
    share = 100 * first.busy_s / publish["seconds"] if publish["seconds"] else 0
    said = f"{what}, and was held up most by {WORDS.get(first.stage, first.stage)} ({share:.0f}% of the time)"
    return f"{said}: {_compared(first, rates)}"


def _compared(first: Reached, rates: Mapping[str, float]) -> str:
    ceiling = rates.get(CEILING_OF.get(first.stage, ""))
    if first.bytes_per_s is None or ceiling is None:
        return "round trips, whatever the size"
    beside = f"{_rate(first.bytes_per_s)}, where this machine does {_rate(ceiling)}"
    if first.bytes_per_s >= REACHED * ceiling:
        return f"{beside}: this machine is the limit"
    return f"{beside}: {_OTHERWISE[first.stage]}"


_OTHERWISE: Final = {
    "read": "the disk, or many small files, hold it up",
    "compress": "other work takes this machine's processors",
    "send": "the line or the seed holds it up",
    "store": "the object store holds it up",
}


def _rate(bytes_per_s: float) -> str:
    return f"{size(bytes_per_s)}/s"
