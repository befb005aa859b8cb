"""Who is a member, in what role and with what rights: joins, renewals, removals.

    swarm/members/{peer id}     the membership, sealed by the CA
    swarm/removed/{peer id}     a mark that never goes away: that key is refused from then on

Renewal needs no certificate, only the key and the membership, so an outage never locks members out. While the store is
away, members that are known here stay members; joins and removals need the store.
"""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from concurrent.futures import ThreadPoolExecutor
from typing import Annotated, Final, Literal

import msgspec

from swarm.authority import Membership
from swarm.canonical import agree_version
from swarm.errors import (
    IntegrityError,
    NotAllowedError,
    NotFoundError,
    RemoteProtocolError,
    UnreachableError,
    UsageError,
)
from swarm.identity import peer_id_of, public_of
from swarm.limits import GRANT_MAX_RULES, NAME_CHARS, PAGE_MAX
from swarm.log import WallTime
from swarm.messages import OUR_VERSIONS, JoinRequest, Labels, RenewRequest, is_join_proof, is_renew_proof
from swarm.objects import ObjectStore
from swarm.principal import Principal
from swarm.records import Credential, Grant, Key, Role, Rule, open_sealed
from swarm.tracker import sealed
from swarm.tracker.keys import SwarmKeys
from swarm.tracker.policy import is_narrower
from swarm.tracker.rights import Rights
from swarm.tracker.tokens import TokenRecord, Tokens

MEMBERS: Final = "swarm/members/"
REMOVED: Final = "swarm/removed/"
CACHED_MAX: Final = 16_384
# How long a change that another tracker made may stay unseen here.
MEMBER_CACHE_S: Final = 30.0
REMOVED_CACHE_S: Final = 5.0
# Memberships that are read at a time, when all of them are.
READ_THREADS: Final = 16
NOT_A_MEMBER: Final = "this key is not a member of the swarm, or was removed: ask for a token and join with a new home"


class Member(msgspec.Struct, array_like=True, frozen=True, forbid_unknown_fields=True):
    """One membership. ``datasets`` are the patterns that its token named: what they are worth says the policy.

    ``changed`` (wall seconds) is when role, site, datasets or labels were set: older grants are renewed.
    """

    format: Literal[2]
    public: Key
    role: Role
    site: Annotated[str, msgspec.Meta(max_length=NAME_CHARS)]
    datasets: Annotated[tuple[str, ...], msgspec.Meta(max_length=GRANT_MAX_RULES)]
    labels: Labels
    joined: WallTime
    changed: WallTime

    @property
    def sealed_at(self) -> int:
        return self.changed

    @property
    def peer_id(self) -> str:
        return peer_id_of(self.public)

    @property
    def since(self) -> int:
        """Grants that are dated before say what it was. One of the very second of a change may be from before it."""
        return self.changed if self.changed == self.joined else self.changed + 1

    @property
    def principal(self) -> Principal:
        """Who it is for the policy. Its site, if its token set one, is a label."""
        site = (f"site={self.site}",) if self.site else ()
        return Principal("peer", self.peer_id, labels=(*site, *self.labels), role=self.role, token=self.datasets)


class _Member1(msgspec.Struct, array_like=True, frozen=True, forbid_unknown_fields=True):
    """As it was before there was a policy: with the rules that followed from the token."""

    format: Literal[1]
    public: Key
    role: Role
    site: Annotated[str, msgspec.Meta(max_length=NAME_CHARS)]
    rules: Annotated[tuple[Rule, ...], msgspec.Meta(max_length=GRANT_MAX_RULES)]
    joined: WallTime
    changed: WallTime

    @property
    def sealed_at(self) -> int:
        return self.changed


def patterns_named(rules: tuple[Rule, ...]) -> tuple[str, ...]:
    """The patterns of rules that followed from a token, each of which is in a rule to read."""
    return tuple(dict.fromkeys(rule.pattern for rule in rules if rule.action == "read"))


