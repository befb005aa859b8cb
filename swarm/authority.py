"""The swarm's certificate authority: an Ed25519 key that makes members, and may be followed by another.

It issues X.509 certificates whose one name follows from the member's key, and seals the credential and the grant that
tell the member's role and rights. Certificates are Ed25519 under a self-signed root; nothing is issued for a name that
the key does not prove. This module computes; where the CA's key lies is the tracker's business.
"""

from __future__ import annotations

import datetime
import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from swarm import records
from swarm.errors import RemoteProtocolError
from swarm.identity import PeerKey, peer_id_of, server_name_of
from swarm.limits import CERTIFICATE_LIFETIME_S, CLOCK_SKEW_S, GRANT_LIFETIME_S
from swarm.records import Credential, Grant, Role, Rule
from swarm.roster import root_fingerprint
from swarm.trust import Succession, Trust, open_succession, seal_succession

ROOT_LIFETIME_S: Final = 30 * 365 * 86_400


@dataclass(frozen=True, slots=True)
class Membership:
    """What a member is given: certificate (PEM), sealed credential, sealed grant."""

    certificate: bytes
    credential: bytes
    grant: bytes


class Authority:
    """The CA: the key that seals now, and those before and after it, as ``trust`` tells.

    ``certificate`` is its root in PEM, ``public`` its 32-byte key, ``fingerprint`` what a token pins: of the swarm's
    root if it has one, else SHA-256 of the certificate in DER. Which key is in force is settled by ``advance``; threads
    may use it meanwhile.
    """

    def __init__(self, key: PeerKey, certificate: bytes, swarm_root: bytes = b"") -> None:
        self.trust = Trust(key.public, certificate, pinned=swarm_root)
        self._keys = {key.public: key}
        self._now = self.trust.newest

    def __repr__(self) -> str:
        return f"<Authority {self.fingerprint.hex()[:8]}>"

    @property
    def key(self) -> PeerKey:
        return self._keys[self._now.public]

    @property
    def public(self) -> bytes:
        return self._now.public

    @property
    def certificate(self) -> bytes:
        return self._now.root

    @property
    def fingerprint(self) -> bytes:
        return root_fingerprint(self.trust.swarm_root) if self.trust.roster else fingerprint_of(self._now.root)

    @property
    def fingerprints(self) -> tuple[bytes, ...]:
        """Those of every root that it has had: a token may pin any of them."""
        return fingerprints_of(self.trust)

    def obey(self, roster: bytes, keys: Iterable[PeerKey]) -> None:
        """Take a newer roster, with those of its keys that are to be sealed with here. RemoteProtocolError for one that
        the swarm's root did not seal, or that is older.
        """
        self._keys |= {key.public: key for key in keys}
        if not self.trust.learn([roster]):
            raise RemoteProtocolError("a roster is not of this swarm's root, or not newer than the last one")
        self._now = self.trust.find(self._now.public) or self._now

    def succeed(self, key: PeerKey, link: bytes) -> None:
        """Take up a successor. RemoteProtocolError for a link that does not lead from the newest key to this one."""
        if open_succession(link).public != key.public:
            raise RemoteProtocolError("a succession of the CA leads to another key")
        self._keys[key.public] = key
        if not self.trust.learn([link]) or self.trust.newest.public != key.public:
            raise RemoteProtocolError("a succession of the CA does not follow the last one")

    def advance(self, wall_now: float) -> bool:
        """Let the key seal that is in force now. Whether that is another one than before."""
        before, self._now = self._now.public, self.trust.in_force(wall_now)
        return self._now.public != before

    def successor(self, key: PeerKey, wall_now: float, in_force: int, retired: int) -> bytes:
        """The link by which this key would follow the newest one; ``succeed`` takes it up."""
        newest = self.trust.newest
        made = create(key, wall_now)
        link = Succession(1, newest.public, newest.root, key.public, made.certificate, in_force, retired)
        return seal_succession(self._keys[newest.public], key, link)

    def admit(
        self,
        public: bytes,
        role: Role,
        site: str,
        rules: tuple[Rule, ...],
        wall_now: float,
        *,
        granted: int | None = None,
        grant_lifetime_s: int = GRANT_LIFETIME_S,
    ) -> Membership:
        """Make a key a member, or renew it: certificate, credential and grant from ``wall_now`` on.

        ``granted``: when the policy was known to say what the grant says, which is what it is dated with.
        """
        issued, key = int(wall_now), self.key
        since = issued if granted is None else granted
        credential = Credential(1, public, role, site, issued, issued + CERTIFICATE_LIFETIME_S)
        grant = Grant(1, public, rules, since, since + grant_lifetime_s)
        return Membership(
            certificate=self._certify(public, wall_now),
            credential=records.seal(key, credential),
            grant=records.seal(key, grant),
        )

    def _certify(self, public: bytes, wall_now: float) -> bytes:
        name = x509.DNSName(server_name_of(peer_id_of(public)))
        now = self._now
        root = x509.load_pem_x509_certificate(now.root)
        builder = (
            x509.CertificateBuilder()
            .subject_name(x509.Name([]))
            .issuer_name(root.subject)
            .public_key(Ed25519PublicKey.from_public_bytes(public))
            .serial_number(x509.random_serial_number())
            .not_valid_before(_utc(wall_now - CLOCK_SKEW_S))
            .not_valid_after(_utc(wall_now + CERTIFICATE_LIFETIME_S))
            .add_extension(x509.SubjectAlternativeName([name]), critical=True)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(
                x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]),
                critical=False,
            )
        )
        return _pem(builder.sign(_private(self._keys[now.public]), None))


