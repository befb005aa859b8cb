"""What trackers saw, in the object store: so that one which begins anew, also all alone, knows what happened lately.

    swarm/events/{hour:010}/{peer id}.{begun}     an ``EventPage`` of one process of a tracker, sealed by the CA

A process writes its page of the hour again a few seconds after it saw something, at most once a minute, and when it
ends: one that is killed loses a minute at most. Pages go after two days. A purge leaves them: they name a version as
the log of its dataset does, which keeps it. Calls block on the store.
"""

from __future__ import annotations

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Final

from swarm.authority import Authority
from swarm.errors import IntegrityError, NotFoundError
from swarm.limits import PAGE_MAX
from swarm.objects import ObjectStore
from swarm.tracker import sealed
from swarm.tracker.figures.happened import PAGE_EVENTS_MAX, PAGE_MAX_BYTES, EventPage, Happened
from swarm.trust import Trust

PREFIX: Final = "swarm/events/"
HOUR_MS: Final = 3_600_000
HOURS_KEPT: Final = 48
# Of those that are kept, so many of the last are read.
PAGES_READ_MAX: Final = 200
READ_THREADS: Final = 8


def key_of(hour: int, name: str) -> str:
    return f"{PREFIX}{hour:010}/{name}"


def write(
    objects: ObjectStore, authority: Authority, hour: int, name: str, events: list[Happened], wall_now: float
) -> None:
    """What one process saw in that hour, the last of it if it is much."""
    page = EventPage(1, tuple(events[-PAGE_EVENTS_MAX:]), int(wall_now))
    objects.put(key_of(hour, name), sealed.seal(authority.key, page))


def read(objects: ObjectStore, authority: Trust, wall_now: float) -> list[Happened]:
    """What trackers saw lately, in order of time. What is damaged is passed over."""
    keys = _keys(objects, wall_now)[-PAGES_READ_MAX:]
    with ThreadPoolExecutor(READ_THREADS) as pool:
        pages = pool.map(lambda key: _page(objects, authority, key), keys)
    return sorted((event for page in pages for event in page), key=lambda event: event.at_ms)


def forget(objects: ObjectStore, wall_now: float) -> None:
    """Remove what is older than pages are kept, some of it at a time."""
    kept_from = _first(wall_now)
    for key in objects.list(PREFIX, limit=PAGE_MAX):
        if key >= kept_from:
            return
        objects.delete(key)


def hour_of(wall_now: float) -> int:
    """The hour of a moment, by which pages are named."""
    return int(wall_now * 1000) // HOUR_MS


def _first(wall_now: float) -> str:
    """What sorts before all pages that are kept."""
    return f"{PREFIX}{hour_of(wall_now) - HOURS_KEPT:010}"


def _keys(objects: ObjectStore, wall_now: float) -> list[str]:
    found = keys = objects.list(PREFIX, after=_first(wall_now), limit=PAGE_MAX)
    while len(keys) == PAGE_MAX:
        keys = objects.list(PREFIX, after=keys[-1], limit=PAGE_MAX)
        found = found + keys
    return found


def _page(objects: ObjectStore, authority: Trust, key: str) -> Iterable[Happened]:
    try:
        data = objects.get(key)
        return sealed.unseal(data, EventPage, authority=authority, key=key, limit_bytes=PAGE_MAX_BYTES).events
    except (NotFoundError, IntegrityError):
        return ()
