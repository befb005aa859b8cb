"""Records of the trackers' own in the object store, sealed with the CA key.

Seeds can write to the object store too. A seed that has turned bad must not make members, tokens or trackers there, so
these records count only with the CA's seal, over a context and the record.
"""

from __future__ import annotations

from typing import Final, Protocol, TypeVar

import msgspec

from swarm import canonical
from swarm.errors import IntegrityError, RemoteProtocolError
from swarm.identity import PeerKey
from swarm.limits import RECORD_MAX_BYTES
from swarm.records import Seal
from swarm.trust import Trust

# As what records are sealed here. All of them are named, as who replaces a stolen key seals every kind anew, and has
# not loaded the modules of most.
CONTEXTS: Final = frozenset(
    f"tracker-{name}"
    for name in (
        "eventpage",
        "forgotten",
        "issuer",
        "keeprule",
        "keptsilence",
        "listing",
        "member",
        "metpeers",
        "page",
        "policy",
        "purge",
        "quota",
        "recalls",
        "service",
        "signedout",
        "tokenrecord",
        "user",
    )
)


class Dated(Protocol):
    """A record that says itself when it was sealed."""

    @property
    def sealed_at(self) -> int:
        """Wall seconds."""
        ...


T = TypeVar("T", bound=Dated)


class _Signed(msgspec.Struct, array_like=True, frozen=True, forbid_unknown_fields=True):
    """As ``records.Signed``, of any length: its reader states one."""

    body: bytes
    seal: Seal


def seal(authority: PeerKey, record: msgspec.Struct) -> bytes:
    """Bytes that ``unseal`` reads."""
    body, context = canonical.encode(record), context_of(type(record))
    assert context in CONTEXTS, "a record of a kind that is not in the table is lost when a stolen key is replaced"
    return canonical.encode(_Signed(body, authority.sign(context, body)))


def unseal(
    data: bytes,
    kind: type[T],
    *,
    authority: Trust,
    key: str,
    limit_bytes: int = RECORD_MAX_BYTES,
    context: str = "",
    is_vouched: bool = False,
) -> T:
    """The record. IntegrityError, naming the object's key, for bytes that no tracker of this swarm wrote. ``context``
    is that of a former format of the record, which has another type now; ``is_vouched``: what a stolen key sealed is
    taken too.
    """
    try:
        return opened(data, kind, authority=authority, limit_bytes=limit_bytes, context=context, is_vouched=is_vouched)
    except RemoteProtocolError as error:
        raise IntegrityError(f"{key} in the object store is damaged ({error}): restore it from a backup") from error


def opened(
    data: bytes,
    kind: type[T],
    *,
    authority: Trust,
    limit_bytes: int = RECORD_MAX_BYTES,
    context: str = "",
    is_vouched: bool = False,
) -> T:
    """The record, or RemoteProtocolError for bytes that no tracker of this swarm sealed while its key was the CA's."""
    signed = canonical.decode(data, _Signed, limit_bytes=2 * limit_bytes)
    context = context or context_of(kind)
    anchor = authority.verify(context, signed.body, signed.seal)
    record = canonical.decode(signed.body, kind, limit_bytes=limit_bytes)
    anchor.check_sealed_at(record.sealed_at, context, is_vouched=is_vouched)
    return record


def context_of(kind: type[object]) -> str:
    """What a record of this type is sealed under."""
    return f"tracker-{kind.__name__.lower()}"
