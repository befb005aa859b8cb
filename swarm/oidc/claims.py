"""Whether a bearer token of an OIDC issuer counts, and whom it names (RFC 7519, RFC 8725, OpenID Connect Core). Pure.

Algorithms are those that were listed for the issuer, none of them symmetric, and the key is one that the issuer
publishes for signatures, never one that the token brings. The token has to be for us (``aud``), of now (``exp``,
``nbf``, ``iat``), and meant to say who somebody is: what ends a session, or is bound to another key, does not.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import msgspec
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, Key, KeySet, OKPKey, RSAKey
from joserfc.jws import JWSRegistry

from swarm.errors import NotSignedInError, UsageError
from swarm.principal import GROUPS_MAX, Principal, check_subject_name

TOKEN_MAX_CHARS: Final = 16 * 1024
KEYS_MAX: Final = 64
RSA_MIN_BITS: Final = 2048
_BASE64_BITS: Final = 6
# Clocks differ.
LEEWAY_S: Final = 60
# Beyond it, and where it is no number at all, a time is none.
TIME_MAX: Final = 1e12
TYPES: Final = frozenset({"", "jwt", "at+jwt", "application/at+jwt"})
_KINDS: Final[Mapping[str, type[RSAKey] | type[ECKey] | type[OKPKey]]] = {"RSA": RSAKey, "EC": ECKey, "OKP": OKPKey}


@dataclass(frozen=True, slots=True)
class Terms:
    """What a token has to fulfil, and where it names somebody."""

    name: str
    issuer: str
    audience: str
    algorithms: tuple[str, ...]
    user_claim: str = "sub"
    groups_claim: str = "groups"


@dataclass(frozen=True, slots=True)
class Named:
    """Whom a token names, and when it was issued (wall seconds; 0: it does not say)."""

    principal: Principal
    issued: int


def keys_of(document: object) -> KeySet:
    """The keys that an issuer signs with, out of its JWKS. What is for something else, weak or unknown is left out."""
    listed = document.get("keys") if isinstance(document, dict) else None
    found = [_key(each) for each in (listed if isinstance(listed, list) else [])[:KEYS_MAX]]
    return KeySet([key for key in found if key is not None])


def _key(document: object) -> Key | None:
    if not isinstance(document, dict) or document.get("use", "sig") != "sig":
        return None
    kind = _KINDS.get(str(document.get("kty")))
    if kind is None or "verify" not in document.get("key_ops", ["verify"]):
        return None
    if kind is RSAKey and len(str(document.get("n"))) * _BASE64_BITS < RSA_MIN_BITS:
        return None
    try:
        return kind.import_key(document)
    except (JoseError, ValueError, TypeError, AttributeError, KeyError):
        return None


def unverified(token: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Header and claims of a token that proves nothing yet, to choose by which issuer and key to check it."""
    parts = token.split(".")
    if len(token) > TOKEN_MAX_CHARS or len(parts) != 3:
        raise NotSignedInError("this is not a bearer token: sign in anew")
    header, claims = (_object(part) for part in parts[:2])
    return header, claims


def _object(part: str) -> dict[str, Any]:
    try:
        data = base64.b64decode(part + "=" * (-len(part) % 4), altchars=b"-_", validate=True)
        return msgspec.json.decode(data, type=dict[str, Any])
    except (binascii.Error, ValueError, msgspec.MsgspecError, RecursionError) as error:
        raise NotSignedInError("this is not a bearer token: sign in anew") from error


def kid_of(header: Mapping[str, Any]) -> str:
    """The key that a header names, empty for none."""
    kid = header.get("kid", "")
    return kid if isinstance(kid, str) else ""


def fitting(keys: KeySet, header: Mapping[str, Any]) -> list[Key]:
    """The keys that a header may mean."""
    kid = kid_of(header)
    found = [key for key in keys.keys if not kid or key.kid == kid]
    return found if kid or len(found) == 1 else []


