"""Join tokens: one line of text that lets a home into the swarm.

    aetherfs1.<base64url without padding of: canonical [format, addresses, CA fingerprint, token id, secret] + checksum>

It holds where a tracker may be, which CA that tracker must prove to belong to, and a secret that is sent only to a
tracker that has proved it. The checksum tells a typing error from a refusal; it protects nothing. What a token allows
(role, uses, lifetime, datasets) is known to the tracker alone.
"""

from __future__ import annotations

import base64
import binascii
from typing import Annotated, Final, Literal

import msgspec

from swarm import canonical
from swarm.errors import RemoteProtocolError, UsageError
from swarm.limits import ADDRESSES_MAX, TOKEN_MAX_CHARS
from swarm.signature import signature_of

PREFIX: Final = "aetherfs1."
CHECKSUM_BYTES: Final = 4
TOKEN_ID_BYTES: Final = 16
TOKEN_SECRET_BYTES: Final = 32

AddressText = Annotated[str, msgspec.Meta(min_length=3, max_length=262)]


class Token(msgspec.Struct, array_like=True, frozen=True, forbid_unknown_fields=True):
    """What a token's text holds. ``addresses`` are ``host:port`` of trackers, ``fingerprint`` is the CA's (SHA-256)."""

    format: Literal[1]
    addresses: Annotated[tuple[AddressText, ...], msgspec.Meta(min_length=1, max_length=ADDRESSES_MAX)]
    fingerprint: Annotated[bytes, msgspec.Meta(min_length=32, max_length=32)]
    id: Annotated[bytes, msgspec.Meta(min_length=TOKEN_ID_BYTES, max_length=TOKEN_ID_BYTES)]
    secret: Annotated[bytes, msgspec.Meta(min_length=TOKEN_SECRET_BYTES, max_length=TOKEN_SECRET_BYTES)]

    def __repr__(self) -> str:
        """Without the secret: a token ends up in logs otherwise."""
        return f"<Token {self.id.hex()[:8]} at {', '.join(self.addresses)}>"


def format_token(token: Token) -> str:
    """The one line of text."""
    payload = canonical.encode(token)
    return PREFIX + base64.urlsafe_b64encode(payload + _checksum(payload)).decode().rstrip("=")


def parse_token(text: str) -> Token:
    """Parse a token's text (white space around it is dropped), or raise UsageError that says how it is garbled."""
    text = text.strip()
    if not text.startswith(PREFIX):
        raise UsageError(
            f"this is not a join token: it does not start with {PREFIX!r}; copy the whole line that was printed"
        )
    if len(text) > TOKEN_MAX_CHARS:
        raise UsageError(f"the join token is garbled: it has {len(text)} characters, the limit is {TOKEN_MAX_CHARS}")
    encoded = text[len(PREFIX) :]
    try:
        data = base64.b64decode(encoded + "=" * (-len(encoded) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError) as error:
        raise UsageError("the join token is garbled: it holds other characters than it may; copy it again") from error
    payload, checksum = data[:-CHECKSUM_BYTES], data[-CHECKSUM_BYTES:]
    if _checksum(payload) != checksum:
        raise UsageError("the join token is garbled or cut short: its checksum does not match; copy it again")
    try:
        token = canonical.decode(payload, Token, limit_bytes=TOKEN_MAX_CHARS)
    except RemoteProtocolError as error:
        raise UsageError(f"the join token is garbled: {error}") from error
    if format_token(token) != text:
        raise UsageError("the join token is garbled: its last character has stray bits; copy it again")
    return token


def _checksum(payload: bytes) -> bytes:
    return signature_of(payload)[:CHECKSUM_BYTES]
