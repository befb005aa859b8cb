"""Mounts of a swarm in a thread, none of which is left behind."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from swarm.errors import AetherError
from swarm.fuse import place as places
from swarm.fuse.mounting import mounted
from swarm.fuse.serving import Server
from swarm.fuse.source import AWAY_S, Source
from swarm.names import parse
from tests.integration.swarm_thread import SwarmThread


def why_no_mounts() -> str | None:
    """Why nothing can be mounted here; None when it can."""
    if os.geteuid() != 0:
        return "mounting needs root here"
    try:
        os.close(os.open(places.DEVICE, os.O_RDWR))
    except OSError as error:
        return f"{places.DEVICE} cannot be opened: {error.strerror}"
    return None


@contextmanager
def place_of(path: Path) -> Iterator[Path]:
    """A directory to mount at, without a mount in the end, whatever happens."""
    path.mkdir(parents=True, exist_ok=True)
    try:
        yield path
    finally:
        while places.mounted_at(str(path)) is not None:
            with suppress(AetherError):
                places.detach(str(path), lazily=True)


@contextmanager
def mounting_of(
    running: SwarmThread,
    reference: str,
    place: Path,
    *,
    follows: bool = False,
    by_home: bool = False,
    address: str | None = None,
    away_s: float = AWAY_S,
    by_helper: bool | None = None,
) -> Iterator[Server]:
    """A mount that asks the reader of a swarm, or who else is at an address."""
    home = running.reader.settings.home.path
    version = Source(parse(reference), home, running.agent).version()
    source = Source(parse(reference), home, None if by_home else address or running.agent, away_s)
    with mounted(source, version, str(place), reference, follows=follows, by_helper=by_helper) as server:
        yield server
