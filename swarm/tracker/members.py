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
from typing import Annotated, Final, Literal

import msgspec

from swarm.authority import Membership
from swarm.canonical import agree_version
from swarm.errors import NotAllowedError, NotFoundError, RemoteProtocolError, UnreachableError
from swarm.identity import peer_id_of, public_of
from swarm.limits import GRANT_MAX_RULES, NAME_CHARS, PAGE_MAX
from swarm.log import WallTime
from swarm.messages import OUR_VERSIONS, JoinRequest, RenewRequest, is_join_proof, is_renew_proof
from swarm.names import matches
from swarm.objects import ObjectStore
from swarm.records import Action, Credential, Grant, Key, Role, Rule, open_sealed
from swarm.tracker import sealed
from swarm.tracker.keys import SwarmKeys
from swarm.tracker.tokens import TokenRecord, Tokens

MEMBERS: Final = "swarm/members/"
REMOVED: Final = "swarm/removed/"
CACHED_MAX: Final = 16_384
# How long a change that another tracker made may stay unseen here.
MEMBER_CACHE_S: Final = 30.0
REMOVED_CACHE_S: Final = 5.0
NOT_A_MEMBER: Final = "this key is not a member of the swarm, or was removed: ask for a token and join with a new home"


class Member(msgspec.Struct, array_like=True, frozen=True, forbid_unknown_fields=True):
    """One membership. ``changed`` (wall seconds) is when role, site or rules were set: older grants are renewed."""

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

    @property
    def peer_id(self) -> str:
        return peer_id_of(self.public)

    def may(self, action: Action, dataset: str) -> bool:
        """Whether a rule covers the action on ``scope/name``."""
        return any(rule.action == action and matches(rule.pattern, dataset) for rule in self.rules)


def rules_of(role: Role, datasets: tuple[str, ...]) -> tuple[Rule, ...]:
    """The rights that come with a role and a token's patterns.

    A seed reads everything, since it keeps everything. A tracker holds the CA key, so it may do everything as it is.
    """
    if role == "seed":
        return (Rule("read", "*"),)
    if role == "tracker":
        return (Rule("read", "*"), Rule("publish", "*"))
    return tuple(Rule(action, pattern) for pattern in datasets for action in ("read", "publish"))


class Members:
    """The members of a swarm, over its object store. Thread-safe."""

    def __init__(self, objects: ObjectStore, keys: SwarmKeys, tokens: Tokens) -> None:
        self._objects = objects
        self._keys = keys
        self._tokens = tokens
        self._lock = threading.Lock()
        self._cached: OrderedDict[str, tuple[float, Member]] = OrderedDict()
        self._removed: frozenset[str] = frozenset()
        self._removed_at = float("-inf")

    def member(self, peer_id: str) -> Member | None:
        """The membership, None for a stranger and for one that was removed."""
        now = time.monotonic()
        if peer_id in self._removed_peers(now):
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
        member = sealed.unseal(data, Member, authority=self._keys.authority.trust, key=MEMBERS + peer_id)
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
        return self._write(Member(1, request.public, credential.role, credential.site, grant.rules, issued, issued))

    def renew_known(self, member: Member, wall_now: float) -> Membership:
        """Fresh papers for a member that its certificate has proved."""
        return self._papers(member, wall_now)

    def admit_keeper(self, public: bytes, role: Role, wall_now: float) -> tuple[Membership, Member]:
        """The membership of a tracker or a seed that holds the store key: it needs no token. A tracker stays one."""
        if self._is_removed(peer_id_of(public)):
            raise NotAllowedError(NOT_A_MEMBER)
        member = self.member(peer_id_of(public))
        if member is None or member.role not in (role, "tracker"):
            member = self._write(Member(1, public, role, "", rules_of(role, ()), int(wall_now), int(wall_now)))
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
        public_of(peer_id)
        if self.member(peer_id) is None and not self._is_removed(peer_id):
            raise NotFoundError(f"{peer_id} is not a member")
        self._objects.put_if_absent(REMOVED + peer_id, b"")
        with self._lock:
            self._removed = self._removed | {peer_id}

    def _admitted(self, public: bytes, terms: TokenRecord, wall_now: float) -> Member:
        rules = rules_of(terms.role, terms.datasets)
        known = self.member(peer_id_of(public))
        if known is not None and (known.role, known.site, known.rules) == (terms.role, terms.site, rules):
            return known
        joined = known.joined if known is not None else int(wall_now)
        return self._write(Member(1, public, terms.role, terms.site, rules, joined, int(wall_now)))

    def _write(self, member: Member) -> Member:
        self._objects.put(MEMBERS + member.peer_id, sealed.seal(self._keys.authority.key, member))
        self._remember(member, time.monotonic())
        return member

    def _papers(self, member: Member, wall_now: float) -> Membership:
        return self._keys.authority.admit(member.public, member.role, member.site, member.rules, wall_now)

    def _remember(self, member: Member, now: float) -> None:
        with self._lock:
            self._cached[member.peer_id] = (now, member)
            self._cached.move_to_end(member.peer_id)
            while len(self._cached) > CACHED_MAX:
                self._cached.popitem(last=False)

    def _is_removed(self, peer_id: str) -> bool:
        """Asks the store itself: for decisions that last."""
        return REMOVED + peer_id in self._objects.list(REMOVED + peer_id, limit=1)

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
