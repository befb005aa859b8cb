"""What a pulled directory's files looked like when they surely held a version, so that the next pull need not hash
them.

By git's rule (``swarm.scan_cache``): a state counts when it is older than the moment up to which the content is known.
For what was placed, that is the moment before it was put in place, as until then nobody else could reach it; for what
was there already, the moment before it was looked at.
"""

from __future__ import annotations

import stat
import time
from collections.abc import Collection, Mapping

from swarm.rooted import Tree
from swarm.scan_cache import TICK_NS, FileState, Known, ScanCache
from swarm.segments import FILE, FileEntry


def fingerprints(
    tree: Tree, files: Mapping[int, FileEntry], kept: Collection[int], looked_ns: int, placed_ns: int
) -> ScanCache:
    """The states of a directory's files after a pull, by path. ``kept`` are the entries that were there before it;
    the moments are wall nanoseconds.
    """
    cache = ScanCache()
    with tree.way() as way:
        for index, entry in files.items():
            if entry.kind != FILE:
                continue
            status = tree.status(entry.path, way)
            if status is not None and stat.S_ISREG(status.st_mode) and status.st_size == entry.size:
                known_ns = looked_ns if index in kept else placed_ns
                cache.files[entry.path] = Known(FileState.of(status), known_ns, entry.blake3, entry.sha256, ())
    return cache


def unchanged(tree: Tree, cache: ScanCache) -> dict[str, Known]:
    """The files of a directory that surely are as the cache says."""
    found: dict[str, Known] = {}
    with tree.way() as way:
        for path in cache.files:
            status = tree.status(path, way)
            known = cache.unchanged(path, FileState.of(status)) if status is not None else None
            if known is not None:
                found[path] = known
    return found


def after_links_went(tree: Tree, before: Mapping[str, Known]) -> ScanCache:
    """The states of files that were ``unchanged`` before other links to them were removed, which changes ctimes."""
    time.sleep(2 * TICK_NS / 1e9)  # So that the new times are no racy ones.
    cache, now_ns = ScanCache(), time.time_ns()
    with tree.way() as way:
        for path, known in before.items():
            status = tree.status(path, way)
            state = FileState.of(status) if status is not None else None
            if state is not None and state.content == known.state.content:
                cache.files[path] = Known(state, now_ns, known.blake3, known.sha256, ())
    return cache
