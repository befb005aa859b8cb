"""A mount from beginning to end: attached, served, following its tag if it shall, and detached whatever happens."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Final

from swarm.errors import AetherError
from swarm.fuse import place as places
from swarm.fuse.following import Following
from swarm.fuse.serving import Server
from swarm.fuse.source import Source

END_S: Final = 2.0


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
    following = Following(server, source)
    guard: subprocess.Popen[bytes] | None = None
    try:
        try:
            guard = places.guard(place)
            server.start()
        except OSError as error:
            raise AetherError(f"{place} cannot be served: {error.strerror or error}") from error
        if follows:
            following.start()
        yield server
    finally:
        following.close()
        with suppress(AetherError):
            if not server.ended.is_set():
                places.detach(place, lazily=True)
        server.ended.wait(END_S)
        server.close()
        if guard is not None and guard.stdin is not None:
            guard.stdin.close()
            guard.wait()
