"""A publish that changes nothing: every tag points to the version already. No entry is written for it.

One sealed snapshot tells where all tags point at one moment, so the answer is as true as a read at that moment. A
message that the entry does not bear is something new, and is worth an entry.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from swarm.answers import Found
from swarm.client import TrackerClient
from swarm.errors import NotAllowedError, NotFoundError
from swarm.names import Reference

# A tracker whose object store is away tells what it knew: others may have moved the tags since. Ages are rounded.
FRESH_S: Final = 1


async def standing(
    tracker: TrackerClient, dataset: str, tags: Sequence[str], version: bytes, message: str, if_serial: int | None
) -> Found | None:
    """The latest entry that moved one of the tags, if all point to the version and a commit would not be refused."""
    found = await _looked_up(tracker, dataset, tags[0])
    if found is None or found.age_s > FRESH_S:
        return None
    states = [state for state in map(found.snapshot.find, tags) if state is not None and state.version == version]
    if len(states) != len(tags):
        return None
    last = max(states, key=lambda state: state.serial)
    if last.serial != found.serial:
        others = [tag for tag in tags if tag != last.tag]
        return await standing(tracker, dataset, [last.tag, *others], version, message, if_serial)
    if if_serial is not None and not found.serial <= if_serial <= found.snapshot.serial:
        return None
    return found if message in ("", found.entry.message) else None


async def _looked_up(tracker: TrackerClient, dataset: str, tag: str) -> Found | None:
    scope, _, name = dataset.partition("/")
    try:
        return await tracker.lookup(Reference(scope, name, tag))
    except (NotFoundError, NotAllowedError):
        return None
