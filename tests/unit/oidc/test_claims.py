"""Which bearer tokens count: the attacks of RFC 8725 and some more, each on a token that is good otherwise."""

from __future__ import annotations

import time
from typing import Any

import msgspec
import pytest
from joserfc.errors import SecurityWarning
from joserfc.jwk import ECKey, KeySet, OctKey, RSAKey

from swarm.errors import NotSignedInError
from swarm.oidc.claims import KEYS_MAX, TOKEN_MAX_CHARS, Terms, check, keys_of, unverified
from tests.made_issuer import AUDIENCE, MadeIssuer, forged

# Of this moment, however late a test comes.
NOW = time.time()


def clock() -> float:
    return NOW


@pytest.fixture(scope="module")
def issuer() -> MadeIssuer:
    return MadeIssuer(clock)


@pytest.fixture(scope="module")
def rsa() -> RSAKey:
    return RSAKey.generate_key(2048, {"kid": "rsa", "use": "sig"})


def terms(issuer: MadeIssuer, **changes: Any) -> Terms:
    """What is asked of a token."""
    given = {"name": "corp", "issuer": issuer.url, "audience": AUDIENCE, "algorithms": ("RS256", "ES256"), **changes}
    return Terms(**given)


def subjects(issuer: MadeIssuer, token: str, **changes: Any) -> tuple[str, ...]:
    """The subjects of who a token names."""
    return check(token, keys_of(issuer.published), terms(issuer, **changes), NOW).principal.subjects()


def test_a_good_token_names_somebody_of_its_issuer(issuer: MadeIssuer) -> None:
    token = issuer.token(groups=["ops", "dev", "ops"])
    assert subjects(issuer, token) == ("user:corp/alice", "group:corp/ops", "group:corp/dev", "anyone")


@pytest.mark.parametrize(
    "changes",
    [
        {"aud": "another"},
        {"aud": ["another", "third"]},
        {"aud": []},
        {"aud": None},
        {"aud": f"{AUDIENCE} another"},
        {"iss": "https://another.example"},
        {"iss": None},
        {"exp": NOW - 61},
        {"exp": None},
        {"exp": str(int(NOW) + 300)},
        {"exp": True},
        {"exp": 1e300},
        {"exp": 10**40},
        {"nbf": NOW + 120},
        {"iat": NOW + 120},
        {"nbf": "now"},
        {"sub": None},
        {"sub": ""},
        {"sub": 7},
        {"sub": "ali\nce"},
        {"sub": "a" * 200},
        {"groups": [f"g{number}" for number in range(200)]},
        # What ends a session is no proof of who somebody is, nor is what is bound to another key.
        {"events": {"http://schemas.openid.net/event/backchannel-logout": {}}},
        {"cnf": {"jkt": "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I"}},
    ],
)
def test_what_a_token_must_not_say(issuer: MadeIssuer, changes: dict[str, Any]) -> None:
    token = issuer.token(**changes)
    with pytest.raises(NotSignedInError):
        subjects(issuer, token)


@pytest.mark.parametrize("header", [{"typ": "logout+jwt"}, {"typ": "secevent+jwt"}, {"kid": "unknown"}])
def test_what_a_header_must_not_say(issuer: MadeIssuer, header: dict[str, Any]) -> None:
    token = issuer.token(header)
    with pytest.raises(NotSignedInError):
        subjects(issuer, token)


def test_algorithm_confusion(issuer: MadeIssuer, rsa: RSAKey) -> None:
    """A public key is nobody's secret: HMAC with it, and ``none``, prove nothing, whatever is in the JWKS."""
    public = {**issuer.published, "keys": [*issuer.published["keys"], rsa.as_dict(private=False)]}
    claims, keys = issuer.claims(), keys_of(public)
    pem = rsa.as_pem(private=False)
    tokens = [
        forged({"alg": "none"}, claims, b""),
        forged({"alg": "None", "kid": "first"}, claims, b""),
        forged({"alg": "HS256", "kid": "rsa"}, claims, key=pem),
        forged({"alg": "HS256", "kid": "rsa"}, claims, key=pem.strip()),
        forged({"alg": "RS256", "kid": "rsa"}, claims, key=pem),
        forged({"alg": "ES256", "kid": "first"}, claims, bytes(64)),
        forged({"alg": "ES256", "kid": "first"}, claims, b""),
        forged({"alg": "HS256"}, claims, key=b"secret"),
        forged({"alg": ["ES256"], "kid": "first"}, claims, b""),
        forged({"kid": "first"}, claims, b""),
    ]
    for token in tokens:
        with pytest.raises(NotSignedInError):
            check(token, keys, terms(issuer), NOW)


