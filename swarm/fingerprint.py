"""What a pulled directory's files looked like when they surely held a version, so that the next pull need not hash
them.

By git's rule (``swarm.scan_cache``): a state counts when it is older than the moment up to which the content is known.
For what was placed, that is the moment before it was put in place, as until then nobody else could reach it; for what
was there already, the moment before it was looked at.
"""

from __future__ import annotations

import stat
from collections.abc import Collection, Mapping

from swarm.rooted import Tree
from swarm.scan_cache import FileState, Known, ScanCache
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
