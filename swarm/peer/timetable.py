"""How many bytes a second, at which time of the week: one rate, and spans of days and hours that have another. Pure.

    10mbit                                        always
    10mbit, mon-fri 08:00-18:00 2mbit             less while people work
    none, daily 22:00-06:00 50mbit, sun 0         no limit but at night; nothing on Sundays

The first span that holds a moment counts. One that ends before it begins goes on past midnight, and belongs to the day
on which it begins. Times are those of the machine's own clock and zone, given as an argument.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import Final, NamedTuple

from swarm.errors import UsageError

DAYS: Final = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
DAY_MINUTES: Final = 24 * 60
UNITS: Final = {"kbit": 10**3, "mbit": 10**6, "gbit": 10**9}
# Below this a block takes minutes, and whoever waits for it gives it up.
LEAST_BITS_PER_S: Final = 64_000
SPANS_MAX: Final = 32
_SPAN: Final = re.compile(r"(daily|[a-z]{3}(?:-[a-z]{3})?)(?: (\d\d):(\d\d)-(\d\d):(\d\d))? (\S+)")
_RATE: Final = re.compile(r"(\d{1,6})(kbit|mbit|gbit)")


class Moment(NamedTuple):
    """A time of the week: 0 is Monday; minutes since midnight."""

    weekday: int
    minute: int


@dataclass(frozen=True, slots=True)
class Span:
    """Days and minutes in which a rate counts."""

    days: frozenset[int]
    begins: int
    ends: int
    bytes_per_s: float

    def holds(self, moment: Moment) -> bool:
        weekday, minute = moment
        if self.begins < self.ends:
            return weekday in self.days and self.begins <= minute < self.ends
        is_before_midnight = weekday in self.days and minute >= self.begins
        return is_before_midnight or ((weekday - 1) % 7 in self.days and minute < self.ends)


@dataclass(frozen=True, slots=True)
class Timetable:
    """``bytes_per_s`` counts outside all spans: infinite for no limit, 0 for nothing at all."""

    bytes_per_s: float = math.inf
    spans: tuple[Span, ...] = ()

    def rate_at(self, moment: Moment) -> float:
        """Bytes a second."""
        return next((span.bytes_per_s for span in self.spans if span.holds(moment)), self.bytes_per_s)

    @property
    def is_limit(self) -> bool:
        """Whether there is any limit, at any time."""
        return any(rate != math.inf for rate in (self.bytes_per_s, *(span.bytes_per_s for span in self.spans)))


def parse_timetable(text: str, name: str, *, may_stop: bool = True) -> Timetable:
    """The timetable that a setting says; empty is no limit. ``may_stop``: a rate of 0 makes sense. UsageError."""
    parts = [" ".join(part.lower().split()) for part in text.split(",") if part.strip()]
    if len(parts) > SPANS_MAX:
        raise UsageError(f"{name} has {len(parts)} spans: {SPANS_MAX} are the most")
    rate, spans = math.inf, list[Span]()
    for number, part in enumerate(parts):
        if " " in part:
            spans.append(_span(part, name, may_stop=may_stop))
        elif number == 0:
            rate = _rate(part, name, may_stop=may_stop)
        else:
            raise _malformed(part, name)
    return Timetable(rate, tuple(spans))


def _span(text: str, name: str, *, may_stop: bool) -> Span:
    matched = _SPAN.fullmatch(text)
    if matched is None:
        raise _malformed(text, name)
    begins, ends = 0, DAY_MINUTES
    if matched[2] is not None:
        begins = _minute(matched[2], matched[3], text, name)
        ends = _minute(matched[4], matched[5], text, name)
        if begins == ends:
            raise _malformed(text, name)
    return Span(_days(matched[1], text, name), begins, ends, _rate(matched[6], name, may_stop=may_stop))


def _days(text: str, part: str, name: str) -> frozenset[int]:
    if text == "daily":
        return frozenset(range(7))
    first, _, last = text.partition("-")
    if first not in DAYS or (last or first) not in DAYS:
        raise _malformed(part, name)
    begin, end = DAYS.index(first), DAYS.index(last or first)
    return frozenset((begin + day) % 7 for day in range((end - begin) % 7 + 1))


def _minute(hour: str, minute: str, part: str, name: str) -> int:
    found = int(hour) * 60 + int(minute)
    if int(minute) > 59 or found > DAY_MINUTES:
        raise _malformed(part, name)
    return found


def _rate(text: str, name: str, *, may_stop: bool) -> float:
    if text == "none":
        return math.inf
    if text == "0":
        if may_stop:
            return 0.0
        raise UsageError(f"{name} cannot be 0: a peer that is to fetch nothing is asked for nothing, or stopped")
    matched = _RATE.fullmatch(text)
    if matched is None:
        raise _malformed(text, name)
    bits = int(matched[1]) * UNITS[matched[2]]
    if bits < LEAST_BITS_PER_S:
        raise UsageError(f"{name} is {text}: {LEAST_BITS_PER_S // 1000}kbit is the least at which blocks get anywhere")
    return bits / 8


def _malformed(part: str, name: str) -> UsageError:
    return UsageError(
        f"{name} says {part[:80]!r}, which is no rate: write it as 10mbit, or '10mbit, mon-fri 08:00-18:00 2mbit'"
    )
