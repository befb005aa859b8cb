"""What was forecast beside what came: a bounded book of both, and what they say of the next forecast. Pure.

A rollout counts for a forecast of the same dataset and version. Only where it came after the forecast, and about as
many peers fetched as were foreseen, are the two compared. How the lines were is not known to the swarm, so a ratio also
holds what was said wrongly of them.
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from typing import Annotated, Final, Literal

import msgspec

from swarm.sim.forecast import TOLD_FROM_S, Conditions

BOOK_MAX: Final = 256
BOOK_MAX_BYTES: Final = 1 << 20
# Of the latest so many is the ratio.
LATEST: Final = 20
# How far the number of peers may differ.
PEERS_WITHIN: Final = 0.25
# A forecast is judged by others at most so many times as long or as short: what takes a tenth of a second is mostly
# what every pull takes, and says nothing of what takes a minute.
ALIKE_TIMES: Final = 4.0
# A log entry has whole seconds.
CLOCK_STEP_S: Final = 1.0
TEXT: Final = msgspec.Meta(max_length=256)


class Actual(msgspec.Struct, frozen=True):
    """A real rollout: when it began (wall seconds), how many peers it reached, and when. ``source``: who tells it."""

    started: float
    peers: int
    p50_s: float | None
    p95_s: float | None
    last_s: float | None
    source: Annotated[str, TEXT] = "tracker"


class Kept(msgspec.Struct, frozen=True):
    """A forecast, made ``at`` (wall seconds), and the rollout that came, if one has."""

    at: float
    ref: Annotated[str, TEXT]
    dataset: Annotated[str, TEXT]
    version: Annotated[str, TEXT]
    conditions: Conditions
    fetch_bytes: int
    p50_s: float
    p95_s: float
    last_s: float
    actual: Actual | None = None

    @property
    def is_comparable(self) -> bool:
        """Whether it was made before the rollout, and about as many peers fetched as were foreseen.

        Of a tag that moved long ago the times are those of peers that came long after.
        """
        actual, peers = self.actual, self.conditions.peers
        if actual is None or actual.started < self.at - CLOCK_STEP_S:
            return False
        return abs(actual.peers - peers) <= PEERS_WITHIN * peers

    def ratio(self, name: Literal["p50", "p95", "last"]) -> float | None:
        """The actual time over the forecast one, each told from TOLD_FROM_S on: both in less is as foreseen."""
        came = getattr(self.actual, f"{name}_s", None)
        told = max(TOLD_FROM_S, getattr(self, f"{name}_s"))
        return round(max(TOLD_FROM_S, came) / told, 3) if came is not None else None


class Book(msgspec.Struct, frozen=True):
    """The file. Oldest first."""

    format: Literal[1] = 1
    kept: Annotated[tuple[Kept, ...], msgspec.Meta(max_length=BOOK_MAX)] = ()


def read_book(data: bytes | None) -> Book:
    """The book in these bytes; an empty one where they are none, too many or damaged: it is a convenience only."""
    if data is None or len(data) > BOOK_MAX_BYTES:
        return Book()
    try:
        return msgspec.json.decode(data, type=Book)
    except msgspec.DecodeError:
        return Book()


def with_forecast(book: Book, new: Kept) -> Book:
    """With a forecast more; one of the same under the same conditions is replaced, and the oldest goes."""
    others = [kept for kept in book.kept if (kept.version, kept.conditions) != (new.version, new.conditions)]
    return Book(kept=(*others, new)[-BOOK_MAX:])


def with_actual(book: Book, dataset: str, version: str, actual: Actual) -> Book:
    """With a rollout beside each forecast of its version that has none, or knows less of the same one.

    Of two words about as many peers the shorter is nearer to what was: a tracker that has not seen a move itself takes
    it to have begun earlier, in a whole second. Peers that came later say nothing of how it went.
    """

    def learnt(kept: Kept) -> Kept:
        if (kept.dataset, kept.version) != (dataset, version):
            return kept
        is_better = kept.actual is None or _is_nearer(actual, kept.actual)
        return msgspec.structs.replace(kept, actual=actual) if is_better else kept

    return Book(kept=tuple(learnt(kept) for kept in book.kept))


def _is_nearer(new: Actual, known: Actual) -> bool:
    if (new.started, new.peers) != (known.started, known.peers):
        return False
    return known.last_s is None or (new.last_s is not None and new.last_s <= known.last_s)


def asked_for(book: Book, most: int, *, again: bool) -> list[str]:
    """The datasets of the latest forecasts whose rollouts are not known, each once; with ``again`` also of those that
    are, as a tracker may know more of them now.
    """
    return list(dict.fromkeys(kept.dataset for kept in reversed(book.kept) if again or kept.actual is None))[:most]


def calibration(kept: Sequence[Kept], name: Literal["p50", "p95", "last"]) -> float | None:
    """How many times what was forecast real rollouts took, the median of the latest that can be compared."""
    ratios = [ratio for each in kept if each.is_comparable and (ratio := each.ratio(name)) is not None]
    return round(statistics.median(ratios[-LATEST:]), 3) if ratios else None


def alike(kept: Sequence[Kept], name: Literal["p50", "p95", "last"], told_s: float) -> list[Kept]:
    """Those by which a forecast of so many seconds can be judged: none where too little is told of one of them."""

    def is_near(one_s: float) -> bool:
        is_told = min(told_s, one_s) >= TOLD_FROM_S
        return is_told and told_s <= ALIKE_TIMES * one_s <= ALIKE_TIMES**2 * told_s

    return [each for each in kept if each.is_comparable and is_near(getattr(each, f"{name}_s"))]


def over_such_lines(kept: Sequence[Kept], conditions: Conditions) -> list[Kept]:
    """Those of about as many peers over the same lines; all, where there is none of these.

    Eight peers on one machine took 1.03 times what was forecast, sixteen, who wait for its processors, 1.2 (2026-11).
    """

    def is_such(one: Conditions) -> bool:
        lines = msgspec.structs.replace(one, peers=conditions.peers, start_s=conditions.start_s)
        return lines == conditions and abs(one.peers - conditions.peers) <= PEERS_WITHIN * conditions.peers

    return [each for each in kept if is_such(each.conditions)] or list(kept)


def encode_book(book: Book) -> bytes:
    return msgspec.json.encode(book)
