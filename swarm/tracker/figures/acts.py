"""What the log of a dataset says of one rollout: who moved the tag, paused, resumed, promoted it, or took it back.

It is all in signed entries, so each tracker tells the same, also one that has just begun. ``acts_of`` and ``events_of``
are pure, the others block on the store.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

from swarm import log
from swarm.figure_messages import EventKind, RolloutAct
from swarm.log import Entry
from swarm.tracker.catalogue import Catalogue
from swarm.tracker.figures.happened import TEXT_CHARS, Happened
from swarm.tracker.figures.peers import Tag
from swarm.tracker.figures.steering import goes_on, severity_of, turn_of, turn_words

# Of one rollout: what comes beyond is not read.
ACTS_MAX: Final = 64
# Of one tag, for a tracker that has just begun.
LATELY_MAX: Final = 8


def acts_of(tag: str, entries: Iterable[Entry]) -> tuple[RolloutAct, ...]:
    """The acts of the rollout that the first of these entries began; they are read up to its end."""
    found: list[RolloutAct] = []
    for entry, turn in _turns(tag, entries):
        if turn is not None:
            found.append(RolloutAct(float(entry.wall_time), entry.serial, *turn))
        if (len(found) > 1 and not goes_on(entry, tag)) or len(found) >= ACTS_MAX:
            break
    return tuple(found)


def events_of(tag: Tag, entries: Iterable[Entry]) -> list[Happened]:
    """The same as events of the swarm, of one rollout after another."""
    dataset, name = tag
    return [
        Happened(
            1000 * entry.wall_time,
            turn[0],
            turn_words(name, dataset, *turn)[:TEXT_CHARS],
            "",
            "",
            dataset,
            name,
            entry.serial,
            severity_of(turn[0]),
            "",
        )
        for entry, turn in _turns(name, entries)
        if turn is not None
    ]


def _turns(tag: str, entries: Iterable[Entry]) -> Iterator[tuple[Entry, tuple[EventKind, str] | None]]:
    """Those that move or steer a tag, with what is told of each."""
    before = None
    for entry in entries:
        move = next((each for each in entry.moves if each.tag == tag), None)
        if move is not None:
            yield entry, turn_of(entry, move, before)
            before = entry.rollout_of(tag)


def read(catalogue: Catalogue, tag: Tag, serial: int, max_age_s: float) -> tuple[RolloutAct, ...]:
    """Those of the rollout that entry ``serial`` began. NotFoundError, UnreachableError."""
    dataset, name = tag
    serials = catalogue.turns(dataset, name, max_age_s=max_age_s)
    if serial not in serials:
        return ()  # So much has come since that its log is all that is told of it.
    return acts_of(name, _entries(catalogue, dataset, [each for each in serials if each >= serial]))


def lately(catalogue: Catalogue, tag: Tag, max_age_s: float) -> list[Happened]:
    """The last acts on a tag, by its log. NotFoundError, UnreachableError."""
    serials = catalogue.turns(*tag, max_age_s=max_age_s)
    # One more, which says how things stood: what it did itself may be read wrongly without that before it.
    found = events_of(tag, _entries(catalogue, tag[0], serials[-LATELY_MAX - 1 :]))
    return [event for event in found if event.serial in serials[-LATELY_MAX:]]


def _entries(catalogue: Catalogue, dataset: str, serials: Iterable[int]) -> Iterator[Entry]:
    return (log.parse_entry(catalogue.entry(dataset, serial))[1] for serial in serials)
