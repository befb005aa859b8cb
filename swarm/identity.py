"""Who a peer is: an Ed25519 key.

The peer id is the base32 (lower case, no padding) of the 32-byte public key, so an id can be turned back into the key
that proves it. The TLS name of a peer is derived from it: OpenSSL itself then checks that the far end is that peer.
Every signature of ours is made over a context and the bytes, so a signature for one purpose is worth nothing for
another.
"""

from __future__ import annotations

import base64
import binascii
import re
from typing import Final

from nacl.bindings import crypto_sign_BYTES, crypto_sign_PUBLICKEYBYTES
from nacl.exceptions import BadSignatureError
from nacl.signing import SigningKey, VerifyKey

from swarm.errors import RemoteProtocolError, UsageError

PUBLIC_BYTES: Final = crypto_sign_PUBLICKEYBYTES
SEAL_BYTES: Final = crypto_sign_BYTES
SERVER_NAME_SUFFIX: Final = ".peer.aetherfs"
_PEER_ID = re.compile(r"[a-z2-7]{52}")


def _message(context: str, data: bytes) -> bytes:
    return b"aetherfs:" + context.encode() + b"\0" + data


def peer_id_of(public: bytes) -> str:
    """The 52-character id of a 32-byte Ed25519 public key."""
    return base64.b32encode(public).decode().rstrip("=").lower()


def public_of(peer_id: str) -> bytes:
    """The public key of a peer id, or UsageError."""
    if not _PEER_ID.fullmatch(peer_id):
        raise UsageError(f"{peer_id[:80]!r} is not a peer id: expected 52 characters a-z and 2-7")
    try:
        public = base64.b32decode(peer_id.upper() + "====")
    except binascii.Error as error:
        raise UsageError(f"{peer_id[:80]!r} is not a peer id: {error}") from error
    if peer_id_of(public) != peer_id:
        raise UsageError(f"{peer_id!r} is not a peer id: its last character has stray bits")
    return public


def server_name_of(peer_id: str) -> str:
    """The TLS name that only the holder of the peer's key can have a certificate for."""
    return peer_id + SERVER_NAME_SUFFIX


def peer_id_from_server_name(name: str) -> str | None:
    """The peer id in a TLS name of ours, or None for any other name."""
    peer_id = name.removesuffix(SERVER_NAME_SUFFIX)
    return peer_id if peer_id != name and _PEER_ID.fullmatch(peer_id) else None


class PeerKey:
    """A private key. ``seed`` is its 32 secret bytes."""

    __slots__ = ("_key", "peer_id", "public")

    def __init__(self, seed: bytes) -> None:
        self._key = SigningKey(seed)
        self.public: bytes = bytes(self._key.verify_key)
        self.peer_id: str = peer_id_of(self.public)

    @property
    def seed(self) -> bytes:
        return bytes(self._key)

    def sign(self, context: str, data: bytes) -> bytes:
        """64 bytes that ``verify`` accepts for the same context and data."""
        return bytes(self._key.sign(_message(context, data)).signature)

    def __repr__(self) -> str:
        return f"<PeerKey {self.peer_id[:8]}>"


def is_signed(public: bytes, context: str, data: bytes, seal: bytes) -> bool:
    """Whether ``seal`` is the holder of ``public``'s signature of the data in this context."""
    if len(public) != PUBLIC_BYTES or len(seal) != SEAL_BYTES:
        return False
    try:
        VerifyKey(public).verify(_message(context, data), seal)
    except (BadSignatureError, ValueError):
        return False
    return True


def check_signed(public: bytes, context: str, data: bytes, seal: bytes) -> None:
    """As ``is_signed``, raising RemoteProtocolError."""
    if not is_signed(public, context, data, seal):
        raise RemoteProtocolError(f"a {context} record is not signed by {peer_id_of(public)[:8]}")
