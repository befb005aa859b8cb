"""What the log of a dataset says of one rollout: who moved the tag, paused, resumed, promoted it, or took it back.

It is all in signed entries, so each tracker tells the same, also one that has just begun. ``acts_of`` is pure, ``read``
blocks on the store.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from swarm import log
from swarm.figure_messages import RolloutAct
from swarm.log import Entry
from swarm.tracker.catalogue import Catalogue
from swarm.tracker.figures.peers import Tag
from swarm.tracker.figures.steering import goes_on, turn_of

# Of one rollout: what comes beyond is not read.
ACTS_MAX: Final = 64


def acts_of(tag: str, entries: Iterable[Entry]) -> tuple[RolloutAct, ...]:
    """The acts of the rollout that the first of these entries began; they are read up to its end."""
    found: list[RolloutAct] = []
    before = None
    for entry in entries:
        move = next((each for each in entry.moves if each.tag == tag), None)
        if move is None:
            continue
        if (turn := turn_of(entry, move, before)) is not None:
            found.append(RolloutAct(float(entry.wall_time), entry.serial, *turn))
        before = entry.rollout_of(tag)
        if (len(found) > 1 and not goes_on(entry, tag)) or len(found) >= ACTS_MAX:
            break
    return tuple(found)


def read(catalogue: Catalogue, tag: Tag, serial: int, max_age_s: float) -> tuple[RolloutAct, ...]:
    """Those of the rollout that entry ``serial`` began. NotFoundError, UnreachableError."""
    dataset, name = tag
    serials = catalogue.turns(dataset, name, max_age_s=max_age_s)
    if serial not in serials:
        return ()  # So much has come since that its log is all that is told of it.
    entries = (log.parse_entry(catalogue.entry(dataset, each))[1] for each in serials if each >= serial)
    return acts_of(name, entries)
