"""How versions are read: see ``swarm.figure_messages``."""

from __future__ import annotations

import msgspec


class VersionHeat(msgspec.Struct, frozen=True):
    """How one version is read at ``peers``, since they count: requests, bytes, and of each of 64 equal stretches of its
    ``size`` bytes how many. Of which files that is only each peer knows.
    """

    version: str
    size: int
    peers: int
    reads: int
    bytes: int
    stretches: tuple[int, ...]


class Heat(msgspec.Struct, frozen=True):
    """Versions of a dataset that peers read over HTTP, by mounts and fsspec; the most read first, 32 at most."""

    at: float
    dataset: str
    versions: tuple[VersionHeat, ...]
