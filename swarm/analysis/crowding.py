"""Small files that change among others that do not: all of them lie in blocks together, and a block is fetched whole.

Files below ``LARGE_FILE_BYTES`` are cut together in the order of their paths, some hundreds of them to a block. Where
those that change lie in a directory of their own, they share blocks with one another. That is tried out: links to the
files of all blocks that are fetched, laid so, are cut by the scan that publishing uses. Blocking.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import Final

from swarm.analysis.changes import Change
from swarm.analysis.curing import below, scratch
from swarm.analysis.fetch import Fetch, fetch_of
from swarm.analysis.findings import Cost, Finding, Measured, finding_of
from swarm.analysis.sizes import EncodedSizes
from swarm.errors import AetherError, IncompleteError
from swarm.limits import LARGE_FILE_BYTES
from swarm.scan import scan
from swarm.segments import FILE
from swarm.units import counted

KIND: Final = "small-files-among-others"
TITLE: Final = "small files that change among others that do not"
CHANGE: Final = (
    "put those that change into a directory of their own, or those of one update beside each other: files below 64 KiB "
    "lie in blocks with their neighbours by path, and a block is fetched whole"
)
# Links to be made and files to be read again.
FILES_MAX: Final = 50_000


def crowded(
    fetch: Fetch,
    changes: Sequence[Change],
    root: Path,
    sizes: EncodedSizes,
    *,
    budget_bytes: int,
    fetch_bytes: int,
    basis: str,
    should_stop: Callable[[], bool] = lambda: False,
) -> tuple[Finding | None, list[str]]:
    """What laying them apart saves, and a note where that was not measured. IncompleteError when told to stop."""
    new = fetch.manifest
    blocks = [index for index in fetch.blocks if _is_small(fetch, next(new.places(index)).file_index)]
    files = {place.file_index for index in blocks for place in new.places(index)}
    of_change = {change.path for change in changes if change.kind == "file" and change.what in ("changed", "added")}
    apart = {index for index in files if new.files[index].path in of_change}
    if not apart or apart == files:
        return None, []
    total = sum(new.files[index].size for index in files)
    if len(files) > FILES_MAX or total > budget_bytes:
        return None, [f"{TITLE}: not measured, as they are {counted(len(files), 'file')} with the others: see --budget"]
    plain = sum(new.unique[index].size for index in blocks)
    encoded = sum(sizes.of(new.unique[index].signature) for index in blocks)
    try:
        wire_bytes, encoded_bytes = _laid_apart(fetch, files, apart, root, should_stop)
    except IncompleteError:
        raise
    except (AetherError, OSError) as error:
        return None, [f"{TITLE}: not measured: {error}"]
    paths = tuple(sorted(new.files[index].path for index in apart))
    of_these = sum(new.files[index].size for index in apart)
    return (
        finding_of(
            KIND,
            TITLE,
            CHANGE,
            paths,
            Cost(plain + len(blocks), encoded, plain),
            # The first time the blocks that they leave are new too.
            Cost(wire_bytes, encoded_bytes, plain),
            Measured(len(apart), len(apart), of_these, of_these),
            fetch_bytes=fetch_bytes,
            basis=basis,
        ),
        [],
    )


def _is_small(fetch: Fetch, index: int) -> bool:
    entry = fetch.manifest.files[index]
    return entry.kind == FILE and entry.size < LARGE_FILE_BYTES


def _laid_apart(
    fetch: Fetch, files: Collection[int], apart: Collection[int], root: Path, should_stop: Callable[[], bool]
) -> tuple[int, int]:
    """What an update moves of blocks, as directories and as seeds give them. Who updates has the others already."""
    with scratch() as folder, EncodedSizes() as sizes:
        for index in sorted(files):
            if should_stop():
                raise IncompleteError("the analysis was stopped: repeat the command to go on")
            path = fetch.manifest.files[index].path
            source = os.path.abspath(root / path)
            if index in apart:
                os.symlink(source, below(folder / "new" / "apart", path))
                continue
            for version in ("old", "new"):
                os.symlink(source, below(folder / version / "others", path))
        before = scan(folder / "old", links="follow").manifest
        after = scan(folder / "new", links="follow", made=sizes.take, cut=sizes.take).manifest
        update = fetch_of(after, before)
        return update.raw_bytes(), update.encoded_bytes(sizes.of)
