"""One membership, as it lies in the object store, and what it is worth for the policy.

Most members are known by the token that they spent, or by the store key that they hold. Some are known by their papers
alone: they joined after the backup from which the store was restored. A thief of the online key can make papers, so
what these show is worth less: never a tracker, no rights by the site, and nothing after the root has replaced the key.
"""

from __future__ import annotations

from typing import Annotated, Final, Literal

import msgspec

from swarm.errors import IntegrityError, RemoteProtocolError
from swarm.identity import peer_id_of
from swarm.limits import GRANT_MAX_RULES, NAME_CHARS
from swarm.log import WallTime
from swarm.messages import Labels
from swarm.principal import Principal
from swarm.records import Credential, Grant, Key, Role, Rule, open_sealed
from swarm.tracker import sealed
from swarm.trust import Trust

# The formats that say how a member is known.
RECORDED: Final = 2
BY_PAPERS: Final = 3


class Member(msgspec.Struct, array_like=True, frozen=True, forbid_unknown_fields=True):
    """One membership. ``datasets`` are the patterns that its token named: what they are worth says the policy.

    ``changed`` (wall seconds) is when role, site, datasets or labels were set: older grants are renewed.
    """

    format: Literal[2, 3]
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
    def is_by_papers(self) -> bool:
        """Whether nothing but its papers shows that it is one."""
        return self.format == BY_PAPERS

    @property
    def since(self) -> int:
        """Grants that are dated before say what it was. One of the very second of a change may be from before it."""
        return self.changed if self.changed == self.joined else self.changed + 1

    @property
    def principal(self) -> Principal:
        """Who it is for the policy. Its site, if its token set one, is a label."""
        site = (f"site={self.site}",) if self.site and not self.is_by_papers else ()
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


def opened(data: bytes, trust: Trust, key: str) -> Member:
    """The membership in an object, also of the former format. IntegrityError."""
    try:
        return sealed.unseal(data, Member, authority=trust, key=key)
    except IntegrityError:
        old = sealed.unseal(data, _Member1, authority=trust, key=key, context=sealed.context_of(Member))
        datasets = patterns_named(old.rules) if old.role == "peer" else ()
        return Member(RECORDED, old.public, old.role, old.site, datasets, (), old.joined, old.changed)


def shown_by_papers(public: bytes, credential: bytes, grant: bytes, trust: Trust, wall_now: float) -> Member | None:
    """The membership that papers in force show; None for others, and for a tracker's: it shows the store key."""
    try:
        shown = open_sealed(credential, Credential, authority=trust, wall_now=wall_now)
        rights = open_sealed(grant, Grant, authority=trust, wall_now=wall_now)
    except RemoteProtocolError:
        return None
    if {shown.public, rights.public} != {public} or shown.role == "tracker":
        return None
    # Its labels are not in them: what they brought is in the grant, and stays with it as if the token had named it.
    datasets = patterns_named(rights.rules)
    return Member(BY_PAPERS, public, shown.role, shown.site, datasets, (), shown.issued, shown.issued)
