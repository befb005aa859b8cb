"""What trackers are asked about people, services and issuers: JSON bodies, limits in the types. No I/O."""

from __future__ import annotations

import re
from typing import Annotated, Final, Literal

import msgspec

from swarm.errors import UsageError
from swarm.limits import TOKEN_MAX_LIFETIME_S
from swarm.log import WallTime
from swarm.principal import SUBJECT_NAME_CHARS

# A user or a service that is known here. No slash: what an issuer calls people is ``ISSUER/name``.
USER_NAME: Final = r"^[a-z0-9][a-z0-9._@-]{0,63}$"
ISSUER_NAME: Final = r"^[a-z0-9][a-z0-9._-]{0,31}$"
USER_GROUPS_MAX: Final = 32
URL_MAX_CHARS: Final = 512
CA_MAX_BYTES: Final = 8 * 1024
# How long an API token or a session lives.
SERVICE_TTL_S: Final = 90 * 86_400
SESSION_TTL_S: Final = 12 * 3600
# Whom an issuer may sign with. None is symmetric: a public key is nobody's secret.
Algorithm = Literal["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"]

UserName = Annotated[str, msgspec.Meta(pattern=USER_NAME)]
IssuerName = Annotated[str, msgspec.Meta(pattern=ISSUER_NAME)]
Group = Annotated[str, msgspec.Meta(min_length=1, max_length=SUBJECT_NAME_CHARS)]
Groups = Annotated[tuple[Group, ...], msgspec.Meta(max_length=USER_GROUPS_MAX)]
TokenId = Annotated[bytes, msgspec.Meta(min_length=8, max_length=8)]
Url = Annotated[str, msgspec.Meta(min_length=1, max_length=URL_MAX_CHARS)]
ClaimName = Annotated[str, msgspec.Meta(min_length=1, max_length=128)]
Scope = Annotated[str, msgspec.Meta(pattern=r"^[!#-\[\]-~]{1,64}$")]
Password = Annotated[str, msgspec.Meta(max_length=1024)]
Ttl = Annotated[int, msgspec.Meta(ge=1, le=TOKEN_MAX_LIFETIME_S)]

_USER_NAME: Final = re.compile(USER_NAME)


def is_user_name(text: str) -> bool:
    """Whether a user or a service that is known here may have this name."""
    return _USER_NAME.fullmatch(text) is not None


def check_user_name(text: str, what: str = "user") -> str:
    """The name of a user or a service, unchanged, or UsageError."""
    if not is_user_name(text):
        raise UsageError(
            f"{text[:80]!r} is not the name of a {what}: 1 to 64 of a-z, 0-9, '.', '_', '@', '-', "
            "first a letter or digit"
        )
    return text


class UserRequest(msgspec.Struct, frozen=True):
    """A new user; or another password for one: then ``groups`` None leaves those of before."""

    password: Password | None = None
    groups: Groups | None = None
    is_new: bool = False


class UserItem(msgspec.Struct, frozen=True):
    """A user, without what the password is checked with."""

    name: str
    groups: tuple[str, ...]
    changed: WallTime


class UsersAnswer(msgspec.Struct, frozen=True):
    """All users."""

    users: tuple[UserItem, ...]


class ServiceRequest(msgspec.Struct, frozen=True):
    """An API token for a service."""

    groups: Groups = ()
    ttl_s: Ttl = SERVICE_TTL_S


class ServiceAnswer(msgspec.Struct, frozen=True):
    """The token's text, which is told this once."""

    name: str
    id: str
    token: str
    expires: WallTime


class ServiceItem(msgspec.Struct, frozen=True):
    """An API token, without its secret."""

    name: str
    id: str
    groups: tuple[str, ...]
    created: WallTime
    expires: WallTime


class ServicesAnswer(msgspec.Struct, frozen=True):
    """All API tokens."""

    services: tuple[ServiceItem, ...]


class Issuing(msgspec.Struct, frozen=True):
    """An OIDC issuer whose tokens count here, if they are for ``audience``. People of it are ``name/...``.

    ``client_id`` and ``scopes`` are for ``aetherfs login``; ``ca`` (PEM) says whom the issuer's TLS is believed by,
    where that is not what the system believes. Claims may be nested: ``realm_access.roles``.
    """

    name: IssuerName
    issuer: Url
    audience: ClaimName
    client_id: ClaimName
    scopes: Annotated[tuple[Scope, ...], msgspec.Meta(max_length=16)] = ("openid", "profile", "offline_access")
    user_claim: ClaimName = "sub"
    groups_claim: ClaimName = "groups"
    algorithms: Annotated[tuple[Algorithm, ...], msgspec.Meta(min_length=1, max_length=10)] = ("RS256", "ES256")
    ca: Annotated[str, msgspec.Meta(max_length=CA_MAX_BYTES)] = ""


class IssuersAnswer(msgspec.Struct, frozen=True):
    """All issuers, as anybody may know them: it is how one signs in."""

    issuers: tuple[Issuing, ...]


class SignedInAnswer(msgspec.Struct, frozen=True):
    """A session: a bearer token that stands for a password for some hours."""

    token: str
    expires: WallTime


class SignOutRequest(msgspec.Struct, frozen=True):
    """Let nothing count that was issued to this subject until now."""

    subject: Annotated[str, msgspec.Meta(min_length=1, max_length=SUBJECT_NAME_CHARS + 16)]


class WhoAnswer(msgspec.Struct, frozen=True):
    """Who asks, as this tracker knows it."""

    kind: str
    name: str
    groups: tuple[str, ...]
    labels: tuple[str, ...]
    subjects: tuple[str, ...]


class VisitorAnswer(msgspec.Struct, frozen=True):
    """Who looks with this browser, None for nobody; ``may_look``: whether the dashboard has anything to show him."""

    who: WhoAnswer | None
    may_look: bool
