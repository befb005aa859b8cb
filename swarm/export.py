"""One version of a dataset as one file, for sites without a network. Written and read from front to back.

    "AetherFS export\n"
    a frame: canonical head [format, dataset, version, since, entry]
    frames: the manifest's root, its segments, its unique blocks, in this order, each as an encoded block
    and nothing after that

A frame is four bytes (big-endian) of length and so many bytes. The order is that of the manifest, so nothing but the
head names anything. Of a version ``since`` that the receiver has, blocks are left out: their frames are empty. The
entry is the signed one of the log that shows that the version belongs to the dataset; whose seal it bears is for the
reader to judge. What does not fit is refused with RemoteProtocolError; no more than one frame is held at a time.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Annotated, Final, Literal

import msgspec

from swarm import canonical
from swarm.encoding import open_block
from swarm.errors import RemoteProtocolError
from swarm.limits import ENCODED_MAX_BYTES, LOG_ENTRY_MAX_BYTES, ROOT_MAX_BYTES
from swarm.log import DatasetName, Entry, parse_entry
from swarm.manifest import Manifest, assemble, parse_root
from swarm.records import Key
from swarm.segments import BlockEntry

MAGIC: Final = b"AetherFS export\n"
LENGTH_BYTES: Final = 4
HEAD_MAX_BYTES: Final = LOG_ENTRY_MAX_BYTES + 1024

Read = Callable[[int], bytes]


class Head(msgspec.Struct, array_like=True, frozen=True, forbid_unknown_fields=True):
    """What the file holds. ``since`` is a version of the dataset whose blocks are left out, empty for none."""

    format: Literal[1]
    dataset: DatasetName
    version: Key
    since: Annotated[bytes, msgspec.Meta(max_length=32)]
    entry: Annotated[bytes, msgspec.Meta(max_length=LOG_ENTRY_MAX_BYTES)]


@dataclass(frozen=True, slots=True)
class Export:
    """A file that was read and verified. Where each unique block's encoded bytes begin, and how long they are: 0 for
    what was left out.
    """

    head: Head
    entry: Entry
    manifest: Manifest
    offsets: array[int]
    lengths: array[int]

    @property
    def left_out(self) -> Iterator[bytes]:
        """The signatures of blocks that are not in the file."""
        unique = self.manifest.unique
        return (unique[index].signature for index, length in enumerate(self.lengths) if not length)


def opening(head: Head) -> bytes:
    """What the file begins with."""
    return MAGIC + frame(canonical.encode(head))


def frame(data: bytes | bytearray | memoryview) -> bytes:
    """A frame of up to ENCODED_MAX_BYTES."""
    return b"".join((len(data).to_bytes(LENGTH_BYTES), data))


def order(manifest: Manifest) -> list[bytes]:
    """The signatures of a file's frames after the head."""
    segments = dict.fromkeys(ref.signature for ref in manifest.root.segment_refs)
    return [manifest.version, *segments, *(block.signature for block in manifest.unique)]


class _Frames:
    """Frames of a file, and how far it was read."""

    def __init__(self, read: Read) -> None:
        self._read = read
        self.offset = 0

    def take(self, size: int) -> bytes:
        """So many bytes, or RemoteProtocolError."""
        data = self._read(size)
        self.offset += len(data)
        if len(data) != size:
            raise RemoteProtocolError("the file is cut short: copy it again, whole")
        return data

    def next(self, limit_bytes: int) -> bytes:
        length = int.from_bytes(self.take(LENGTH_BYTES))
        if length > limit_bytes:
            raise RemoteProtocolError(f"a frame of {length} bytes stands where {limit_bytes} are the most")
        return self.take(length)

    def end(self) -> None:
        if self._read(1):
            raise RemoteProtocolError("something follows the end of the export")


def read_export(read: Read) -> Export:
    """Read a file and verify everything but seals. ``read(n)`` gives n bytes, fewer only at the end.

    RemoteProtocolError for what is no export, is cut short, or holds a block that is not the one that is due.
    """
    frames = _Frames(read)
    head, entry = _head(frames)
    manifest = _manifest(frames, head.version)
    offsets, lengths = array("Q"), array("L")
    for block in manifest.unique:
        encoded = frames.next(ENCODED_MAX_BYTES)
        if encoded:
            _check_block(encoded, block)
        elif not head.since:
            raise RemoteProtocolError(f"block {block.signature.hex()[:16]} is left out of an export of everything")
        offsets.append(frames.offset - len(encoded))
        lengths.append(len(encoded))
    frames.end()
    return Export(head, entry, manifest, offsets, lengths)


def _check_block(encoded: bytes, block: BlockEntry) -> None:
    try:
        open_block(encoded, block.signature, block.size)
    except RemoteProtocolError as error:
        raise RemoteProtocolError(f"the file is damaged, copy it again: {error}") from error


def read_tables(read: Read) -> tuple[Head, Manifest]:
    """The head and the manifest of an export that ends there: what a version is, without a block of it.

    RemoteProtocolError as ``read_export``.
    """
    frames = _Frames(read)
    head, _ = _head(frames)
    manifest = _manifest(frames, head.version)
    frames.end()
    return head, manifest


def _head(frames: _Frames) -> tuple[Head, Entry]:
    if frames.take(len(MAGIC)) != MAGIC:
        raise RemoteProtocolError("this is not a file that `aetherfs export` wrote")
    head = canonical.decode(frames.next(HEAD_MAX_BYTES), Head, limit_bytes=HEAD_MAX_BYTES, what="an export's head")
    return head, _entry_of(head)


def _entry_of(head: Head) -> Entry:
    _, entry = parse_entry(head.entry)
    if entry.dataset != head.dataset or head.version not in entry.shown:
        raise RemoteProtocolError("the entry in an export does not show that its version belongs to its dataset")
    if len(head.since) not in (0, 32):
        raise RemoteProtocolError("an export names no version that it is since")
    return entry


def _manifest(frames: _Frames, version: bytes) -> Manifest:
    root_bytes = bytes(open_block(frames.next(ENCODED_MAX_BYTES), version))
    if len(root_bytes) > ROOT_MAX_BYTES:
        raise RemoteProtocolError("the root of a manifest is longer than it may be")
    segments: dict[bytes, bytes] = {}
    for ref in parse_root(root_bytes).segment_refs:
        if ref.signature not in segments:
            segments[ref.signature] = bytes(open_block(frames.next(ENCODED_MAX_BYTES), ref.signature))
    return assemble(root_bytes, segments)
