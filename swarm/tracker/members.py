"""Who is a member, in what role and with what rights: joins, renewals, removals.

    swarm/members/{peer id}         the membership, sealed by the CA
    swarm/learnt/members/{peer id}  one that papers alone show: see ``membership``
    swarm/replacing/                not empty while the root replaces a stolen key: papers make nobody a member then
    swarm/removed/{peer id}         a mark that never goes away: that key is refused from then on
    swarm/changed/members           looked at instead of each membership: see ``member_changes``

Renewal needs no certificate, only the key and the membership, so an outage never locks members out. While the store is
away, members that are known here stay members; joins and removals need the store.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections import OrderedDict
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Final

from swarm.authority import Membership
from swarm.canonical import agree_version
from swarm.claims import keys_below
from swarm.errors import (
    IntegrityError,
    NotAllowedError,
    NotFoundError,
    UnreachableError,
    UsageError,
)
from swarm.identity import peer_id_of, public_of
from swarm.messages import OUR_VERSIONS, JoinRequest, RenewRequest, is_join_proof, is_renew_proof
from swarm.objects import ObjectStore
from swarm.principal import Principal
from swarm.records import Key, Role
from swarm.tracker import sealed
from swarm.tracker.keys import SwarmKeys
from swarm.tracker.member_changes import Changes
from swarm.tracker.membership import BY_PAPERS, RECORDED, Member, opened, shown_by_papers
from swarm.tracker.policy import is_narrower
from swarm.tracker.rights import Rights
from swarm.tracker.tokens import TokenRecord, Tokens

MEMBERS: Final = "swarm/members/"
LEARNT: Final = "swarm/learnt/members/"
REPLACING: Final = "swarm/replacing/"
REMOVED: Final = "swarm/removed/"
CACHED_MAX: Final = 16_384
# How long a change that another tracker made may stay unseen here, and how long if that was killed before it said so.
MEMBER_CACHE_S: Final = 30.0
MEMBER_KEPT_S: Final = 600.0
REMOVED_CACHE_S: Final = 10.0
# Who removes a member puts it on the list of recalled grants first, and that is looked at within REMOVED_CACHE_S. The
# marks, which stay for ever when that list has become too long, are listed more rarely.
MARKS_CACHE_S: Final = 60.0
# Who is known by papers alone is none any more when a key is replaced. What lasts asks the store itself.
PAPERS_CACHE_S: Final = 5.0
# Memberships that are read at a time, when all of them are.
READ_THREADS: Final = 16
NOT_A_MEMBER: Final = "this key is not a member of the swarm, or was removed: ask for a token and join with a new home"


@dataclass(frozen=True, slots=True)
class _Cached:
    """A membership as read at a time, when there had been so many ``changes``."""

    member: Member
    read_at: float
    changes: int

    def counts(self, now: float, changes: int, papers_age_s: float) -> bool:
        if self.member.is_by_papers:
            return now - self.read_at < papers_age_s
        return self.changes == changes and now - self.read_at < MEMBER_KEPT_S


class Members:
    """The members of a swarm, over its object store. Thread-safe."""

    def __init__(self, objects: ObjectStore, keys: SwarmKeys, tokens: Tokens, rights: Rights) -> None:
        self._objects = objects
        self._keys = keys
        self._tokens = tokens
        self._rights = rights
        self._lock = threading.Lock()
        self._cached: OrderedDict[str, _Cached] = OrderedDict()
        self._changes = Changes(objects)
        self._removed: frozenset[str] = frozenset()
        self._removed_at = float("-inf")

    def member(self, peer_id: str, papers_age_s: float = PAPERS_CACHE_S) -> Member | None:
        """The membership, None for a stranger and for one that was removed. One that papers alone show is what the
        store said so long ago at most.
        """
        now = time.monotonic()
        if peer_id in self._removed_peers(now):
            return None
        with self._lock:
            cached = self._cached.get(peer_id)
        try:
            changes = self._changes.count(now, MEMBER_CACHE_S)
            if cached is not None and cached.counts(now, changes, papers_age_s):
                return cached.member
            member = self._kept(MEMBERS, RECORDED, peer_id) or self._learnt(peer_id)
        except UnreachableError:
            if cached is None:
                raise
            return cached.member
        if member is not None:
            self._remember(member, now, changes)
        else:
            self._forget(peer_id)
        return member

    def _certain(self, peer_id: str) -> Member | None:
        """The same for decisions that last: whom papers alone show is looked up now."""
        return self.member(peer_id, papers_age_s=0.0)

    def _learnt(self, peer_id: str) -> Member | None:
        """The membership of who is known by its papers alone. In this order, as those go before the mark does."""
        if is_replacing(self._objects):
            return None
        with contextlib.suppress(IntegrityError):  # A key sealed it that was stolen.
            return self._kept(LEARNT, BY_PAPERS, peer_id)
        return None

    def _kept(self, prefix: str, known_as: int, peer_id: str) -> Member | None:
        try:
            data = self._objects.get(prefix + peer_id)
        except NotFoundError:
            return None
        member = opened(data, self._keys.authority.trust, prefix + peer_id)
        return member if (member.peer_id, member.format) == (peer_id, known_as) else None

    def join(self, request: JoinRequest, wall_now: float) -> tuple[Membership, Member]:
        """Make the holder of a key and a token a member. The same key and token again give the same membership.

        Raises NotAllowedError, and RemoteProtocolError when there is no common protocol version.
        """
        agree_version(request.protocol, OUR_VERSIONS)
        if not any(is_join_proof(request, pinned) for pinned in self._keys.authority.fingerprints):
            raise NotAllowedError("the request to join is not signed by the key that it names: repeat it")
        if self._is_removed(peer_id_of(request.public)):
            raise NotAllowedError(NOT_A_MEMBER)
        terms = self._tokens.spend(request.token_id, request.secret, request.public, wall_now)
        member = self._admitted(request.public, terms, wall_now)
        return self._papers(member, wall_now), member

    def renew(self, request: RenewRequest, wall_now: float) -> tuple[Membership, Member]:
        """Fresh papers for a member that proves its key, with or without a certificate in force."""
        agree_version(request.protocol, OUR_VERSIONS)
        if not any(is_renew_proof(request, known) for known in self._keys.authority.fingerprints):
            raise NotAllowedError("the request to renew is not signed by the key that it names")
        member = self._certain(peer_id_of(request.public)) or self._of_papers(request, wall_now)
        if member is None:
            raise NotAllowedError(NOT_A_MEMBER)
        return self._papers(member, wall_now), member

    def _of_papers(self, request: RenewRequest, wall_now: float) -> Member | None:
        """The membership that papers in force show, written down again: the store was restored from an older backup."""
        shown = partial(shown_by_papers, request.public, request.credential, request.grant, wall_now=wall_now)
        if shown(self._keys.authority.trust) is None or self._is_removed(peer_id_of(request.public)):
            return None
        if is_replacing(self._objects):
            return None
        # In this order: whoever reads the keys when a replacement has ended learns of it.
        self._keys.refresh(self._objects, wall_now)
        member = shown(self._keys.authority.trust)
        return self._write(member) if member is not None else None

    def renew_known(self, member: Member, wall_now: float) -> Membership:
        """Fresh papers for a member that its certificate has proved. NotAllowedError if it is none any more."""
        if member.is_by_papers and self._certain(member.peer_id) is None:
            raise NotAllowedError(NOT_A_MEMBER)
        return self._papers(member, wall_now)

    def admit_keeper(self, public: bytes, role: Role, wall_now: float) -> tuple[Membership, Member]:
        """The membership of a tracker or a seed that holds the store key: it needs no token. A tracker stays one."""
        if self._is_removed(peer_id_of(public)):
            raise NotAllowedError(NOT_A_MEMBER)
        member = self._certain(peer_id_of(public))
        if member is None or member.is_by_papers or member.role not in (role, "tracker"):
            is_new = member is None
            member = self._write(Member(RECORDED, public, role, "", (), (), int(wall_now), int(wall_now)))
            if not is_new:
                self._changes.note()
        return self._papers(member, wall_now), member

    def all_ids(self) -> list[str]:
        """The peer ids of everybody who joined and was not removed."""
        removed = self._removed_peers(time.monotonic())
        found = {key.removeprefix(prefix) for prefix in (MEMBERS, LEARNT) for key in keys_below(self._objects, prefix)}
        return sorted(found - removed)

    def remove(self, peer_id: str) -> None:
        """Refuse this key from now on, here at once, at other trackers within seconds. NotFoundError for a stranger."""
        public = public_of(peer_id)
        if self._certain(peer_id) is None and not self._is_removed(peer_id):
            raise NotFoundError(f"{peer_id} is not a member")
        # Peers first: whoever is killed in between has done nothing that a repetition does not complete.
        self._rights.recall(public, time.time(), is_removed=True)
        self._objects.put_if_absent(REMOVED + peer_id, b"")
        with self._lock:
            self._removed = self._removed | {peer_id}

    def principals(self) -> list[tuple[Key, Principal]]:
        """Everybody who joined and was not removed, by key."""
        return [(member.public, member.principal) for member in self._read(self.all_ids())]

    def page(self, after: str, limit: int) -> tuple[list[Member], str]:
        """Members in the order of their ids, behind one, and the cursor of the next page."""
        ids = [peer_id for peer_id in self.all_ids() if peer_id > after]
        return self._read(ids[:limit]), ids[limit - 1] if len(ids) > limit else ""

    def _read(self, peer_ids: list[str]) -> list[Member]:
        with ThreadPoolExecutor(READ_THREADS) as pool:
            return [member for member in pool.map(self.member, peer_ids) if member is not None]

    def _admitted(self, public: bytes, terms: TokenRecord, wall_now: float) -> Member:
        known = self._certain(peer_id_of(public))
        # Seeds and trackers have what comes with their roles.
        told = (terms.role, terms.site, terms.datasets if terms.role == "peer" else (), terms.labels)
        if known is None:
            new = Member(RECORDED, public, *told, int(wall_now), int(wall_now))
            self._rights.granted(public, new.principal)  # Nobody joins whose rights no grant can hold.
            return self._write(new)
        if (known.role, known.site, known.datasets, known.labels) == told and not known.is_by_papers:
            return known
        return self._replace(known, Member(RECORDED, public, *told, known.joined, int(wall_now)), wall_now)

    def change(
        self, peer_id: str, datasets: tuple[str, ...] | None, labels: tuple[str, ...] | None, wall_now: float
    ) -> Member:
        """Set what a member's token is to have named; None: as it is. NotFoundError for a stranger."""
        public_of(peer_id)
        known = self._certain(peer_id)
        if known is None:
            raise NotFoundError(f"{peer_id} is not a member: see `aetherfs member ls`")
        if known.role != "peer" and datasets:
            raise UsageError(f"{peer_id[:12]} is a {known.role}: what it may do comes with its role")
        told = (known.datasets if datasets is None else datasets, known.labels if labels is None else labels)
        new = Member(RECORDED, known.public, known.role, known.site, *told, known.joined, int(wall_now))
        return self._replace(known, new, wall_now)

    def _replace(self, known: Member, member: Member, wall_now: float) -> Member:
        """Write a member anew; its older grants are recalled if they say more, and if this is done again: it may have
        been broken off before they were.
        """
        before, *_ = self._rights.granted(member.public, known.principal)
        after, *_ = self._rights.granted(member.public, member.principal)
        self._write(member)
        if is_narrower(after, before) or member.principal == known.principal:
            self._rights.recall(member.public, wall_now)
        self._changes.note()
        return member

    def _write(self, member: Member) -> Member:
        """Of a key of which trackers may know another membership that has to be noted afterwards."""
        place, changes = LEARNT if member.is_by_papers else MEMBERS, self._changes.known
        self._objects.put(place + member.peer_id, sealed.seal(self._keys.authority.key, member))
        self._remember(member, time.monotonic(), changes)
        return member

    def _papers(self, member: Member, wall_now: float) -> Membership:
        rules, issued, lifetime_s = self._rights.granted(member.public, member.principal, member.since)
        # After that, as it may have looked at the list of recalls, and dates by that.
        if (current := self._as_recalled(member)) != member:
            return self._papers(current, wall_now)
        return self._keys.authority.admit(
            member.public, member.role, member.site, rules, wall_now, granted=issued, grant_lifetime_s=lifetime_s
        )

    def _as_recalled(self, member: Member) -> Member:
        """It as it is now, if its grants were recalled since it became what is known here: what another tracker has
        taken from it must stand in no grant that is dated later than the recall. The same while the store is away.
        """
        if self._rights.recalled_at(member.public) <= member.changed:
            return member
        changes = self._changes.known
        with contextlib.suppress(UnreachableError):
            if (found := self._kept(MEMBERS, RECORDED, member.peer_id)) is not None:
                self._remember(found, time.monotonic(), changes)
                return found
        return member

    def _remember(self, member: Member, now: float, changes: int) -> None:
        with self._lock:
            self._cached[member.peer_id] = _Cached(member, now, changes)
            self._cached.move_to_end(member.peer_id)
            while len(self._cached) > CACHED_MAX:
                self._cached.popitem(last=False)

    def _forget(self, peer_id: str) -> None:
        with self._lock:
            self._cached.pop(peer_id, None)

    def _is_removed(self, peer_id: str) -> bool:
        """Asks the store itself: for decisions that last. A store that was restored may lack what peers have told."""
        is_told = self._rights.is_removed(public_of(peer_id))
        return is_told or REMOVED + peer_id in self._objects.list(REMOVED + peer_id, limit=1)

    def _removed_peers(self, now: float) -> frozenset[str]:
        """Whom the list of recalled grants names as removed, and whom marks do."""
        told = self._rights.removed(max_age_s=REMOVED_CACHE_S)
        with self._lock:
            if self._removed_at + MARKS_CACHE_S > now:
                return self._removed | told if told else self._removed
        try:
            keys = list(keys_below(self._objects, REMOVED))
        except UnreachableError:
            if self._removed_at == float("-inf"):
                raise
            return self._removed | told
        with self._lock:
            self._removed |= {key.removeprefix(REMOVED) for key in keys}
            self._removed_at = now
            return self._removed | told


def is_replacing(objects: ObjectStore) -> bool:
    """Whether the root replaces a stolen key now, or has begun to and was broken off. Asks the store itself."""
    return bool(objects.list(REPLACING, limit=1))