def create(key: PeerKey, wall_now: float) -> Authority:
    """A new authority around a key, with a self-signed root."""
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, root_name(key.public))])
    builder = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(Ed25519PublicKey.from_public_bytes(key.public))
        .serial_number(x509.random_serial_number())
        .not_valid_before(_utc(wall_now - CLOCK_SKEW_S))
        .not_valid_after(_utc(wall_now + ROOT_LIFETIME_S))
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(x509.SubjectKeyIdentifier(hashlib.sha256(key.public).digest()[:20]), critical=False)
    )
    return Authority(key, _pem(builder.sign(_private(key), None)))


def root_name(public: bytes) -> str:
    """The name of a root, by its key: certificates under it state it as their issuer's."""
    return f"AetherFS swarm {peer_id_of(public)[:16]}"


def fingerprint_of(certificate: bytes) -> bytes:
    """SHA-256 (32 bytes) of a PEM certificate's DER: what a join token pins. ValueError if it is none."""
    return hashlib.sha256(_read(certificate)[0].public_bytes(serialization.Encoding.DER)).digest()


def fingerprints_of(trust: Trust) -> tuple[bytes, ...]:
    """What a token of the swarm may pin: its root, and every certificate that its CA has had."""
    of_root = (root_fingerprint(trust.swarm_root),) if trust.roster is not None else ()
    return (
        *of_root,
        *(fingerprint_of(anchor.root) for anchor in trust.anchors if anchor.root and not anchor.is_stolen),
    )


def public_of_root(certificate: bytes) -> bytes:
    """The 32-byte Ed25519 key of a root in PEM. ValueError if it holds another kind of key."""
    key = _read(certificate)[1]
    if not isinstance(key, Ed25519PublicKey):
        raise ValueError("the swarm's root certificate does not hold an Ed25519 key")
    return key.public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)


def _read(certificate: bytes) -> tuple[x509.Certificate, object]:
    """A PEM certificate and its public key. Not all that the library raises of one that is odd is a ValueError."""
    try:
        found = x509.load_pem_x509_certificate(certificate)
        return found, found.public_key()
    except (UnsupportedAlgorithm, x509.InvalidVersion) as error:
        raise ValueError(f"a certificate of a kind that is not in use here: {error}") from error


def private_pem(key: PeerKey, password: str | None = None) -> bytes:
    """A peer key as PKCS#8 PEM, for the TLS library: in the clear, or under a password."""
    sealing = serialization.BestAvailableEncryption(password.encode()) if password else serialization.NoEncryption()
    return _private(key).private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, sealing)


def _private(key: PeerKey) -> Ed25519PrivateKey:
    return Ed25519PrivateKey.from_private_bytes(key.seed)


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)


def _utc(wall: float) -> datetime.datetime:
    return datetime.datetime.fromtimestamp(int(wall), datetime.UTC)
