"""What people and services show a tracker, what issuers say, what is kept of both: good bytes, and who reads them."""

from __future__ import annotations

import base64
from collections.abc import Callable
from typing import Any, Final

import msgspec
from nacl.secret import SecretBox

from swarm import canonical
from swarm.errors import NotSignedInError, RemoteProtocolError
from swarm.limits import RECORD_MAX_BYTES
from swarm.oidc.claims import Terms, check, keys_of, named, unverified
from swarm.people_messages import Issuing
from swarm.tracker.people.identify import _name_and_password
from swarm.tracker.people.passwords import PasswordHash
from swarm.tracker.people.records import Issuer, Service, SignedOut, User
from swarm.tracker.people.sessions import (
    ISSUED_START,
    SESSION_START,
    Begun,
    IssuedSession,
    Session,
    Sessions,
    new_service_token,
    parse_service_token,
)
from tests.made_issuer import AUDIENCE, MadeIssuer

WALL: Final = 1_800_000_000
SESSIONS: Final = Sessions(bytes(32))
ISSUER: Final = MadeIssuer()
TERMS: Final = Terms("corp", ISSUER.url, AUDIENCE, ("ES256",))
KEYS: Final = keys_of(ISSUER.published)
CLAIMS: Final = ISSUER.claims(iat=WALL, nbf=WALL, exp=WALL + 300, groups=["ops", "dev"], aud=[AUDIENCE])

USER: Final = User(1, "alice", ("ops",), PasswordHash(bytes(16), 3, 64 * 1024 * 1024, bytes(32)), WALL)
SERVICE: Final = Service(1, bytes(8), "ci", (), bytes(32), WALL, WALL + 60)
KEPT_ISSUER: Final = Issuer.of(Issuing("corp", "https://id.example.org", "aetherfs", "aetherfs"), WALL)
SIGNED_OUT: Final = SignedOut(1, "user:corp/alice", WALL)
SESSION: Final = Session(1, bytes(8), "bearer", "alice", bytes(16), WALL, WALL + 60)
ISSUED: Final = IssuedSession(2, bytes(8), "cookie", "corp", "corp/alice", ("corp/ops",), bytes(16), WALL, WALL + 60)
BEGUN: Final = Begun(1, "corp", "s" * 43, "n" * 43, "v" * 43, "/ui/peers", WALL + 60)

Read = Callable[[bytes], object]


def text(data: bytes) -> str:
    return data.decode("latin-1")


def sealed_by(box: SecretBox, body: bytes) -> str:
    return base64.urlsafe_b64encode(bytes(box.encrypt(body))).decode().rstrip("=")


def read_session_of_ours(body: bytes) -> object:
    """As if another tracker of the swarm had sealed it."""
    return SESSIONS.open(SESSION_START + sealed_by(SESSIONS._box, body), "bearer", WALL)


def read_issued_session(body: bytes) -> object:
    return SESSIONS.open(ISSUED_START + sealed_by(SESSIONS._box, body), "cookie", WALL)


def read_begun(body: bytes) -> object:
    return SESSIONS.kept(sealed_by(SESSIONS._begun_box, body), WALL)


def read_claims(data: bytes) -> object:
    """As if the issuer had signed them."""
    try:
        claims = msgspec.json.decode(data, type=dict[str, Any])
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise NotSignedInError("no claims") from error
    return named(claims, TERMS, WALL)


def read_jwks(data: bytes) -> object:
    try:
        document = msgspec.json.decode(data)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return None
    return keys_of(document)


def kept(kind: type[Any]) -> Read:
    return lambda data: canonical.decode(data, kind, limit_bytes=RECORD_MAX_BYTES)


REFUSED: Final = (NotSignedInError,)
MALFORMED: Final = (RemoteProtocolError,)
SHOWN: Final[dict[str, tuple[bytes, Read, tuple[type[Exception], ...]]]] = {
    "session": (
        SESSIONS.begin("alice", bytes(16), "bearer", WALL)[0].encode(),
        lambda data: SESSIONS.open(text(data), "bearer", WALL),
        REFUSED,
    ),
    "session of ours": (canonical.encode(SESSION), read_session_of_ours, REFUSED),
    "session of an issuer": (canonical.encode(ISSUED), read_issued_session, REFUSED),
    "sign-in under way": (canonical.encode(BEGUN), read_begun, REFUSED),
    "API token": (new_service_token()[0].encode(), lambda data: parse_service_token(text(data)), REFUSED),
    "basic": (base64.b64encode(b"alice:correct horse"), lambda data: _name_and_password(text(data)), REFUSED),
    "unread bearer token": (ISSUER.token().encode(), lambda data: unverified(text(data)), REFUSED),
    "bearer token": (
        ISSUER.token(iat=WALL, nbf=WALL, exp=WALL + 300).encode(),
        lambda data: check(text(data), KEYS, TERMS, WALL),
        REFUSED,
    ),
    "claims": (msgspec.json.encode(CLAIMS), read_claims, REFUSED),
    "keys of an issuer": (msgspec.json.encode(ISSUER.published), read_jwks, ()),
    "user": (canonical.encode(USER), kept(User), MALFORMED),
    "service": (canonical.encode(SERVICE), kept(Service), MALFORMED),
    "issuer": (canonical.encode(KEPT_ISSUER), kept(Issuer), MALFORMED),
    "signed out": (canonical.encode(SIGNED_OUT), kept(SignedOut), MALFORMED),
}
