"""Threads that put blocks of a version into the stores, and the end of that: for who lets a version go for good.

A thread cannot be cancelled. So each says for which version it keeps, none begins once that version is purged, and who
removes its blocks waits until those that had begun are through: nothing is put behind his back.
"""

from __future__ import annotations

import contextlib
import threading
from collections import Counter
from collections.abc import Iterator

from swarm.claims import Version
from swarm.errors import NotAllowedError
from swarm.peer.access import Access


class Keeping:
    """Which threads keep what. ``of`` and ``wait_until_over`` are called in threads."""

    def __init__(self, access: Access) -> None:
        self._access = access
        self._running: Counter[Version] = Counter()
        self._changed = threading.Condition()

    def refuse_purged(self, version: Version) -> None:
        """NotAllowedError for a version of which nothing may be here any more."""
        error = self.purged(version)
        if error is not None:
            raise error

    def purged(self, version: Version) -> NotAllowedError | None:
        """What is said of a version that is purged."""
        if not self._access.is_purged(*version):
            return None
        return NotAllowedError(f"version {version[1].hex()[:16]} of {version[0]} was purged")

    @contextlib.contextmanager
    def of(self, version: Version) -> Iterator[None]:
        """While blocks of a version are put into the stores. NotAllowedError when it is purged."""
        with self._changed:
            self.refuse_purged(version)
            self._running[version] += 1
        try:
            yield
        finally:
            with self._changed:
                self._running[version] -= 1
                if not self._running[version]:
                    del self._running[version]
                self._changed.notify_all()

    def wait_until_over(self, version: Version) -> None:
        """Until no thread keeps blocks of a version that is purged."""
        with self._changed:
            self._changed.wait_for(lambda: version not in self._running)
