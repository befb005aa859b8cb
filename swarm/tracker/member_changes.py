"""Whether a membership was changed, by one look at the store for all of them.

    swarm/changed/members     random bytes, others after each change

Whoever changes a membership writes that first and then this. So a membership that was read after a look is no older
than that look, and stands until a later one finds other bytes: whose it was is not told, all are read again.
"""

from __future__ import annotations

import secrets
import threading
from typing import Final

from swarm.errors import AetherError, NotFoundError
from swarm.objects import ObjectStore

CHANGED: Final = "swarm/changed/members"
MARK_BYTES: Final = 16


class Changes:
    """Thread-safe."""

    def __init__(self, objects: ObjectStore) -> None:
        self._objects = objects
        self._lock = threading.Lock()
        self._mark: bytes | None = None
        self._count = 0
        self._looked_at = float("-inf")

    @property
    def known(self) -> int:
        """The number as of the last look."""
        return self._count

    def count(self, now: float, max_age_s: float) -> int:
        """Another number after each change, as of ``max_age_s`` ago at most. One looks for all who come meanwhile.
        What the store says raises, and counts as no look.
        """
        with self._lock:
            before = self._looked_at
            if before + max_age_s > now:
                return self._count
            self._looked_at = now
        try:
            mark = self._objects.get(CHANGED)
        except NotFoundError:
            mark = b""
        except AetherError:
            self._looked_at = before
            raise
        with self._lock:
            if mark != self._mark:
                self._mark = mark
                self._count += 1
            return self._count

    def note(self) -> None:
        """A membership was changed. What others have changed since the last look is not known here: so is this."""
        self._objects.put(CHANGED, secrets.token_bytes(MARK_BYTES))