def test_a_key_that_the_token_brings_does_not_count(issuer: MadeIssuer) -> None:
    other = MadeIssuer(clock)
    other.url = issuer.url
    brought = other.keys["first"].as_dict(private=False)
    for header in ({"jwk": brought}, {"kid": None, "jwk": brought}, {"jku": "https://evil.example/jwks"}):
        token = other.token({name: value for name, value in header.items() if value is not None})
        with pytest.raises(NotSignedInError):
            check(token, keys_of(issuer.published), terms(issuer), NOW)


def test_a_listed_algorithm_counts_for_its_own_kind_of_key_alone(issuer: MadeIssuer, rsa: RSAKey) -> None:
    with pytest.raises(NotSignedInError):
        subjects(issuer, issuer.token(), algorithms=("RS256",))
    header = {"alg": "RS256", "kid": "first"}
    with pytest.raises(NotSignedInError):
        subjects(issuer, forged(header, issuer.claims(), b"\1" * 256))


def test_a_changed_token_is_not_the_issuers(issuer: MadeIssuer) -> None:
    head, claims, seal = issuer.token().split(".")
    other = issuer.token(sub="mallory").split(".")
    for token in (f"{head}.{other[1]}.{seal}", f"{head}.{claims}.{other[2]}", f"{other[0]}.{other[1]}.{seal}"):
        with pytest.raises(NotSignedInError):
            subjects(issuer, token)


def test_keys_that_are_secret_weak_or_for_something_else_are_left_out(issuer: MadeIssuer, rsa: RSAKey) -> None:
    with pytest.warns(SecurityWarning):
        weak = RSAKey.generate_key(1024, {"kid": "weak"}).as_dict(private=False)
    secret = OctKey.generate_key(256, {"kid": "secret"}).as_dict()
    sealing = {**ECKey.generate_key("P-256").as_dict(private=False), "use": "enc"}
    junk: list[Any] = [weak, secret, sealing, 7, {}, {"kty": "EC", "crv": "P-256", "x": "AA", "y": 1}, {"kty": "RSA"}]
    found = keys_of({"keys": [*junk, *issuer.published["keys"]]})
    assert keys_of({"keys": [rsa.as_dict(private=False)]}).keys
    assert [key.kid for key in found.keys] == ["first"]
    assert not keys_of({}).keys and not keys_of({"keys": "x"}).keys and not keys_of(None).keys
    assert len(keys_of({"keys": issuer.published["keys"] * 100}).keys) == KEYS_MAX


@pytest.mark.parametrize(
    "text",
    ["", ".", "..", "a.b", "a.b.c", "é.é.é", "e30.e30", "e30.W10.", "bnVsbA.e30.", "x" * (TOKEN_MAX_CHARS + 1)],
)
def test_what_is_no_token(text: str) -> None:
    with pytest.raises(NotSignedInError):
        check(text, KeySet([]), terms(MadeIssuer(clock)), NOW)


def test_nested_deeply_is_no_token() -> None:
    head = forged({"alg": "ES256"}, {}, b"").split(".")[0]
    deep = msgspec.json.decode(b'"' + b"[" * 5000 + b'"')
    with pytest.raises(NotSignedInError):
        unverified(f"{head}.{deep}.")


def test_a_mail_address_counts_if_the_issuer_has_verified_it(issuer: MadeIssuer) -> None:
    good = issuer.token(email="alice@example.org", email_verified=True)
    assert subjects(issuer, good, user_claim="email")[0] == "user:corp/alice@example.org"
    for stated in (False, "true", 1):
        with pytest.raises(NotSignedInError):
            subjects(issuer, issuer.token(email="alice@example.org", email_verified=stated), user_claim="email")


def test_groups_may_be_nested_and_one(issuer: MadeIssuer) -> None:
    token = issuer.token(realm_access={"roles": ["ops", 7, "a\tb", None]}, team="one")
    assert subjects(issuer, token, groups_claim="realm_access.roles") == ("user:corp/alice", "group:corp/ops", "anyone")
    assert subjects(issuer, token, groups_claim="team")[1:-1] == ("group:corp/one",)
    assert subjects(issuer, token, groups_claim="realm_access.roles.deeper")[1:-1] == ()


def test_a_name_never_means_a_user_here_or_of_another_issuer(issuer: MadeIssuer) -> None:
    assert subjects(issuer, issuer.token(sub="other/alice"))[0] == "user:corp/other/alice"
