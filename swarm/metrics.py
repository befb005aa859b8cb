"""A small registry of counters, gauges and histograms, in the text formats that Prometheus reads: its own, and
OpenMetrics 1.0 for who asks for that.

Names are ``aetherfs_*`` in base units. There are labels for kinds of things (a route, a result), never for a peer, a
dataset or a block: what a stranger can multiply must not become a time series. One process has one registry.
"""

from __future__ import annotations

import re
import threading
from bisect import bisect_left
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal, Protocol

from swarm.errors import LocalProtocolError

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"
OPEN_CONTENT_TYPE: Final = "application/openmetrics-text; version=1.0.0; charset=utf-8"
SERIES_MAX: Final = 256
# Seconds, for what answers within a moment or hangs.
DURATIONS_S: Final = (0.005, 0.025, 0.1, 0.5, 1.0, 2.5, 10.0)
UNITS: Final = ("seconds", "bytes", "ratio")
_NAME: Final = re.compile(r"aetherfs_[a-z0-9_]+")
_LABEL: Final = re.compile(r"[a-z_]+")

Kind = Literal["counter", "gauge", "histogram"]
Labels = tuple[tuple[str, str], ...]
# What follows the family's name, the labels and the value.
Sample = tuple[str, Labels, float]


class Family(Protocol):
    """What a name stands for."""

    def samples(self) -> Sequence[Sample]: ...


class Counter:
    """Only goes up."""

    def __init__(self) -> None:
        self._values: dict[Labels, float] = {}
        self._lock = threading.Lock()

    def add(self, amount: float = 1.0, **labels: str) -> None:
        """Count. LocalProtocolError for a negative amount and for label values without end."""
        if amount < 0:
            raise LocalProtocolError("a counter only goes up")
        key = tuple(sorted(labels.items()))
        with self._lock:
            _check_room(self._values, key)
            self._values[key] = self._values.get(key, 0.0) + amount

    def samples(self) -> Sequence[Sample]:
        with self._lock:
            values = sorted(self._values.items()) or [((), 0.0)]
        return [("_total", labels, value) for labels, value in values]


class Gauge:
    """What something is now: a value that is set, or a function that is asked at each reading. None: not known."""

    def __init__(self, read: Callable[[], float | None] | None) -> None:
        self._read = read
        self._value: float | None = 0.0

    def set(self, value: float | None) -> None:
        self._value = value

    def samples(self) -> Sequence[Sample]:
        value = self._read() if self._read is not None else self._value
        return [] if value is None else [("", (), value)]


class Read:
    """A family whose series are asked for at each reading: of what is counted elsewhere."""

    def __init__(self, ending: str, label: str, read: Callable[[], Mapping[str, float]]) -> None:
        self._ending, self._label, self._read = ending, label, read

    def samples(self) -> Sequence[Sample]:
        read = list(self._read().items())[:SERIES_MAX]
        return [(self._ending, ((self._label, key),), value) for key, value in read]


class Histogram:
    """How often something was how large. ``bounds`` ascend; what is larger than all of them counts too."""

    def __init__(self, bounds: Sequence[float]) -> None:
        self._bounds = tuple(bounds)
        self._counts: dict[Labels, list[int]] = {}
        self._sums: dict[Labels, float] = {}
        self._lock = threading.Lock()

    def observe(self, value: float, **labels: str) -> None:
        """Count one. LocalProtocolError for label values without end."""
        key = tuple(sorted(labels.items()))
        with self._lock:
            _check_room(self._counts, key)
            counts = self._counts.setdefault(key, [0] * (len(self._bounds) + 1))
            counts[bisect_left(self._bounds, value)] += 1
            self._sums[key] = self._sums.get(key, 0.0) + value

    def samples(self) -> Sequence[Sample]:
        with self._lock:
            series = sorted((key, tuple(counts), self._sums[key]) for key, counts in self._counts.items())
        return [sample for one in series for sample in self._one(*one)]

    def _one(self, labels: Labels, counts: Sequence[int], total: float) -> Iterator[Sample]:
        seen = 0
        for bound, count in zip((*self._bounds, None), counts, strict=True):
            seen += count
            yield "_bucket", (*labels, ("le", "+Inf" if bound is None else repr(float(bound)))), seen
        yield "_sum", labels, total
        yield "_count", labels, seen


@dataclass(frozen=True, slots=True)
class Named:
    """A family as it is exposed; its name without ``_total``."""

    name: str
    kind: Kind
    text: str
    family: Family

    def lines(self, *, is_open: bool) -> Iterator[str]:
        """Of one family. OpenMetrics names a counter's family without its ``_total``, and tells the unit."""
        told = self.name + ("_total" if self.kind == "counter" and not is_open else "")
        unit = self.name.rsplit("_", 1)[-1]
        yield f"# HELP {told} {_escape(self.text, quotes=is_open)}"
        yield f"# TYPE {told} {self.kind}"
        if is_open and unit in UNITS:
            yield f"# UNIT {told} {unit}"
        for ending, labels, value in self.family.samples():
            yield f"{self.name}{ending}{_braces(labels)} {_number(value)}"


