"""A small registry of counters and gauges, in the text format that Prometheus reads.

Names are ``aetherfs_*`` in base units. There are labels for kinds of things (a route, a result), never for a peer, a
dataset or a block: what a stranger can multiply must not become a time series.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Mapping
from typing import Final, Literal

from swarm.errors import LocalProtocolError

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"
SERIES_MAX: Final = 256
_NAME: Final = re.compile(r"aetherfs_[a-z0-9_]+")
_LABEL: Final = re.compile(r"[a-z_]+")

Labels = tuple[tuple[str, str], ...]


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
            if key not in self._values and len(self._values) >= SERIES_MAX:
                raise LocalProtocolError(
                    f"a counter has more than {SERIES_MAX} series: labels are for kinds, not for things"
                )
            self._values[key] = self._values.get(key, 0.0) + amount

    def samples(self) -> list[tuple[Labels, float]]:
        with self._lock:
            return sorted(self._values.items()) or [((), 0.0)]


class Gauge:
    """What something is now: a value that is set, or a function that is asked at each reading."""

    def __init__(self, read: Callable[[], float] | None) -> None:
        self._read = read
        self._value = 0.0

    def set(self, value: float) -> None:
        self._value = value

    def samples(self) -> list[tuple[Labels, float]]:
        return [((), self._read() if self._read is not None else self._value)]


class Sampled:
    """A family whose series are asked for at each reading: of what is counted elsewhere."""

    def __init__(self, read: Callable[[], list[tuple[Labels, float]]]) -> None:
        self.samples = read


class Metrics:
    """The registry of one process. ``exposition`` is what ``/metrics`` answers."""

    def __init__(self) -> None:
        self._families: dict[str, tuple[Literal["counter", "gauge"], str, Counter | Gauge | Sampled]] = {}

    def counter(self, name: str, text: str) -> Counter:
        """A counter; its name ends in ``_total``. The same name gives the same counter."""
        if not name.endswith("_total"):
            raise LocalProtocolError(f"the counter {name} does not end in _total")
        known = self._families.get(name)
        if known is not None and isinstance(known[2], Counter):
            return known[2]
        counter = Counter()
        self._add(name, "counter", text, counter)
        return counter

    def gauge(self, name: str, text: str, read: Callable[[], float] | None = None) -> Gauge:
        """A gauge, either set or read."""
        gauge = Gauge(read)
        self._add(name, "gauge", text, gauge)
        return gauge

    def sampled(self, name: str, text: str, label: str, read: Callable[[], Mapping[str, float]]) -> None:
        """A counter that is kept elsewhere: a value for each value of one label."""
        self._add(name, "counter", text, Sampled(lambda: [(((label, key),), value) for key, value in read().items()]))

    def exposition(self) -> str:
        """All series, sorted by name, in Prometheus text format."""
        lines: list[str] = []
        for name, (kind, text, family) in sorted(self._families.items()):
            lines += [f"# HELP {name} {_escape(text)}", f"# TYPE {name} {kind}"]
            lines += [f"{name}{_braces(labels)} {_number(value)}" for labels, value in family.samples()]
        return "\n".join(lines) + "\n"

    def _add(self, name: str, kind: Literal["counter", "gauge"], text: str, family: Counter | Gauge | Sampled) -> None:
        if not _NAME.fullmatch(name):
            raise LocalProtocolError(f"{name} is not a metric's name")
        if name in self._families:
            raise LocalProtocolError(f"the metric {name} exists already")
        self._families[name] = (kind, text, family)


def _braces(labels: Labels) -> str:
    if not labels:
        return ""
    for name, _ in labels:
        if not _LABEL.fullmatch(name):
            raise LocalProtocolError(f"{name} is not a label's name")
    return "{" + ",".join(f'{name}="{_escape(value)}"' for name, value in labels) + "}"


def _escape(text: str) -> str:
    return text.replace("\\", "\\\\").replace("\n", "\\n").replace('"', '\\"')


def _number(value: float) -> str:
    return str(int(value)) if value == int(value) else repr(value)
