"""What the tracker's listener shows: its member's certificate to members, another one to people.

Browsers refuse Ed25519 certificates, so any server name that is not a key gets the certificate that was given, which is
looked after while the tracker runs, or else a self-signed P-256 one (``own_certificate``). Nothing is trusted because
of these: members call the tracker by its key. Keys touch the disk only as long as OpenSSL reads them, in a folder that
nobody else can enter.
"""

from __future__ import annotations

import datetime
import ipaddress
import secrets
import ssl
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from swarm.authority import private_pem
from swarm.errors import UsageError
from swarm.http.tls import TlsFiles, peer_client_context, tracker_server_context
from swarm.identity import PeerKey
from swarm.limits import CERTIFICATE_LIFETIME_S, CLOCK_SKEW_S

# What a member's key lies under while OpenSSL reads it: a disk that is looked at later tells nothing.
ONCE: Final = secrets.token_hex(32)


class GivenCertificate:
    """The certificate for people that was given as files, and is renewed there by somebody else."""

    def __init__(self, certificate: Path, key: Path) -> None:
        self._certificate = certificate
        self._key = key
        self._seen: list[tuple[int, int, int]] = []

    @classmethod
    def named(cls, certificate: str, key: str) -> GivenCertificate | None:
        """Out of the settings; None for none. UsageError for half of one."""
        if bool(certificate) != bool(key):
            raise UsageError("a certificate for people is two files: give --tls-cert and --tls-key")
        return cls(Path(certificate), Path(key)) if certificate else None

    def read(self) -> tuple[bytes, bytes]:
        """Certificate and key, both PEM, as they lie there. UsageError when they do not fit."""
        try:
            self._seen = self._stated()
            pair = self._certificate.read_bytes(), self._key.read_bytes()
        except OSError as error:
            raise UsageError(
                f"cannot read {error.filename}: {error.strerror}; check --tls-cert and --tls-key"
            ) from error
        with _written(*pair, b"") as files:
            try:
                # Tried on a context of its own: one that is in use would be left with half of a pair.
                ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(files.certificate, files.key, _no_passphrase)
            except (ssl.SSLError, OSError) as error:
                raise UsageError(
                    f"{self._certificate} and {self._key} are no certificate and its key{_why(error)}: "
                    "give both as PEM, the key without a passphrase"
                ) from error
        return pair

    def expires(self) -> float:
        """When it ends, wall seconds; 0 for what cannot be read now."""
        try:
            data = self._certificate.read_bytes()
            return x509.load_pem_x509_certificate(data).not_valid_after_utc.timestamp()
        except (OSError, ValueError):
            return 0.0

    def is_changed(self) -> bool:
        """Whether the files are others than when they were read. Files that are not there are not, yet."""
        try:
            return self._stated() != self._seen
        except OSError:
            return False

    def _stated(self) -> list[tuple[int, int, int]]:
        stats = (path.stat() for path in (self._certificate, self._key))
        return [(stat.st_ino, stat.st_mtime_ns, stat.st_size) for stat in stats]

    def __repr__(self) -> str:
        return f"<GivenCertificate {self._certificate}>"


def listener_context(
    key: PeerKey,
    certificate: bytes,
    root: bytes,
    shown: tuple[bytes, bytes],
) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """The TLS contexts of a tracker, for members and for people. ``shown``: certificate and key for these, PEM;
    ``root`` (PEM) may be several.
    """
    web_certificate, web_key = shown
    with tempfile.TemporaryDirectory(prefix="aetherfs-tls-") as folder:
        member = _write(Path(folder) / "member", certificate, private_pem(key, ONCE), root)
        people = _write(Path(folder) / "people", web_certificate, web_key, root, password=None)
        return tracker_server_context(member, people)


def member_context(key: PeerKey, certificate: bytes, root: bytes) -> ssl.SSLContext:
    """The TLS context in which a tracker calls others as the member that it is."""
    with _written(certificate, private_pem(key, ONCE), root, ONCE) as files:
        return peer_client_context(files)


def replace_certificate(context: ssl.SSLContext, certificate: bytes, key: bytes, password: str | None = None) -> None:
    """Show another certificate on new connections. Both are PEM, the key perhaps under a password."""
    with _written(certificate, key, b"", password) as files:
        files.load_into(context)


def people_certificate(hosts: Iterable[str], wall_now: float) -> tuple[bytes, bytes]:
    """A self-signed P-256 certificate and its key, both PEM."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "AetherFS tracker")])
    start = datetime.datetime.fromtimestamp(int(wall_now) - CLOCK_SKEW_S, datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(start)
        .not_valid_after(start + datetime.timedelta(seconds=12 * CERTIFICATE_LIFETIME_S))
        .add_extension(x509.SubjectAlternativeName(names_of(hosts)), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return certificate.public_bytes(serialization.Encoding.PEM), private


def names_of(hosts: Iterable[str]) -> list[x509.GeneralName]:
    """What such a certificate is for."""
    found: list[x509.GeneralName] = []
    for host in sorted({"localhost", *hosts}):
        try:
            found.append(x509.IPAddress(ipaddress.ip_address(host)))
        except ValueError:
            found.append(x509.DNSName(host))
    return found


def _why(error: OSError) -> str:
    """What OpenSSL found, where it says so in words of its own."""
    is_mismatch = isinstance(error, ssl.SSLError) and error.reason == "KEY_VALUES_MISMATCH"
    return ", the key is another certificate's" if is_mismatch else ""


def _no_passphrase() -> bytes:
    """OpenSSL would ask for one on the terminal otherwise."""
    return b""


@contextmanager
def _written(certificate: bytes, key: bytes, root: bytes, password: str | None = None) -> Iterator[TlsFiles]:
    with tempfile.TemporaryDirectory(prefix="aetherfs-tls-") as folder:
        yield _write(Path(folder) / "shown", certificate, key, root, password)


def _write(folder: Path, certificate: bytes, key: bytes, root: bytes, password: str | None = ONCE) -> TlsFiles:
    folder.mkdir(mode=0o700)
    files = TlsFiles(folder / "certificate.pem", folder / "key.pem", folder / "ca.pem", password)
    files.certificate.write_bytes(certificate)
    files.key.touch(mode=0o600)
    files.key.write_bytes(key)
    files.root.write_bytes(root)
    return files