class Metrics:
    """The registry of one process. ``exposition`` is what ``/metrics`` answers."""

    def __init__(self) -> None:
        self._families: dict[str, Named] = {}
        self._beside: list[Metrics] = []

    def include(self, other: Metrics) -> None:
        """Expose what another part of this process counts too; where both have a name, our own."""
        self._beside.append(other)

    def _all(self) -> dict[str, Named]:
        found = dict(self._families)
        for other in self._beside:
            found = other._families | found
        return found

    def __contains__(self, name: str) -> bool:
        return name in self._families

    def counter(self, name: str, text: str) -> Counter:
        """A counter; its name ends in ``_total``. The same name gives the same counter."""
        known = self._families.get(name)
        if known is not None and isinstance(known.family, Counter):
            return known.family
        counter = Counter()
        self._add(name, "counter", text, counter)
        return counter

    def gauge(self, name: str, text: str, read: Callable[[], float | None] | None = None) -> Gauge:
        """A gauge, either set or read."""
        gauge = Gauge(read)
        self._add(name, "gauge", text, gauge)
        return gauge

    def histogram(self, name: str, text: str, bounds: Sequence[float] = DURATIONS_S) -> Histogram:
        """A histogram. The same name gives the same histogram."""
        known = self._families.get(name)
        if known is not None and isinstance(known.family, Histogram):
            return known.family
        histogram = Histogram(bounds)
        self._add(name, "histogram", text, histogram)
        return histogram

    def sampled(self, name: str, text: str, label: str, read: Callable[[], Mapping[str, float]]) -> None:
        """A counter that is kept elsewhere: a value for each value of one label."""
        self._add(name, "counter", text, Read("_total", label, read))

    def counted(self, name: str, text: str, read: Callable[[], float]) -> None:
        """A counter that is kept elsewhere."""
        self._add(name, "counter", text, _One(read))

    def levels(self, name: str, text: str, label: str, read: Callable[[], Mapping[str, float]]) -> None:
        """A gauge with a value for each value of one label."""
        self._add(name, "gauge", text, Read("", label, read))

    def names(self) -> list[str]:
        """Every name that rules and dashboards may use, those of a histogram's parts among them."""
        parts = ("_bucket", "_sum", "_count")
        return sorted(
            name + part for name, one in self._all().items() for part in (parts if one.kind == "histogram" else ("",))
        )

    def exposition(self, *, is_open: bool = False) -> str:
        """All series, sorted by name: in OpenMetrics if that ``is_open``, else in Prometheus' own text format."""
        lines = [line for _, one in sorted(self._all().items()) for line in one.lines(is_open=is_open)]
        return "\n".join([*lines, *(["# EOF"] if is_open else [])]) + "\n"

    def answer(self, accept: str) -> tuple[bytes, str]:
        """The exposition and its media type, for what a scraper says that it accepts."""
        is_open = "application/openmetrics-text" in accept
        return self.exposition(is_open=is_open).encode(), OPEN_CONTENT_TYPE if is_open else CONTENT_TYPE

    def _add(self, name: str, kind: Kind, text: str, family: Family) -> None:
        if not _NAME.fullmatch(name):
            raise LocalProtocolError(f"{name} is not a metric's name")
        if (kind == "counter") != name.endswith("_total"):
            raise LocalProtocolError(f"{name}: a counter's name ends in _total, and no other's")
        if name in self._families:
            raise LocalProtocolError(f"the metric {name} exists already")
        self._families[name] = Named(name.removesuffix("_total"), kind, text, family)


class _One:
    """A counter without labels that is read."""

    def __init__(self, read: Callable[[], float]) -> None:
        self._read = read

    def samples(self) -> Sequence[Sample]:
        return [("_total", (), self._read())]


def _check_room(known: Mapping[Labels, object], key: Labels) -> None:
    if key not in known and len(known) >= SERIES_MAX:
        raise LocalProtocolError(f"a metric has more than {SERIES_MAX} series: labels are for kinds, not for things")


def _braces(labels: Labels) -> str:
    if not labels:
        return ""
    for name, _ in labels:
        if not _LABEL.fullmatch(name):
            raise LocalProtocolError(f"{name} is not a label's name")
    return "{" + ",".join(f'{name}="{_escape(value, quotes=True)}"' for name, value in labels) + "}"


def _escape(text: str, *, quotes: bool) -> str:
    escaped = text.replace("\\", "\\\\").replace("\n", "\\n")
    return escaped.replace('"', '\\"') if quotes else escaped


def _number(value: float) -> str:
    if value != value or value in (float("inf"), float("-inf")):
        return {"inf": "+Inf", "-inf": "-Inf"}.get(str(value), "NaN")
    return str(int(value)) if value == int(value) else repr(value)
