"""What the tracker's listener shows: its member's certificate to members, a P-256 one to people.

Browsers refuse Ed25519 certificates, so any server name that is not a key gets a self-signed P-256 certificate. Nothing
is trusted because of that one: members call the tracker by its key. Keys touch the disk only as long as OpenSSL reads
them, in a folder that nobody else can enter.
"""

from __future__ import annotations

import datetime
import ipaddress
import ssl
import tempfile
from collections.abc import Iterable
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from swarm.authority import private_pem
from swarm.http.tls import TlsFiles, peer_client_context, tracker_server_context
from swarm.identity import PeerKey
from swarm.limits import CERTIFICATE_LIFETIME_S, CLOCK_SKEW_S


def listener_context(
    key: PeerKey, certificate: bytes, root: bytes, hosts: Iterable[str], wall_now: float
) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """The TLS contexts of a tracker, for members and for people. ``hosts`` are the names and addresses that people may
    call it by; ``root`` (PEM) may be several.
    """
    web_certificate, web_key = people_certificate(hosts, wall_now)
    with tempfile.TemporaryDirectory(prefix="aetherfs-tls-") as folder:
        member = _write(Path(folder) / "member", certificate, private_pem(key), root)
        people = _write(Path(folder) / "people", web_certificate, web_key, root)
        return tracker_server_context(member, people)


def member_context(key: PeerKey, certificate: bytes, root: bytes) -> ssl.SSLContext:
    """The TLS context in which a tracker calls others as the member that it is."""
    with tempfile.TemporaryDirectory(prefix="aetherfs-tls-") as folder:
        return peer_client_context(_write(Path(folder) / "member", certificate, private_pem(key), root))


def replace_certificate(context: ssl.SSLContext, key: PeerKey, certificate: bytes) -> None:
    """Show another certificate on new connections."""
    with tempfile.TemporaryDirectory(prefix="aetherfs-tls-") as folder:
        files = _write(Path(folder) / "member", certificate, private_pem(key), b"")
        context.load_cert_chain(files.certificate, files.key)


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
        .add_extension(x509.SubjectAlternativeName(_names({"localhost", *hosts})), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return certificate.public_bytes(serialization.Encoding.PEM), private


def _names(hosts: Iterable[str]) -> list[x509.GeneralName]:
    found: list[x509.GeneralName] = []
    for host in sorted(set(hosts)):
        try:
            found.append(x509.IPAddress(ipaddress.ip_address(host)))
        except ValueError:
            found.append(x509.DNSName(host))
    return found


def _write(folder: Path, certificate: bytes, key: bytes, root: bytes) -> TlsFiles:
    folder.mkdir(mode=0o700)
    files = TlsFiles(folder / "certificate.pem", folder / "key.pem", folder / "ca.pem")
    files.certificate.write_bytes(certificate)
    files.key.touch(mode=0o600)
    files.key.write_bytes(key)
    files.root.write_bytes(root)
    return files