class Members:
    """The members of a swarm, over its object store. Thread-safe."""

    def __init__(self, objects: ObjectStore, keys: SwarmKeys, tokens: Tokens, rights: Rights) -> None:
        self._objects = objects
        self._keys = keys
        self._tokens = tokens
        self._rights = rights
        self._lock = threading.Lock()
        self._cached: OrderedDict[str, tuple[float, Member]] = OrderedDict()
        self._removed: frozenset[str] = frozenset()
        self._removed_at = float("-inf")

    def member(self, peer_id: str) -> Member | None:
        """The membership, None for a stranger and for one that was removed."""
        now = time.monotonic()
        if peer_id in self._removed_peers(now) or self._rights.is_removed(public_of(peer_id)):
            return None
        with self._lock:
            cached = self._cached.get(peer_id)
        if cached is not None and cached[0] + MEMBER_CACHE_S > now:
            return cached[1]
        try:
            data = self._objects.get(MEMBERS + peer_id)
        except NotFoundError:
            return None
        except UnreachableError:
            if cached is None:
                raise
            return cached[1]
        member = self._opened(data, MEMBERS + peer_id)
        if member.peer_id != peer_id:
            return None
        self._remember(member, now)
        return member

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
        member = self.member(peer_id_of(request.public)) or self._of_papers(request, wall_now)
        if member is None:
            raise NotAllowedError(NOT_A_MEMBER)
        return self._papers(member, wall_now), member

    def _of_papers(self, request: RenewRequest, wall_now: float) -> Member | None:
        """The membership that papers in force show, written down again: the store was restored from an older backup."""
        trust = self._keys.authority.trust
        try:
            credential = open_sealed(request.credential, Credential, authority=trust, wall_now=wall_now)
            grant = open_sealed(request.grant, Grant, authority=trust, wall_now=wall_now)
        except RemoteProtocolError:
            return None
        if {credential.public, grant.public} != {request.public} or self._is_removed(credential.peer_id):
            return None
        issued = credential.issued
        # Its labels are not in them: what they brought is in the grant, and stays with it as if the token had named it.
        datasets = patterns_named(grant.rules)
        member = Member(2, request.public, credential.role, credential.site, datasets, (), issued, issued)
        return self._write(member)

    def renew_known(self, member: Member, wall_now: float) -> Membership:
        """Fresh papers for a member that its certificate has proved."""
        return self._papers(member, wall_now)

    def admit_keeper(self, public: bytes, role: Role, wall_now: float) -> tuple[Membership, Member]:
        """The membership of a tracker or a seed that holds the store key: it needs no token. A tracker stays one."""
        if self._is_removed(peer_id_of(public)):
            raise NotAllowedError(NOT_A_MEMBER)
        member = self.member(peer_id_of(public))
        if member is None or member.role not in (role, "tracker"):
            member = self._write(Member(2, public, role, "", (), (), int(wall_now), int(wall_now)))
        return self._papers(member, wall_now), member

    def all_ids(self) -> list[str]:
        """The peer ids of everybody who joined and was not removed."""
        removed = self._removed_peers(time.monotonic())
        found: list[str] = []
        while page := self._objects.list(MEMBERS, after=MEMBERS + found[-1] if found else "", limit=PAGE_MAX):
            found += [key.removeprefix(MEMBERS) for key in page]
        return [peer_id for peer_id in found if peer_id not in removed]

    def remove(self, peer_id: str) -> None:
        """Refuse this key from now on, here at once, at other trackers within seconds. NotFoundError for a stranger."""
        public = public_of(peer_id)
        if self.member(peer_id) is None and not self._is_removed(peer_id):
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
        known = self.member(peer_id_of(public))
        # Seeds and trackers have what comes with their roles.
        told = (terms.role, terms.site, terms.datasets if terms.role == "peer" else (), terms.labels)
        if known is None:
            new = Member(2, public, *told, int(wall_now), int(wall_now))
            self._rights.granted(public, new.principal)  # Nobody joins whose rights no grant can hold.
            return self._write(new)
        if (known.role, known.site, known.datasets, known.labels) == told:
            return known
        return self._replace(known, Member(2, public, *told, known.joined, int(wall_now)), wall_now)

    def change(
        self, peer_id: str, datasets: tuple[str, ...] | None, labels: tuple[str, ...] | None, wall_now: float
    ) -> Member:
        """Set what a member's token is to have named; None: as it is. NotFoundError for a stranger."""
        public_of(peer_id)
        known = self.member(peer_id)
        if known is None:
            raise NotFoundError(f"{peer_id} is not a member: see `aetherfs member ls`")
        if known.role != "peer" and datasets:
            raise UsageError(f"{peer_id[:12]} is a {known.role}: what it may do comes with its role")
        told = (known.datasets if datasets is None else datasets, known.labels if labels is None else labels)
        new = Member(2, known.public, known.role, known.site, *told, known.joined, int(wall_now))
        return self._replace(known, new, wall_now)

    def _replace(self, known: Member, member: Member, wall_now: float) -> Member:
        """Write a member anew; its older grants are recalled if they say more."""
        before, *_ = self._rights.granted(member.public, known.principal)
        after, *_ = self._rights.granted(member.public, member.principal)
        self._write(member)
        if is_narrower(after, before):
            self._rights.recall(member.public, wall_now)
        return member

    def _opened(self, data: bytes, key: str) -> Member:
        trust = self._keys.authority.trust
        try:
            return sealed.unseal(data, Member, authority=trust, key=key)
        except IntegrityError:
            old = sealed.unseal(data, _Member1, authority=trust, key=key, context=sealed.context_of(Member))
            datasets = patterns_named(old.rules) if old.role == "peer" else ()
            return Member(2, old.public, old.role, old.site, datasets, (), old.joined, old.changed)

    def _write(self, member: Member) -> Member:
        self._objects.put(MEMBERS + member.peer_id, sealed.seal(self._keys.authority.key, member))
        self._remember(member, time.monotonic())
        return member

    def _papers(self, member: Member, wall_now: float) -> Membership:
        rules, issued, lifetime_s = self._rights.granted(member.public, member.principal, member.since)
        return self._keys.authority.admit(
            member.public, member.role, member.site, rules, wall_now, granted=issued, grant_lifetime_s=lifetime_s
        )

    def _remember(self, member: Member, now: float) -> None:
        with self._lock:
            self._cached[member.peer_id] = (now, member)
            self._cached.move_to_end(member.peer_id)
            while len(self._cached) > CACHED_MAX:
                self._cached.popitem(last=False)

    def _is_removed(self, peer_id: str) -> bool:
        """Asks the store itself: for decisions that last. A store that was restored may lack what peers have told."""
        is_told = self._rights.is_removed(public_of(peer_id))
        return is_told or REMOVED + peer_id in self._objects.list(REMOVED + peer_id, limit=1)

    def _removed_peers(self, now: float) -> frozenset[str]:
        with self._lock:
            if self._removed_at + REMOVED_CACHE_S > now:
                return self._removed
        try:
            keys = self._listed_as_removed()
        except UnreachableError:
            if self._removed_at == float("-inf"):
                raise
            return self._removed
        with self._lock:
            self._removed |= {key.removeprefix(REMOVED) for key in keys}
            self._removed_at = now
            return self._removed

    def _listed_as_removed(self) -> list[str]:
        keys: list[str] = []
        while page := self._objects.list(REMOVED, after=keys[-1] if keys else "", limit=PAGE_MAX):
            keys += page
            if len(page) < PAGE_MAX:
                break
        return keys
