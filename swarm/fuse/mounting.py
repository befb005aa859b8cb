"""A mount from beginning to end: attached, served, following its tag if it shall, and detached whatever happens."""

from __future__ import annotations

import logging
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Final

from swarm.errors import AetherError
from swarm.fuse import place as places
from swarm.fuse.serving import Server
from swarm.fuse.source import Source

FOLLOW_S: Final = 2.0
END_S: Final = 2.0

log = logging.getLogger("aetherfs.mount")


@contextmanager
def mounted(
    source: Source,
    version: str,
    place: str,
    name: str,
    *,
    follows: bool = False,
    allow_other: bool = False,
    by_helper: bool | None = None,
) -> Iterator[Server]:
    """The version at a directory, called ``name`` in the table of mounts, for as long as the context."""
    descriptor = places.attach(place, name, allow_other=allow_other, by_helper=by_helper)
    server = Server(descriptor, source, version, follows=follows)
    guard: subprocess.Popen[bytes] | None = None
    try:
        try:
            guard = places.guard(place)
            server.start()
        except OSError as error:
            raise AetherError(f"{place} cannot be served: {error.strerror or error}") from error
        if follows:
            threading.Thread(target=_follow, args=(server, source), daemon=True).start()
        yield server
    finally:
        with suppress(AetherError):
            if not server.ended.is_set():
                places.detach(place, lazily=True)
        server.ended.wait(END_S)
        server.close()
        if guard is not None and guard.stdin is not None:
            guard.stdin.close()
            guard.wait()


def _follow(server: Server, source: Source) -> None:
    """Let a mount show what its tag means."""
    while not server.ended.wait(FOLLOW_S):
        try:
            version = source.version()
        except (OSError, ValueError) as error:
            log.warning("what the tag means is not known at the moment: %s", error)
            continue
        if version != server.version:
            log.info("the tag has moved to %s", version)
            server.version = version
