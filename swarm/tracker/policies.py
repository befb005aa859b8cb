"""The policy in the object store: a log of versions, each whole and sealed by the CA.

    swarm/policy/{serial:020}       written with put-if-absent; the highest serial counts, the others are the history

Who can write to the store but has not the CA's key can make no version. Nor can it bring back an older one at a running
tracker by removing what followed: that never goes back, and ``recalls`` names the policy that they belong to. While the
store is away the policy counts as it was known, and ``Known.confirmed`` says of when that is.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from swarm.authority import Authority
from swarm.errors import ConflictError, IntegrityError, UnreachableError
from swarm.limits import PAGE_MAX, POLICY_MAX_BYTES
from swarm.objects import ObjectStore
from swarm.tracker import sealed
from swarm.tracker.policy import DEFAULT, Policy, PolicyRule

PREFIX: Final = "swarm/policy/"
ATTEMPTS: Final = 16


@dataclass(frozen=True, slots=True)
class Known:
    """The policy that counts, and when the store said so last (wall seconds)."""

    policy: Policy
    confirmed: float


class Policies:
    """The versions of the policy. Thread-safe; calls block on the store."""

    def __init__(self, objects: ObjectStore, authority: Authority) -> None:
        self._objects = objects
        self._authority = authority
        self._lock = threading.Lock()
        self._known: Known | None = None
        self._read_at = float("-inf")

    def current(self, *, max_age_s: float) -> Known:
        """The policy that counts. UnreachableError only before it was ever read."""
        with self._lock:
            if self._known is not None and self._read_at + max_age_s > time.monotonic():
                return self._known
            known = self._known.policy if self._known is not None else DEFAULT
            wall_now = time.time()
            try:
                newest = self._newest(known)
            except UnreachableError:
                if self._known is None:
                    raise
                return self._known
            self._read_at = time.monotonic()
            self._known = Known(newest, wall_now)
            return self._known

    def read_lately(self, max_age_s: float) -> Known | None:
        """The policy, if it was read within this time."""
        return self._known if self._read_at + max_age_s > time.monotonic() else None

    def version(self, serial: int) -> Policy:
        """One version. NotFoundError if there is none."""
        if serial == 0:
            return DEFAULT
        key = policy_key(serial)
        data = self._objects.get(key)
        found = sealed.unseal(data, Policy, authority=self._authority.trust, key=key, limit_bytes=POLICY_MAX_BYTES)
        if found.serial != serial:
            raise IntegrityError(
                f"{key} in the object store is another version of the policy: restore it from a backup"
            )
        return found

    def history(self, before: int | None, limit: int) -> list[Policy]:
        """Up to ``limit`` versions before a serial, the newest first; the first of all is what a swarm begins with."""
        last = self.current(max_age_s=0.0).policy.serial if before is None else before - 1
        return [self.version(serial) for serial in range(last, max(-1, last - limit), -1)]

    def change(
        self,
        make: Callable[[Policy], tuple[tuple[PolicyRule, ...], int]],
        by: str,
        what: str,
        wall_now: float,
        check: Callable[[Policy, Policy], None] = lambda former, new: None,
    ) -> tuple[Policy, Policy]:
        """Write the version that ``make`` makes of the one that counts: rules and the grants' lifetime. The former and
        the new one. ``check`` may refuse it. ConflictError when others change it all the time.
        """
        for _ in range(ATTEMPTS):
            former = self.current(max_age_s=0.0).policy
            rules, lifetime_s = make(former)
            if (rules, lifetime_s) == (former.rules, former.grant_lifetime_s):
                return former, former
            new = Policy(1, former.serial + 1, rules, lifetime_s, by, what, int(wall_now))
            check(former, new)
            if self._objects.put_if_absent(policy_key(new.serial), sealed.seal(self._authority.key, new)):
                with self._lock:
                    self._read_at = float("-inf")
                return former, new
        raise ConflictError("others change the policy all the time: repeat")

    def _newest(self, known: Policy) -> Policy:
        while keys := self._objects.list(
            PREFIX, after=policy_key(known.serial) if known.serial else "", limit=PAGE_MAX
        ):
            serial = known.serial + len(keys)
            if keys[-1] != policy_key(serial):
                raise IntegrityError("versions of the policy are missing in the object store: restore it from a backup")
            known = self.version(serial)
        return known


def policy_key(serial: int) -> str:
    return f"{PREFIX}{serial:020}"
