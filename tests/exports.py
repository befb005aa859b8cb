"""Exports made by hand, for tests."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Final

from swarm.encoding import encode_block
from swarm.export import Head, frame, opening, order
from swarm.log import Move
from swarm.manifest import Manifest
from tests.datasets import manifest_of, seeded
from tests.unit.log_samples import FIRST, changed, signed

ROADS: Final = "library/roads"


def head_of(manifest: Manifest, since: bytes = b"") -> Head:
    """The head of an export of ``library/roads``."""
    entry = signed(changed(FIRST, moves=(Move("v1", manifest.version),)))
    return Head(1, ROADS, manifest.version, since, entry)


def export_of(
    manifest: Manifest, blocks: Mapping[bytes, bytes], *, head: Head | None = None, left_out: Collection[bytes] = ()
) -> bytes:
    """A whole export."""
    plain = {**blocks, manifest.version: manifest.root_bytes, **manifest.segments}
    frames = [frame(b"" if s in left_out else encode_block(plain[s])) for s in order(manifest)]
    return opening(head or head_of(manifest)) + b"".join(frames)


MANIFEST, BLOCKS = manifest_of({"large": seeded("large", 200_000), "a": b"few", "b": b"lines\n" * 100})
GOOD_EXPORT: Final = export_of(MANIFEST, BLOCKS)
GOOD_EXPORT_SINCE: Final = export_of(
    MANIFEST, BLOCKS, head=head_of(MANIFEST, bytes(32)), left_out=[MANIFEST.unique[0].signature]
)
