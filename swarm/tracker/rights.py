"""What the policy and the list of recalled grants say together, as this tracker knows them; and how both are changed.

A change is written as a version of the policy first; then whoever it takes something from is put on the list. A tracker
that finds a policy beyond the list (whoever wrote it was killed in between) does that in its place.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final

from swarm.authority import Authority
from swarm.errors import IntegrityError, RemoteProtocolError, UnreachableError
from swarm.identity import peer_id_of
from swarm.objects import ObjectStore
from swarm.principal import Principal
from swarm.records import Key, Rule
from swarm.tracker import recalls
from swarm.tracker.policies import Known, Policies
from swarm.tracker.policy import Policy, PolicyRule, grant_rules, is_narrower
from swarm.tracker.recalls import NONE, Recalls

# How long what another tracker has changed may stay unseen here: with the announces' half minute it is to fit a minute.
MAX_AGE_S: Final = 10.0
# How often the policy is looked for that a tracker did not come to say anything of.
POLICY_MAX_AGE_S: Final = 30.0
Member = tuple[Key, Principal]


class Rights:
    """Thread-safe; calls block on the store unless what they need was read lately."""

    def __init__(self, objects: ObjectStore, authority: Authority) -> None:
        self._objects = objects
        self._authority = authority
        self.policies = Policies(objects, authority)
        self._lock = threading.RLock()
        self._recalls, self._data = NONE, b""
        self._read_at = float("-inf")
        self._looking = threading.Lock()
        self._removed: tuple[Recalls, frozenset[str]] = NONE, frozenset()
        # Told of each list that is new here.
        self.on_recalls: Callable[[bytes], None] | None = None

    # ---- what counts --------------------------------------------------------------------------------------------

    @property
    def recalls(self) -> Recalls:
        """The list as known here."""
        return self._recalls

    def removed(self, *, max_age_s: float) -> frozenset[str]:
        """The peer ids that the list names as removed, after a look at what other trackers have written."""
        listed = self._refreshed(max_age_s)
        known, removed = self._removed
        if known is not listed:
            removed = frozenset(peer_id_of(one.public) for one in listed.recalls if one.is_removed)
            self._removed = listed, removed
        return removed

    @property
    def recalls_data(self) -> bytes:
        """The sealed list, empty while there was never one."""
        return self._data

    def known(self, *, max_age_s: float = MAX_AGE_S) -> Known:
        """The policy, after a look at what other trackers have written. IntegrityError when versions of it are gone."""
        listed = self._refreshed(max_age_s)
        known = self.policies.current(max_age_s=POLICY_MAX_AGE_S)
        if known.policy.serial < listed.policy:
            known = self.policies.current(max_age_s=0.0)
        if known.policy.serial < listed.policy:
            raise IntegrityError(
                f"the object store holds the policy up to version {known.policy.serial}, and there was a version "
                f"{listed.policy}: restore swarm/policy from a backup, or look at `aetherfs access ls` on a tracker's "
                "home, and let what is there count by a change"
            )
        return known

    def known_lately(self) -> Known | None:
        """What ``known`` says where it need not look: for the event loop."""
        oldest = time.monotonic() - MAX_AGE_S
        known = self.policies.read_lately(POLICY_MAX_AGE_S)
        return known if self._read_at > oldest and known and known.policy.serial >= self._recalls.policy else None

    def granted(self, public: bytes, who: Principal, since: int = 0) -> tuple[tuple[Rule, ...], int, int]:
        """What a grant says now: rules, when that was known to be so, for how long (wall seconds). ``since``: from when
        on the member is what it is.
        """
        known = self.policies.current(max_age_s=POLICY_MAX_AGE_S) if who.role == "tracker" else self.known()
        issued = max(int(known.confirmed), self.not_before(known.policy, public, since))
        return grant_rules(known.policy, who), issued, known.policy.grant_lifetime_s

    def is_removed(self, public: bytes) -> bool:
        """Whether the list names this key as removed."""
        return any(one.is_removed and one.public == public for one in self._recalls.recalls)

    def learn(self, data: bytes) -> None:
        """Take a list that a peer holds: of one that was lost with the store it is the only trace. It outlives this
        tracker, unless the store is away.
        """
        with self._lock:
            # A key that is called stolen after this was opened is forgotten after it was taken.
            is_new = self._take(recalls.open_recalls(data, self._authority.trust), data)
        if is_new:
            with contextlib.suppress(UnreachableError):  # Who has told it tells it again after a restart.
                recalls.write_learnt(self._objects, data)

    def forget_unproved(self) -> None:
        """Believe no list because it was believed before: a key that had sealed it does not count any more."""
        with self._lock:
            try:
                if self._data:
                    recalls.open_recalls(self._data, self._authority.trust)
                return
            except RemoteProtocolError:
                self._recalls, self._data = NONE, b""
                self._read_at = float("-inf")
        # What trackers wrote is in the store under another seal. What is not yet is read by who needs it next.
        with contextlib.suppress(UnreachableError, IntegrityError):
            self._refreshed(0.0)

    def recalled_at(self, public: bytes) -> int:
        """From when on a grant of this key counts again; 0 if none was recalled."""
        return next((one.since for one in self._recalls.recalls if one.public == public), 0)

    def not_before(self, policy: Policy, public: bytes, since: int) -> int:
        """A grant of this key that is dated before this follows another policy, or says what the member was."""
        # One of the very second of a change may be from before it.
        changed = policy.wall_time + 1 if policy.serial else 0
        return max(since, self.recalled_at(public), self._recalls.all_before, changed)

    # ---- changes ------------------------------------------------------------------------------------------------

    def change(
        self,
        make: Callable[[Policy], tuple[tuple[PolicyRule, ...], int]],
        *,
        by: str,
        what: str,
        members: Callable[[], Sequence[Member]],
        wall_now: float,
    ) -> tuple[Policy, int]:
        """Change the policy, and recall the grants from which it takes something: the new policy, and how many."""

        def check(former: Policy, new: Policy) -> None:
            for _, who in members():
                grant_rules(new, who)

        is_lost = self._refreshed(0.0).policy > self.policies.current(max_age_s=0.0).policy.serial
        _, new = self.policies.change(make, by, what, wall_now, check)
        if is_lost:
            # Versions are gone, and an admin lets what is there count: nothing that was granted by those does.
            self._recall(policy=new.serial, everything=True, wall_now=wall_now)
            return new, len(members())
        return new, self.settle(members, wall_now)

    def needs_settling(self) -> bool:
        """Whether somebody has changed the policy and was killed before he recalled what that takes."""
        return (
            self._refreshed(POLICY_MAX_AGE_S).policy < self.policies.current(max_age_s=POLICY_MAX_AGE_S).policy.serial
        )

    def settle(self, members: Callable[[], Sequence[Member]], wall_now: float) -> int:
        """Recall what the policy has taken since the list was complete: how many keys are recalled for it."""
        listed, policy = self._refreshed(0.0), self.policies.current(max_age_s=0.0).policy
        if listed.policy >= policy.serial:
            return 0
        former = [self.policies.version(serial) for serial in range(listed.policy, policy.serial)]
        narrowed = [public for public, who in members() if _is_narrowed(policy, former, who)]
        self._recall(policy=policy.serial, recalled=narrowed, wall_now=wall_now)
        return len(narrowed)

    def recall(self, public: bytes, wall_now: float, *, is_removed: bool = False) -> None:
        """Let no older grant of this key count, or no paper at all."""
        recalled, removed = ((), (public,)) if is_removed else ((public,), ())
        self._recall(recalled=recalled, removed=removed, wall_now=wall_now)

    def _recall(self, **what: Any) -> None:
        self._take(*recalls.recall(self._objects, self._authority, self._recalls, **what))

    def _refreshed(self, max_age_s: float) -> Recalls:
        """The list as of ``max_age_s`` ago at most. One looks for all who come meanwhile, unless that is of now."""
        if self._read_at + max_age_s > time.monotonic():
            return self._recalls
        is_known = self._read_at > float("-inf")
        is_ours = self._looking.acquire(blocking=False)
        if not is_ours and is_known and max_age_s > 0:
            return self._recalls
        try:
            return self._look()
        finally:
            if is_ours:
                self._looking.release()

    def _look(self) -> Recalls:
        is_first = self._read_at == float("-inf")
        try:
            read = [recalls.read(self._objects, self._authority.trust, self._recalls)]
            if is_first:
                read.append(recalls.read_learnt(self._objects, self._authority.trust))
        except UnreachableError:
            if is_first:
                raise
            return self._recalls
        self._read_at = time.monotonic()
        for found, data in read:
            if data:
                self._take(found, data)
        return self._recalls

    def _take(self, found: Recalls, data: bytes) -> bool:
        """Whether it was newer than ours."""
        with self._lock:
            if found.serial <= self._recalls.serial:
                return False
            self._recalls, self._data = found, data
        if self.on_recalls is not None:
            self.on_recalls(data)
        return True


def _is_narrowed(policy: Policy, former: Iterable[Policy], who: Principal) -> bool:
    after = grant_rules(policy, who)
    return any(is_narrower(after, grant_rules(one, who)) for one in former)
