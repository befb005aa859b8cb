"""How two versions differ, as ``aetherfs diff`` tells it. Pure."""

from __future__ import annotations

from collections.abc import Collection

import msgspec

from swarm.analysis.changes import Change, changes_of
from swarm.analysis.fetch import fetch_of, fetched_by_file
from swarm.analysis.report import Counts, counted
from swarm.manifest import Manifest

BLOCKS_TOLD = 10_000


class NewBlock(msgspec.Struct, frozen=True):
    """A part of a file that lies in a block to be fetched."""

    signature: str
    offset: int
    length: int


class FileBlocks(msgspec.Struct, frozen=True):
    path: str
    blocks: tuple[NewBlock, ...]


class Difference(msgspec.Struct, frozen=True):
    """``same``: content and modes that count are alike; times may differ. ``fetch_bytes`` are plain: a seed sends
    fewer; ``manifest_bytes`` come beside them.
    """

    old: str
    old_version: str
    new: str
    new_version: str
    same: bool
    bytes: int
    fetch_blocks: int
    fetch_bytes: int
    manifest_bytes: int
    counts: Counts
    changes: tuple[Change, ...]
    blocks: tuple[FileBlocks, ...] = ()


def difference_of(old: str, older: Manifest, new: str, newer: Manifest, *, with_blocks: bool = False) -> Difference:
    """The difference of two manifests; ``old`` and ``new`` are what they are called."""
    fetch = fetch_of(newer, older)
    changes = changes_of(newer, older, fetch.blocks, fetched_by_file(fetch))
    return Difference(
        old=old,
        old_version=older.version.hex(),
        new=new,
        new_version=newer.version.hex(),
        same=older.content == newer.content,
        bytes=newer.total_bytes,
        fetch_blocks=len(fetch.blocks),
        fetch_bytes=fetch.bytes,
        manifest_bytes=fetch.manifest_bytes() if older.version != newer.version else 0,
        counts=counted(changes),
        changes=tuple(changes),
        blocks=_blocks(newer, frozenset(fetch.blocks), changes) if with_blocks else (),
    )


def _blocks(newer: Manifest, wanted: Collection[int], changes: Collection[Change]) -> tuple[FileBlocks, ...]:
    found: list[FileBlocks] = []
    left = BLOCKS_TOLD
    for change in changes:
        index = newer.find(change.path) if change.fetch_bytes else None
        if index is None or not left:
            continue
        blocks: list[NewBlock] = []
        at = 0
        for block, _, length in newer.blocks_of(index):
            if block in wanted and left:
                blocks.append(NewBlock(newer.unique[block].signature.hex(), at, length))
                left -= 1
            at += length
        found.append(FileBlocks(change.path, tuple(blocks)))
    return tuple(found)
