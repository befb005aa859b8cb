"""The swarm's authority: certificates whose one name follows from the key, and the papers that go with them."""

from __future__ import annotations

import datetime

import pytest
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.x509.oid import ExtendedKeyUsageOID

from swarm import authority
from swarm.identity import PeerKey, server_name_of
from swarm.limits import CERTIFICATE_LIFETIME_S, GRANT_LIFETIME_S
from swarm.records import Credential, Grant, Rule, open_sealed
from swarm.trust import Trust

NOW = 1_800_000_000.5
CA = authority.create(PeerKey(b"c" * 32), NOW)
MEMBER = PeerKey(b"m" * 32)
PAPERS = CA.admit(MEMBER.public, "seed", "here", (Rule("read", "osm/*"),), NOW)
CERTIFICATE = x509.load_pem_x509_certificate(PAPERS.certificate)


def test_a_certificate_has_the_one_name_of_its_key() -> None:
    names = CERTIFICATE.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    assert names.critical
    assert list(names.value) == [x509.DNSName(server_name_of(MEMBER.peer_id))]
    assert list(CERTIFICATE.subject) == []
    key = CERTIFICATE.public_key()
    assert isinstance(key, Ed25519PublicKey)
    assert key.public_bytes_raw() == MEMBER.public


def test_a_member_cannot_certify() -> None:
    constraints = CERTIFICATE.extensions.get_extension_for_class(x509.BasicConstraints)
    assert constraints.critical
    assert not constraints.value.ca
    usage = CERTIFICATE.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert set(usage) == {ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH}


def test_it_is_signed_by_this_authority_only() -> None:
    root = x509.load_pem_x509_certificate(CA.certificate)
    CERTIFICATE.verify_directly_issued_by(root)
    other = authority.create(PeerKey(b"d" * 32), NOW)
    with pytest.raises((ValueError, InvalidSignature)):
        CERTIFICATE.verify_directly_issued_by(x509.load_pem_x509_certificate(other.certificate))
    assert other.fingerprint != CA.fingerprint


def test_it_lives_as_long_as_the_table_says() -> None:
    wall = datetime.datetime.fromtimestamp(int(NOW), datetime.UTC)
    assert CERTIFICATE.not_valid_before_utc < wall
    assert (CERTIFICATE.not_valid_after_utc - wall).total_seconds() == CERTIFICATE_LIFETIME_S


def test_credential_and_grant_go_with_it() -> None:
    credential = open_sealed(PAPERS.credential, Credential, authority=Trust(CA.public), wall_now=NOW)
    assert (credential.public, credential.role, credential.site) == (MEMBER.public, "seed", "here")
    grant = open_sealed(PAPERS.grant, Grant, authority=Trust(CA.public), wall_now=NOW)
    assert (grant.public, grant.expires - grant.issued) == (MEMBER.public, GRANT_LIFETIME_S)
    assert grant.allows("read", "osm/roads")
    assert not grant.allows("publish", "osm/roads")


def test_the_root_gives_its_key_and_fingerprint() -> None:
    assert authority.public_of_root(CA.certificate) == CA.public == PeerKey(b"c" * 32).public
    assert authority.fingerprint_of(CA.certificate) == CA.fingerprint
    assert authority.Authority(CA.key, CA.certificate).fingerprint == CA.fingerprint