def check(token: str, keys: KeySet, terms: Terms, wall_now: float) -> Named:
    """Whom a token names, or NotSignedInError with the reason."""
    header, _ = unverified(token)
    algorithm = header.get("alg")
    if algorithm not in terms.algorithms or "crit" in header:
        raise NotSignedInError(f"tokens of {terms.name} are signed with {', '.join(terms.algorithms)}, and not so")
    if str(header.get("typ", "")).lower() not in TYPES:
        raise NotSignedInError("this token is for something else than to say who somebody is")
    for key in fitting(keys, header):
        if key.get("alg", algorithm) == algorithm and (claims := _verified(token, key, algorithm)) is not None:
            return named(claims, terms, wall_now)
    raise NotSignedInError(f"this token is not signed by a key that {terms.name} publishes")


def _verified(token: str, key: Key, algorithm: str) -> Mapping[str, Any] | None:
    """The claims, if this key signed them in this way."""
    try:
        return jwt.decode(token, key, algorithms=[algorithm], registry=JWSRegistry(algorithms=[algorithm])).claims
    except (JoseError, ValueError, TypeError):
        return None


def named(claims: Mapping[str, Any], terms: Terms, wall_now: float) -> Named:
    """Whom verified claims name, if they are of now and for us. NotSignedInError with the reason."""
    if claims.get("iss") != terms.issuer:
        raise NotSignedInError("this token is of another issuer")
    audience = claims.get("aud")
    if terms.audience not in (audience if isinstance(audience, list) else [audience]):
        raise NotSignedInError(f"this token is for another audience than {terms.audience!r}")
    _check_time(claims, wall_now)
    if "events" in claims or "cnf" in claims:
        raise NotSignedInError("this token is for something else than to say who somebody is")
    if terms.user_claim == "email" and claims.get("email_verified", True) is not True:
        raise NotSignedInError(f"{terms.name} has not verified this mail address")
    return Named(_principal(claims, terms), int(_time(claims, "iat", 0.0)))


def _check_time(claims: Mapping[str, Any], wall_now: float) -> None:
    if _time(claims, "exp", float("-inf")) <= wall_now - LEEWAY_S:
        raise NotSignedInError("this token has expired: sign in anew")
    if max(_time(claims, "nbf", 0.0), _time(claims, "iat", 0.0)) > wall_now + LEEWAY_S:
        raise NotSignedInError("this token does not count yet: do the clocks agree?")


def _time(claims: Mapping[str, Any], name: str, otherwise: float) -> float:
    value = claims.get(name, otherwise)
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if name in claims and not (is_number and abs(value) < TIME_MAX):
        raise NotSignedInError(f"this token states no time as {name}")
    return float(value)


def _principal(claims: Mapping[str, Any], terms: Terms) -> Principal:
    name = _claim(claims, terms.user_claim)
    if not isinstance(name, str) or not name or not isinstance(claims.get("sub"), str):
        raise NotSignedInError(f"this token names nobody: it has no {terms.user_claim}")
    stated = _claim(claims, terms.groups_claim)
    groups = [stated] if isinstance(stated, str) else stated if isinstance(stated, list) else []
    if len(groups) > GROUPS_MAX:
        raise NotSignedInError(f"this token names more than {GROUPS_MAX} groups: have {terms.name} state fewer")
    try:
        prefixed = check_subject_name(f"{terms.name}/{name}", "user")
    except UsageError as error:
        raise NotSignedInError(str(error)) from error
    return Principal("user", prefixed, tuple(_known_groups(groups, terms.name)))


def _known_groups(groups: Iterable[object], issuer: str) -> Iterable[str]:
    """Those that rules can name."""
    for group in dict.fromkeys(f"{issuer}/{group}" for group in groups if isinstance(group, str)):
        try:
            yield check_subject_name(group, "group")
        except UsageError:
            continue


def _claim(claims: Mapping[str, Any], name: str) -> object:
    """A claim by its name, or by the way to it through nested ones."""
    if name in claims:
        return claims[name]
    found: object = claims
    for part in name.split("."):
        found = found.get(part) if isinstance(found, dict) else None
    return found
