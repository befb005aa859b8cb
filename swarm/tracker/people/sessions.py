"""Sessions, sign-ins under way and API tokens, as texts that are shown back to us. No I/O.

A session is sealed under a key that follows from the store key, so every tracker of the swarm opens it and none keeps
it. One of a browser counts as a cookie alone, one of a program as a bearer token alone. An API token is an id and a
secret, of which only the hash is kept.
"""

from __future__ import annotations

import base64
import binascii
import os
from typing import Annotated, Final, Literal, TypeVar

import blake3
import msgspec
from nacl.exceptions import CryptoError
from nacl.secret import SecretBox

from swarm import canonical
from swarm.errors import NotSignedInError, RemoteProtocolError
from swarm.log import WallTime
from swarm.people_messages import SESSION_TTL_S, Group, IssuerName, UserName
from swarm.principal import GROUPS_MAX, SUBJECT_NAME_CHARS, Principal

SESSION_START: Final = "aetherfs-session1."
ISSUED_START: Final = "aetherfs-session2."
SERVICE_START: Final = "aetherfs-service1."
TEXT_MAX_CHARS: Final = 512
# As long as a cookie may be, with its name and what is said of it (RFC 6265, 6.1).
ISSUED_MAX_CHARS: Final = 3800
BEGUN_MAX_CHARS: Final = 2400
# Whoever signs in at an issuer has so long for it; what the issuer takes back from him counts here so much later.
BEGUN_TTL_S: Final = 600
ISSUED_TTL_S: Final = 4 * 3600
ID_BYTES: Final = 8
SECRET_BYTES: Final = 32
STAMP_BYTES: Final = 16
_CONTEXT: Final = "AetherFS 2026-11-26 sessions of people at trackers"
_BEGUN_CONTEXT: Final = "AetherFS 2026-11-26 sign-ins of browsers at issuers"

Use = Literal["cookie", "bearer"]
Secret = Annotated[str, msgspec.Meta(min_length=32, max_length=64)]
T = TypeVar("T")


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


class IssuedSession(msgspec.Struct, array_like=True, frozen=True, forbid_unknown_fields=True):
    """Somebody whom an issuer has named to a browser, with his groups of then; ``stamp`` is of how the issuer was known
    here.
    """

    format: Literal[2]
    id: Annotated[bytes, msgspec.Meta(min_length=ID_BYTES, max_length=ID_BYTES)]
    use: Literal["cookie"]
    issuer: IssuerName
    name: Annotated[str, msgspec.Meta(min_length=1, max_length=SUBJECT_NAME_CHARS)]
    groups: Annotated[tuple[Group, ...], msgspec.Meta(max_length=GROUPS_MAX)]
    stamp: Annotated[bytes, msgspec.Meta(max_length=STAMP_BYTES)]
    issued: WallTime
    expires: WallTime

    @property
    def key(self) -> str:
        return f"{self.expires:011}-{self.id.hex()}"

    @property
    def principal(self) -> Principal:
        return Principal("user", self.name, self.groups)


AnySession = Session | IssuedSession


class Begun(msgspec.Struct, array_like=True, frozen=True, forbid_unknown_fields=True):
    """A sign-in at an issuer, as the browser keeps it that has begun it; ``after`` is where it goes then."""

    format: Literal[1]
    issuer: IssuerName
    state: Secret
    nonce: Secret
    verifier: Secret
    after: Annotated[str, msgspec.Meta(max_length=1024)]
    expires: WallTime


class Sessions:
    """Seals and opens sessions."""

    def __init__(self, store_key: bytes) -> None:
        self._box = SecretBox(blake3.blake3(store_key, derive_key_context=_CONTEXT).digest())
        self._begun_box = SecretBox(blake3.blake3(store_key, derive_key_context=_BEGUN_CONTEXT).digest())

    def begin(self, name: str, stamp: bytes, use: Use, wall_now: float) -> tuple[str, Session]:
        """A new session of a user: its text, and what it says."""
        now = int(wall_now)
        session = Session(1, os.urandom(ID_BYTES), use, name, stamp, now, now + SESSION_TTL_S)
        return SESSION_START + _text_of(bytes(self._box.encrypt(canonical.encode(session)))), session

    def begin_issued(self, who: Principal, issuer: str, stamp: bytes, wall_now: float) -> str:
        """The text of a new session of somebody whom an issuer names. NotSignedInError for too many groups."""
        now = int(wall_now)
        times = now, now + ISSUED_TTL_S
        session = IssuedSession(2, os.urandom(ID_BYTES), "cookie", issuer, who.name, who.groups, stamp, *times)
        text = ISSUED_START + _text_of(bytes(self._box.encrypt(canonical.encode(session))))
        if len(text) > ISSUED_MAX_CHARS:
            raise NotSignedInError(f"{issuer} names more groups of you than a browser keeps: have it name fewer")
        return text

    def open(self, text: str, use: Use, wall_now: float) -> AnySession:
        """The session, if it is one of ours, for this use, and has not expired. NotSignedInError otherwise."""
        try:
            session: AnySession
            if text.startswith(ISSUED_START):
                session = _opened(self._box, text.removeprefix(ISSUED_START), IssuedSession, ISSUED_MAX_CHARS)
            else:
                session = _opened(self._box, text.removeprefix(SESSION_START), Session, TEXT_MAX_CHARS)
        except (CryptoError, ValueError, RemoteProtocolError) as error:
            raise NotSignedInError("this is not a session of this swarm: sign in anew") from error
        if session.use != use or session.expires <= wall_now:
            raise NotSignedInError("this session has expired: sign in anew")
        return session

    def keep(self, begun: Begun) -> str:
        """A sign-in as its browser keeps it."""
        return _text_of(bytes(self._begun_box.encrypt(canonical.encode(begun))))

    def kept(self, text: str, wall_now: float) -> Begun:
        """The sign-in that a browser has begun. NotSignedInError for none, and for one that took too long."""
        try:
            begun = _opened(self._begun_box, text, Begun, BEGUN_MAX_CHARS)
        except (CryptoError, ValueError, RemoteProtocolError) as error:
            raise NotSignedInError("this browser has not begun to sign in here: try again") from error
        if begun.expires <= wall_now:
            raise NotSignedInError("signing in took too long: try again")
        return begun


def _opened(box: SecretBox, text: str, kind: type[T], most_chars: int) -> T:
    return canonical.decode(bytes(box.decrypt(_bytes_of(text, most_chars))), kind, limit_bytes=most_chars)


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


def _bytes_of(text: str, most_chars: int = TEXT_MAX_CHARS) -> bytes:
    if len(text) > most_chars:
        raise ValueError("too long")
    try:
        return base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except binascii.Error as error:
        raise ValueError("not base64") from error
