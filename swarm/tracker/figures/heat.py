"""How versions are read, by the words of all peers that read them. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from operator import add
from typing import Final

from swarm.figure_messages import Heat, VersionHeat
from swarm.reports import STRETCHES, ReadTold
from swarm.tracker.figures.peers import KnownPeer

VERSIONS_MAX: Final = 32


def heat_view(peers: Iterable[KnownPeer], dataset: str, at: float) -> Heat:
    """Of one dataset. A version has one size: peers that say another than most do are left out."""
    told: dict[bytes, list[ReadTold]] = {}
    for peer in peers:
        for (name, version), read in peer.reads.items():
            if name == dataset:
                told.setdefault(version, []).append(read)
    versions = sorted((_version(version, reads) for version, reads in told.items()), key=lambda heat: -heat.bytes)
    return Heat(round(at, 3), dataset, tuple(versions[:VERSIONS_MAX]))


def _version(version: bytes, reads: Sequence[ReadTold]) -> VersionHeat:
    sizes = [read.size for read in reads]
    size = max(set(sizes), key=lambda each: (sizes.count(each), each))
    agreed = [read for read in reads if read.size == size]
    stretches = [0] * STRETCHES
    for read in agreed:
        stretches = list(map(add, stretches, read.stretches))
    sums = (sum(read.reads for read in agreed), sum(read.bytes for read in agreed))
    return VersionHeat(version.hex(), size, len(agreed), *sums, tuple(stretches))
