"""Sessions and API tokens, as texts that are shown back to us. No I/O.

A session is sealed under a key that follows from the store key, so every tracker of the swarm opens it and none keeps
it. One of a browser counts as a cookie alone, one of a program as a bearer token alone. An API token is an id and a
secret, of which only the hash is kept.
"""

from __future__ import annotations

import base64
import binascii
import os
from typing import Annotated, Final, Literal

import blake3
import msgspec
from nacl.exceptions import CryptoError
from nacl.secret import SecretBox

from swarm import canonical
from swarm.errors import NotSignedInError, RemoteProtocolError
from swarm.log import WallTime
from swarm.people_messages import SESSION_TTL_S, UserName

SESSION_START: Final = "aetherfs-session1."
SERVICE_START: Final = "aetherfs-service1."
TEXT_MAX_CHARS: Final = 512
ID_BYTES: Final = 8
SECRET_BYTES: Final = 32
STAMP_BYTES: Final = 16
_CONTEXT: Final = "AetherFS 2026-11-26 sessions of people at trackers"

Use = Literal["cookie", "bearer"]


class Session(msgspec.Struct, array_like=True, frozen=True, forbid_unknown_fields=True):
    """Somebody who has proved to be a user here, with the password whose ``stamp`` this is. Times are wall seconds."""

    format: Literal[1]
    id: Annotated[bytes, msgspec.Meta(min_length=ID_BYTES, max_length=ID_BYTES)]
    use: Use
    name: UserName
    stamp: Annotated[bytes, msgspec.Meta(max_length=STAMP_BYTES)]
    issued: WallTime
    expires: WallTime

    @property
    def key(self) -> str:
        """Under which its end is written down; they sort by when they expire."""
        return f"{self.expires:011}-{self.id.hex()}"


class Sessions:
    """Seals and opens sessions."""

    def __init__(self, store_key: bytes) -> None:
        self._box = SecretBox(blake3.blake3(store_key, derive_key_context=_CONTEXT).digest())

    def begin(self, name: str, stamp: bytes, use: Use, wall_now: float) -> tuple[str, Session]:
        """A new session of a user: its text, and what it says."""
        now = int(wall_now)
        session = Session(1, os.urandom(ID_BYTES), use, name, stamp, now, now + SESSION_TTL_S)
        return SESSION_START + _text_of(bytes(self._box.encrypt(canonical.encode(session)))), session

    def open(self, text: str, use: Use, wall_now: float) -> Session:
        """The session, if it is one of ours, for this use, and has not expired. NotSignedInError otherwise."""
        try:
            data = self._box.decrypt(_bytes_of(text.removeprefix(SESSION_START)))
            session = canonical.decode(bytes(data), Session, limit_bytes=TEXT_MAX_CHARS)
        except (CryptoError, ValueError, RemoteProtocolError) as error:
            raise NotSignedInError("this is not a session of this swarm: sign in anew") from error
        if session.use != use or session.expires <= wall_now:
            raise NotSignedInError("this session has expired: sign in anew")
        return session


def new_service_token() -> tuple[str, bytes, bytes]:
    """The text of a new API token, its id and its secret."""
    token_id, secret = os.urandom(ID_BYTES), os.urandom(SECRET_BYTES)
    return SERVICE_START + _text_of(token_id + secret), token_id, secret


def parse_service_token(text: str) -> tuple[bytes, bytes]:
    """Id and secret of an API token, or NotSignedInError."""
    try:
        data = _bytes_of(text.removeprefix(SERVICE_START))
    except ValueError as error:
        raise NotSignedInError("the API token is mutilated: copy it again") from error
    if len(data) != ID_BYTES + SECRET_BYTES:
        raise NotSignedInError("the API token is cut short: copy it again")
    return data[:ID_BYTES], data[ID_BYTES:]


def _text_of(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def _bytes_of(text: str) -> bytes:
    if len(text) > TEXT_MAX_CHARS:
        raise ValueError("too long")
    try:
        return base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except binascii.Error as error:
        raise ValueError("not base64") from error
