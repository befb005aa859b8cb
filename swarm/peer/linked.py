"""The files of a version for clients that know no links: what a link leads to shows where the link is.

A link to a directory shows the files of that directory, unless it leads up, above itself; and behind it no other such
link is followed. So a walk ends, whatever leads where.
"""

from __future__ import annotations

import heapq
from collections.abc import AsyncIterator

from swarm.errors import NotFoundError
from swarm.peer.snapshot import File, Item, Snapshot
from swarm.segments import FILE, SYMLINK


async def led_to(snapshot: Snapshot, link: str) -> File | str | None:
    """What the link at a path leads to: a file, or the path of a directory; None for nothing that is shown."""
    try:
        file = await snapshot.look(link)
        if file is not None and file.entry.kind == FILE:
            return file
        target = await snapshot.follow(link)
    except NotFoundError:
        return None
    return None if not target or f"{link}/".startswith(f"{target}/") else target


async def shown_as(snapshot: Snapshot, directory: str, item: Item, *, by_link: bool) -> File | str | None:
    """As what an item of a directory shows: a file, or a directory, whose path is told; None if it does not.
    ``by_link``: the way to it came by a link to a directory.
    """
    path = f"{directory}/{item.name}" if directory else item.name
    if item.entry is None or item.is_directory:
        return path
    if item.entry.kind != SYMLINK:
        return File(item.entry, 0)
    led = await led_to(snapshot, path)
    return None if by_link and isinstance(led, str) else led


async def files_of(snapshot: Snapshot, directory: str = "", after: str = "") -> AsyncIterator[tuple[str, File]]:
    """Every file below a directory with the path that it shows at, in the order of paths, from behind ``after``."""
    target = await snapshot.follow(directory)
    if target != directory:
        async for shown in _behind(snapshot, directory, target, after):
            yield shown
        return
    # A link's files come where its path with a slash would stand: entries as "a-b" lie between "a" and "a/".
    ahead = [(f"{link}/", target) for link, target in await _passed(snapshot, directory, after)]
    heapq.heapify(ahead)
    async for found in snapshot.walk(directory, after=after):
        path = found.entry.path
        while ahead and ahead[0][0] < path:
            async for shown in _next_of(snapshot, ahead, after):
                yield shown
        led = await led_to(snapshot, path) if found.entry.kind == SYMLINK else found
        if isinstance(led, str):
            heapq.heappush(ahead, (f"{path}/", led))
        elif led is not None and led.entry.kind == FILE:
            yield path, led
    while ahead:
        async for shown in _next_of(snapshot, ahead, after):
            yield shown


async def _next_of(snapshot: Snapshot, ahead: list[tuple[str, str]], after: str) -> AsyncIterator[tuple[str, File]]:
    link, target = heapq.heappop(ahead)
    async for shown in _behind(snapshot, link[:-1], target, after):
        yield shown


async def _behind(snapshot: Snapshot, link: str, target: str, after: str) -> AsyncIterator[tuple[str, File]]:
    """The files of a directory, as below a link to it."""
    prefix = f"{target}/" if target else ""
    begin = prefix + after[len(link) + 1 :] if after.startswith(f"{link}/") else ""
    async for found in snapshot.walk(target, after=begin):
        led = await led_to(snapshot, found.entry.path) if found.entry.kind == SYMLINK else found
        if isinstance(led, File) and led.entry.kind == FILE:
            yield f"{link}/{found.entry.path[len(prefix) :]}", led


async def _passed(snapshot: Snapshot, directory: str, after: str) -> list[tuple[str, str]]:
    """The links before ``after``, with their targets, of which files may come behind it: each is a beginning of it."""
    found = []
    for at in range(len(directory) + 1, len(after) + 1):
        if after[at : at + 1] <= "/":
            entry = await snapshot.find(after[:at])
            led = await led_to(snapshot, after[:at]) if entry is not None and entry.entry.kind == SYMLINK else None
            if isinstance(led, str):
                found.append((after[:at], led))
    return found
