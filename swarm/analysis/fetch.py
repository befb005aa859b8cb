"""What a pull of one version fetches where another one lies already: decided from the two manifests alone. Pure.

It is what ``swarm.staging`` and ``swarm.peer.pull`` do, told before: a file whose path and content stay is kept; a
block is not fetched when no other file needs it, when kept files hold it, or when the older version has it too; of the
manifest the root always moves, and each segment that the older one lacks.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from swarm.encoding import encode_block
from swarm.manifest import Manifest
from swarm.segments import FILE
from swarm.tree import occurrences

# What stands before a block's bytes when it travels as it lies in a file: the codec.
RAW_HEAD_BYTES = 1

EncodedSize = Callable[[bytes], int]


@dataclass(frozen=True, slots=True)
class Fetch:
    """``blocks``: indices of the new version's unique blocks; ``kept`` are indices of its files.

    ``segments`` are the manifest's parts that move, root first, as plain bytes.
    """

    manifest: Manifest
    blocks: tuple[int, ...]
    kept: frozenset[int]
    segments: tuple[bytes, ...]

    @property
    def bytes(self) -> int:
        """Plain bytes of blocks."""
        return sum(self.manifest.unique[index].size for index in self.blocks)

    def raw_bytes(self) -> int:
        """The same as they travel from a directory that holds the version."""
        return self.bytes + RAW_HEAD_BYTES * len(self.blocks)

    def manifest_bytes(self) -> int:
        """What moves of the manifest, as it travels from anybody."""
        return sum(len(encode_block(data)) for data in self.segments)

    def encoded_bytes(self, size_of: EncodedSize) -> int:
        """The same as they travel from a seed; ``size_of`` tells the encoded size of a block by its signature."""
        return sum(size_of(self.manifest.unique[index].signature) for index in self.blocks)


def fetch_of(new: Manifest, old: Manifest | None) -> Fetch:
    """What who holds ``old`` whole, in the directory that it pulls into, fetches of ``new``; all of it for None."""
    if old is None:
        return Fetch(new, tuple(range(len(new.unique))), frozenset(), _segments(new, ()))
    kept = kept_files(new, old)
    blocks = tuple(
        index
        for index, block in enumerate(new.unique)
        if block.signature not in old.index_of and not _is_at_hand(new, index, kept)
    )
    return Fetch(new, blocks, kept, _segments(new, old.segments))


def kept_files(new: Manifest, old: Manifest) -> frozenset[int]:
    """The indices of the new version's files that lie at their path already."""
    before = {entry.path: entry.blake3 for entry in old.files if entry.kind == FILE}
    return frozenset(
        index for index, entry in enumerate(new.files) if entry.kind == FILE and before.get(entry.path) == entry.blake3
    )


def _is_at_hand(new: Manifest, index: int, kept: frozenset[int]) -> bool:
    """Whether a kept file, or several in a row, hold a block: by content or at other cuts than the older version's."""
    return bool(kept) and any(all(place.file_index in kept for place in places) for places in occurrences(new, index))


def _segments(new: Manifest, known: Iterable[bytes]) -> tuple[bytes, ...]:
    held = frozenset(known)
    return (new.root_bytes, *(data for signature, data in new.segments.items() if signature not in held))


def fetched_by_file(fetch: Fetch) -> array[int]:
    """For each file of the version, how many bytes of it lie in blocks that are fetched."""
    found = array("q", bytes(8 * len(fetch.manifest.files)))
    for index in fetch.blocks:
        for place in fetch.manifest.places(index):
            found[place.file_index] += place.length
    return found
