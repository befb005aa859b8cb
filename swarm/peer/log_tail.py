"""The end of a dataset's log, read backwards and page by page: as much of it as is wanted, however long it is."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Final

from swarm.log import Entry

PAGE: Final = 64
ENTRIES_MAX: Final = 2048

# The entries after a serial, at most so many.
Read = Callable[[int, int], Awaitable[Sequence[Entry]]]


async def log_tail(
    read: Read, last: int, since: float, is_enough: Callable[[Sequence[Entry]], bool], most: int | None = None
) -> tuple[list[Entry], bool]:
    """The entries up to serial ``last``, the oldest first, back to a page of which none is of ``since`` (wall seconds)
    or later, or until there are enough; and whether none of that time was left out, of which ``most`` are read,
    ENTRIES_MAX if not given.

    Publishers write the time of an entry, and one may be off: so a page is looked at, and not an entry alone.
    """
    found: list[Entry] = []
    most = ENTRIES_MAX if most is None else most
    while last > 0 and len(found) < most:
        first = max(1, last + 1 - min(PAGE, most - len(found)))
        page = list(await read(first - 1, last + 1 - first))
        found[:0] = page
        if not any(entry.wall_time >= since for entry in page):
            return found, True
        if is_enough(found):
            return found, first == 1
        last = first - 1
    return found, last == 0
