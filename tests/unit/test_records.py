"""Credentials and grants: only the authority's, only in force, only what they say."""

from __future__ import annotations

import pytest

from swarm import canonical
from swarm.errors import RemoteProtocolError
from swarm.identity import PeerKey
from swarm.limits import CLOCK_SKEW_S, GRANT_MAX_RULES, RECORD_MAX_BYTES
from swarm.records import Action, Address, Credential, Grant, Rule, Signed, open_sealed, seal
from swarm.trust import Trust

CA = PeerKey(b"c" * 32)
MEMBER = PeerKey(b"m" * 32)
NOW = 1_800_000_000
CREDENTIAL = Credential(1, MEMBER.public, "peer", "here", NOW, NOW + 100)
GRANT = Grant(1, MEMBER.public, (Rule("read", "osm/*"), Rule("publish", "osm/roads")), NOW, NOW + 100)


def test_what_the_authority_sealed_is_read_back() -> None:
    assert open_sealed(seal(CA, CREDENTIAL), Credential, authority=Trust(CA.public), wall_now=NOW) == CREDENTIAL
    assert open_sealed(seal(CA, GRANT), Grant, authority=Trust(CA.public), wall_now=NOW) == GRANT
    assert CREDENTIAL.peer_id == MEMBER.peer_id


def test_nobody_else_may_seal() -> None:
    with pytest.raises(RemoteProtocolError, match="not signed"):
        open_sealed(seal(MEMBER, GRANT), Grant, authority=Trust(CA.public), wall_now=NOW)


def test_one_kind_is_not_taken_for_another() -> None:
    """A credential's bytes resealed as a grant, and a credential's seal on a grant's body."""
    with pytest.raises(RemoteProtocolError, match="not signed"):
        open_sealed(seal(CA, CREDENTIAL), Grant, authority=Trust(CA.public), wall_now=NOW)
    body = canonical.encode(GRANT)
    crossed = canonical.encode(Signed(body, CA.sign("credential", body)))
    with pytest.raises(RemoteProtocolError, match="not signed"):
        open_sealed(crossed, Grant, authority=Trust(CA.public), wall_now=NOW)


@pytest.mark.parametrize(
    ("wall_now", "refusal"),
    [(NOW + 99.9, None), (NOW + 100, "expired"), (NOW - CLOCK_SKEW_S, None), (NOW - CLOCK_SKEW_S - 1, "in the future")],
)
def test_only_while_in_force(wall_now: float, refusal: str | None) -> None:
    sealed = seal(CA, GRANT)
    if refusal is None:
        assert open_sealed(sealed, Grant, authority=Trust(CA.public), wall_now=wall_now) == GRANT
    else:
        with pytest.raises(RemoteProtocolError, match=refusal):
            open_sealed(sealed, Grant, authority=Trust(CA.public), wall_now=wall_now)


def test_every_byte_counts() -> None:
    sealed = seal(CA, GRANT)
    for at in range(len(sealed)):
        damaged = bytearray(sealed)
        damaged[at] ^= 1
        with pytest.raises(RemoteProtocolError):
            open_sealed(bytes(damaged), Grant, authority=Trust(CA.public), wall_now=NOW)


@pytest.mark.parametrize(
    ("action", "dataset", "expected"),
    [
        ("read", "osm/roads", True),
        ("read", "osm/rivers", True),
        ("read", "osmium/roads", False),
        ("publish", "osm/roads", True),
        ("publish", "osm/rivers", False),
    ],
)
def test_a_grant_allows_what_its_rules_say(action: Action, dataset: str, expected: bool) -> None:
    assert GRANT.allows(action, dataset) is expected


def test_no_rules_allow_nothing() -> None:
    assert not Grant(1, MEMBER.public, (), NOW, NOW + 1).allows("read", "osm/roads")


@pytest.mark.parametrize(
    "grant",
    [
        Grant(1, b"short", (), NOW, NOW + 100),
        Grant(1, MEMBER.public, (Rule("read", "osm/*"),) * (GRANT_MAX_RULES + 1), NOW, NOW + 100),
        Grant(1, MEMBER.public, (Rule("read", ""),), NOW, NOW + 100),
        Grant(1, MEMBER.public, (Rule("write", "osm/*"),), NOW, NOW + 100),  # type: ignore[arg-type]
        Grant(2, MEMBER.public, (), NOW, NOW + 100),  # type: ignore[arg-type]
    ],
)
def test_a_sealed_body_is_checked_all_the_same(grant: Grant) -> None:
    with pytest.raises(RemoteProtocolError, match="malformed"):
        open_sealed(seal(CA, grant), Grant, authority=Trust(CA.public), wall_now=NOW)


def test_addresses_in_text() -> None:
    assert str(Address("192.0.2.1", 7071)) == "192.0.2.1:7071"
    assert str(Address("2001:db8::1", 7071)) == "[2001:db8::1]:7071"
    for host, port in (("", 1), ("h", 0), ("h", 65536), ("h" * 254, 1)):
        with pytest.raises(RemoteProtocolError):
            canonical.decode(canonical.encode(Address(host, port)), Address, limit_bytes=1000)


def test_a_record_has_its_limit() -> None:
    with pytest.raises(RemoteProtocolError, match="the limit is"):
        open_sealed(bytes(2 * RECORD_MAX_BYTES + 1), Grant, authority=Trust(CA.public), wall_now=NOW)
