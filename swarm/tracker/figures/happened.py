"""One event, whichever tracker tells it; how trackers ask one another for events, and how they lie in the object store:
wire structures. Pure.

An event is known by what happened to whom: its kind, its subject and its ``occasion``, which is a fact that all
trackers know alike, such as the entry of a log, the process of a peer, or the last report before its death. So what
two trackers have seen for themselves is one event. Of what has no such fact (a stall, an alert) those close in time
are one.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Final, Literal, get_args

import msgspec

from swarm import canonical
from swarm.figure_words import EventKind, Severity
from swarm.limits import MIB, NAME_CHARS, TAG_CHARS
from swarm.log import WallTime
from swarm.signature import signature_of

EVENTS_PATH: Final = "/api/v1/happened"
TEXT_CHARS: Final = 400
SUBJECT_CHARS: Final = 160
OCCASION_CHARS: Final = 64
WORD_CHARS: Final = 16
# Of one answer, and how long that may be: an event has 1.2 KiB at most, mostly a fifth of that.
TOLD_MAX: Final = 500
ASK_MAX_BYTES: Final = 64
ANSWER_MAX_BYTES: Final = 2 * MIB
# Of one hour of one tracker.
PAGE_EVENTS_MAX: Final = 2000
PAGE_MAX_BYTES: Final = 6 * MIB
# Events of these kinds that are so close are one: trackers look at different moments. No tracker tells the same again
# as soon: a stall after ten minutes, an alert after its time to clear and to fire, another tracker after a minute.
WITHIN_MS: Final[Mapping[str, int]] = {"stalled": 300_000, "alert": 45_000, "cleared": 45_000, "tracker": 45_000}
KINDS: Final = frozenset(get_args(EventKind))
SEVERITIES: Final = frozenset(get_args(Severity))

Milliseconds = Annotated[int, msgspec.Meta(ge=0, le=(1 << 53))]
Number = Annotated[int, msgspec.Meta(ge=0, le=(1 << 53))]
Word = Annotated[str, msgspec.Meta(max_length=WORD_CHARS)]
Key = tuple[str, str, str, str, int, str]


class Happened(msgspec.Struct, array_like=True, frozen=True, forbid_unknown_fields=True):
    """An event. ``kind`` and ``severity`` may be those of a later program: such an event is passed over."""

    at_ms: Milliseconds
    kind: Word
    text: Annotated[str, msgspec.Meta(max_length=TEXT_CHARS)]
    peer: Annotated[str, msgspec.Meta(max_length=SUBJECT_CHARS)]
    site: Annotated[str, msgspec.Meta(max_length=NAME_CHARS)]
    dataset: Annotated[str, msgspec.Meta(max_length=SUBJECT_CHARS)]
    tag: Annotated[str, msgspec.Meta(max_length=TAG_CHARS)]
    serial: Annotated[int, msgspec.Meta(ge=0, le=(1 << 63) - 1)]
    severity: Word
    occasion: Annotated[str, msgspec.Meta(max_length=OCCASION_CHARS)]

    @property
    def key(self) -> Key:
        """The same for the same event at every tracker, and for what may be one with it."""
        return (self.kind, self.peer, self.dataset, self.tag, self.serial, self.occasion)

    @property
    def id(self) -> str:
        """The same for the same event at every tracker."""
        at_ms = self.at_ms if self.kind in WITHIN_MS else 0
        return signature_of(canonical.encode((self.key, at_ms))).hex()[:16]

    @property
    def is_known_kind(self) -> bool:
        return self.kind in KINDS and self.severity in SEVERITIES

    def is_one_with(self, other: Happened) -> bool:
        """Whether an event of the same key is the same."""
        within_ms = WITHIN_MS.get(self.kind)
        return within_ms is None or abs(self.at_ms - other.at_ms) <= within_ms

    def united(self, other: Happened) -> Happened:
        """Which of two accounts of one event all trackers keep: the earlier one."""
        return min(self, other, key=lambda one: (one.at_ms, one.text, one.site, one.severity))


class AskEvents(msgspec.Struct, array_like=True, frozen=True, forbid_unknown_fields=True):
    """Events after a number, as the tracker counts that ``begun_ms``; of one that began later, all."""

    format: Literal[1]
    begun_ms: Milliseconds
    after: Number


class ToldEvents(msgspec.Struct, array_like=True, frozen=True, forbid_unknown_fields=True):
    """The events that come next, whoever told them first. ``next``: the ``after`` of the next call; ``is_all``: there
    are no more now. ``since_ms``: since when this tracker lacks none.
    """

    format: Literal[1]
    begun_ms: Milliseconds
    since_ms: Milliseconds
    events: Annotated[tuple[Happened, ...], msgspec.Meta(max_length=TOLD_MAX)]
    next: Number
    is_all: bool


class EventPage(msgspec.Struct, array_like=True, frozen=True, forbid_unknown_fields=True):
    """What one tracker saw for itself within an hour, as it lies in the object store."""

    format: Literal[1]
    events: Annotated[tuple[Happened, ...], msgspec.Meta(max_length=PAGE_EVENTS_MAX)]
    wall_time: WallTime

    @property
    def sealed_at(self) -> int:
        return self.wall_time
