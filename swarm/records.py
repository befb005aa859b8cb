"""Signed records that travel on their own: credentials, grants, addresses.

A signed record is a body (canonical bytes) with an Ed25519 seal over a context and that body. The swarm's CA key signs
credentials (who is a member, in what role and site) and grants (what a member may do, by dataset pattern). Both can be
checked by anyone who knows the CA's keys, with no tracker at hand. Pure.
"""

from __future__ import annotations

from typing import Annotated, Literal, TypeVar

import msgspec

from swarm import canonical
from swarm.errors import RemoteProtocolError
from swarm.identity import PeerKey, check_signed, peer_id_of
from swarm.limits import (
    ADDRESSES_MAX,
    CLOCK_SKEW_S,
    GRANT_MAX_RULES,
    LOCATION_LIFETIME_S,
    LOCATION_MAX_BYTES,
    NAME_CHARS,
    RECORD_MAX_BYTES,
)
from swarm.names import matches
from swarm.trust import Trust

Key = Annotated[bytes, msgspec.Meta(min_length=32, max_length=32)]
Seal = Annotated[bytes, msgspec.Meta(min_length=64, max_length=64)]
Role = Literal["peer", "seed", "tracker"]
Action = Literal["read", "publish"]
Port = Annotated[int, msgspec.Meta(ge=1, le=65535)]


class Address(msgspec.Struct, array_like=True, frozen=True, forbid_unknown_fields=True):
    """Where a peer listens: a numeric host (v4 or v6) or a name, and the one number of its TCP and UDP ports."""

    host: Annotated[str, msgspec.Meta(min_length=1, max_length=253)]
    port: Port

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


Addresses = Annotated[tuple[Address, ...], msgspec.Meta(max_length=ADDRESSES_MAX)]


class Signed(msgspec.Struct, array_like=True, frozen=True, forbid_unknown_fields=True):
    """A body and its seal, as they travel."""

    body: Annotated[bytes, msgspec.Meta(max_length=RECORD_MAX_BYTES)]
    seal: Seal


class Credential(msgspec.Struct, array_like=True, frozen=True, forbid_unknown_fields=True):
    """Membership: this key belongs to the swarm, in this role. ``issued`` and ``expires`` are wall seconds."""

    format: Literal[1]
    public: Key
    role: Role
    site: Annotated[str, msgspec.Meta(max_length=NAME_CHARS)]
    issued: int
    expires: int

    @property
    def peer_id(self) -> str:
        return peer_id_of(self.public)


class Rule(msgspec.Struct, array_like=True, frozen=True, forbid_unknown_fields=True):
    """One permission: an action on every dataset that matches the pattern (see ``swarm.names.matches``)."""

    action: Action
    pattern: Annotated[str, msgspec.Meta(min_length=1, max_length=2 * NAME_CHARS + 1)]


class Grant(msgspec.Struct, array_like=True, frozen=True, forbid_unknown_fields=True):
    """What a member may do until ``expires`` (wall seconds). It is bound to the member's key."""

    format: Literal[1]
    public: Key
    rules: Annotated[tuple[Rule, ...], msgspec.Meta(max_length=GRANT_MAX_RULES)]
    issued: int
    expires: int

    def allows(self, action: Action, dataset: str) -> bool:
        """Whether a rule covers ``action`` on ``scope/name``. Time is checked when the grant is opened."""
        return any(rule.action == action and matches(rule.pattern, dataset) for rule in self.rules)


class Location(msgspec.Struct, array_like=True, frozen=True, forbid_unknown_fields=True):
    """Where a member listens, by its own word, until ``expires`` (wall seconds)."""

    format: Literal[1]
    addresses: Annotated[tuple[Address, ...], msgspec.Meta(min_length=1, max_length=ADDRESSES_MAX)]
    issued: int
    expires: int


class Located(msgspec.Struct, array_like=True, frozen=True, forbid_unknown_fields=True):
    """A member's location as it is passed on: its sealed credential, and the location under its own seal."""

    credential: Annotated[bytes, msgspec.Meta(max_length=LOCATION_MAX_BYTES)]
    signed: Signed


T = TypeVar("T", Credential, Grant)


def seal(key: PeerKey, record: Credential | Grant) -> bytes:
    """Sign a record; the bytes are what ``open_sealed`` reads."""
    body = canonical.encode(record)
    return canonical.encode(Signed(body=body, seal=key.sign(_context(type(record)), body)))


def open_sealed(data: bytes, kind: type[T], *, authority: Trust, wall_now: float, is_vouched: bool = False) -> T:
    """The record in ``data``, if the authority's key signed it and it is in force at ``wall_now``.

    ``is_vouched``: a key that was not stolen has sealed what holds the record. Raises RemoteProtocolError for malformed
    bytes, another signer, a record from the future and an expired one.
    """
    signed = canonical.decode(data, Signed, limit_bytes=2 * RECORD_MAX_BYTES, what=kind.__name__)
    context = _context(kind)
    anchor = authority.verify(context, signed.body, signed.seal)
    record = canonical.decode(signed.body, kind, limit_bytes=RECORD_MAX_BYTES)
    anchor.check_sealed_at(record.issued, context, is_vouched=is_vouched)
    anchor.check_counts(wall_now, context, is_vouched=is_vouched)
    if record.issued > wall_now + CLOCK_SKEW_S:
        raise RemoteProtocolError(f"a {context} was issued in the future: check this machine's clock")
    if record.expires <= wall_now:
        raise RemoteProtocolError(f"a {context} has expired: it is renewed as soon as a tracker answers")
    return record


def term_of(data: bytes, kind: type[T], authority: Trust) -> tuple[int, int]:
    """From when to when a record says that it counts, if a key of the CA sealed it. RemoteProtocolError."""
    signed = canonical.decode(data, Signed, limit_bytes=2 * RECORD_MAX_BYTES, what=kind.__name__)
    authority.verify(_context(kind), signed.body, signed.seal)
    record = canonical.decode(signed.body, kind, limit_bytes=RECORD_MAX_BYTES)
    return record.issued, record.expires


def sealed_by(data: bytes, kind: type[T], authority: Trust) -> bytes:
    """Which key of the CA sealed a record. RemoteProtocolError."""
    signed = canonical.decode(data, Signed, limit_bytes=2 * RECORD_MAX_BYTES, what=kind.__name__)
    return authority.verify(_context(kind), signed.body, signed.seal).public


def seal_location(key: PeerKey, credential: bytes, location: Location) -> bytes:
    """What a member gives its neighbours to pass on; ``open_location`` reads it."""
    body = canonical.encode(location)
    return canonical.encode(Located(credential, Signed(body=body, seal=key.sign("location", body))))


def open_location(data: bytes, *, authority: Trust, wall_now: float) -> tuple[Credential, Location]:
    """Who it is, and where, if the authority says that it is a member and itself that it is there.

    RemoteProtocolError for anything else, also what has expired.
    """
    located = canonical.decode(data, Located, limit_bytes=LOCATION_MAX_BYTES)
    credential = open_sealed(located.credential, Credential, authority=authority, wall_now=wall_now)
    check_signed(credential.public, "location", located.signed.body, located.signed.seal)
    location = canonical.decode(located.signed.body, Location, limit_bytes=LOCATION_MAX_BYTES)
    if (
        location.issued > wall_now + CLOCK_SKEW_S
        or not wall_now < location.expires <= location.issued + LOCATION_LIFETIME_S
    ):
        raise RemoteProtocolError("a location is not in force")
    return credential, location


def _context(kind: type[Credential] | type[Grant]) -> str:
    return kind.__name__.lower()
