"""Records of the trackers' own in the object store, sealed with the CA key.

Seeds can write to the object store too. A seed that has turned bad must not make members, tokens or trackers there, so
these records count only with the CA's seal, over a context and the record.
"""

from __future__ import annotations

from typing import Protocol, TypeVar

import msgspec

from swarm import canonical
from swarm.errors import IntegrityError, RemoteProtocolError
from swarm.identity import PeerKey
from swarm.limits import RECORD_MAX_BYTES
from swarm.records import Signed
from swarm.trust import Trust


class Dated(Protocol):
    """A record that says itself when it was sealed."""

    @property
    def sealed_at(self) -> int:
        """Wall seconds."""
        ...


T = TypeVar("T", bound=Dated)


def seal(authority: PeerKey, record: msgspec.Struct) -> bytes:
    """Bytes that ``unseal`` reads."""
    body = canonical.encode(record)
    return canonical.encode(Signed(body, authority.sign(_context(type(record)), body)))


def unseal(data: bytes, kind: type[T], *, authority: Trust, key: str) -> T:
    """The record. IntegrityError, naming the object's key, for bytes that no tracker of this swarm wrote."""
    try:
        return opened(data, kind, authority=authority)
    except RemoteProtocolError as error:
        raise IntegrityError(f"{key} in the object store is damaged ({error}): restore it from a backup") from error


def opened(data: bytes, kind: type[T], *, authority: Trust) -> T:
    """The record, or RemoteProtocolError for bytes that no tracker of this swarm sealed while its key was the CA's."""
    signed = canonical.decode(data, Signed, limit_bytes=2 * RECORD_MAX_BYTES)
    context = _context(kind)
    anchor = authority.verify(context, signed.body, signed.seal)
    record = canonical.decode(signed.body, kind, limit_bytes=RECORD_MAX_BYTES)
    anchor.check_sealed_at(record.sealed_at, context)
    return record


def _context(kind: type[object]) -> str:
    return f"tracker-{kind.__name__.lower()}"
