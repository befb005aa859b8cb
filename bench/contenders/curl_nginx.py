"""curl from nginx over TLS 1.3: one connection, a self-signed P-256 certificate; no settings for speed."""

from __future__ import annotations

import datetime
import ipaddress
import os
import socket
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from bench.contenders import Pull
from bench.debian import missing_program, program_path
from bench.network import Host
from bench.payload import Payload
from bench.processes import BenchError, Standing, run_plain

NAME: Final = "nginx+curl"
HOST: Final = "127.0.0.1"
READY_DEADLINE_S: Final = 20.0
POLL_S: Final = 0.02
_CONFIGURATION: Final = """\
daemon off;
worker_processes auto;
pid "{folder}/nginx.pid";
error_log "{folder}/error.log";
{user}
events {{ worker_connections 64; }}
http {{
    access_log off;
    default_type application/octet-stream;
    client_body_temp_path "{folder}/body";
    proxy_temp_path "{folder}/proxy";
    fastcgi_temp_path "{folder}/fastcgi";
    uwsgi_temp_path "{folder}/uwsgi";
    scgi_temp_path "{folder}/scgi";
    {http}
    server {{
        {server}
        root "{root}";
    }}
}}
"""


class CurlNginx:
    """The plainest fast way there is: the bound that we look at."""

    name = NAME

    @property
    def settings(self) -> Mapping[str, str]:
        return {**program_settings(), "pull": "curl over one connection, into a file; not verified against a digest"}

    def missing(self) -> str | None:
        return missing_nginx_or_curl()

    @contextmanager
    def origin(self, payload: Payload, folder: Path) -> Iterator[NginxOrigin]:
        with nginx_origin(payload, folder, HOST, free_port()) as origin:
            yield origin


@dataclass(frozen=True, slots=True)
class NginxOrigin:
    """A running nginx. It is the consumer as well, since curl needs nothing that stands."""

    nginx: Standing
    certificate: Path
    url: str

    def pids(self) -> list[int]:
        return self.nginx.pids()

    def sent_bytes(self) -> int | None:
        return None

    @contextmanager
    def consumer(self, folder: Path) -> Iterator[CurlConsumer]:
        yield CurlConsumer(self)


@dataclass(frozen=True, slots=True)
class CurlConsumer:
    """curl, started anew for each pull."""

    origin: NginxOrigin

    def pids(self) -> list[int]:
        return []

    def pull(self, directory: Path) -> Pull:
        received = directory / "payload.bin"
        return Pull(curl_command(self.origin, received), received)


def missing_nginx_or_curl() -> str | None:
    """Why the two cannot run here; None when they can."""
    is_root = os.geteuid() == 0
    nginx = missing_program("nginx", "nginx-light", is_root=is_root)
    return nginx or missing_program("curl", "curl", is_root=is_root)


def program_settings() -> Mapping[str, str]:
    """What is so wherever the two are measured. They are installed."""
    nginx = run_plain(["sh", "-c", '"$1" -v 2>&1', "bench", program_path("nginx")]).strip().rpartition("/")[2]
    curl = run_plain([program_path("curl"), "--version"]).split()[1]
    return {
        "version": f"nginx {nginx}, curl {curl}",
        "encryption": "TLS 1.3, the origin's certificate verified",
        "origin": "nginx, a worker per core",
    }


@contextmanager
def nginx_origin(
    payload: Payload, folder: Path, address: str, port: int, host: Host | None = None
) -> Iterator[NginxOrigin]:
    """nginx that serves the payload, on that host or here."""
    folder.mkdir()
    certificate, key = folder / "certificate.pem", folder / "key.pem"
    write_certificate(certificate, key, address)
    server = f"""listen {address}:{port} ssl;
        ssl_certificate "{certificate}";
        ssl_certificate_key "{key}";
        ssl_protocols TLSv1.3;"""
    with standing_nginx(payload, folder, address, port, server, host=host) as nginx:
        yield NginxOrigin(nginx, certificate, f"https://{address}:{port}/{payload.file.name}")


@contextmanager
def standing_nginx(
    payload: Payload, folder: Path, address: str, port: int, server: str, http: str = "", host: Host | None = None
) -> Iterator[Standing]:
    """nginx that listens there, as ``server`` says, with the payload's directory as its root; files in ``folder``."""
    configuration = folder / "nginx.conf"
    user = "user root;" if os.geteuid() == 0 else ""
    configuration.write_text(
        _CONFIGURATION.format(folder=folder, user=user, http=http, server=server, root=payload.directory)
    )
    command = [program_path("nginx"), "-p", str(folder), "-e", str(folder / "error.log"), "-c", str(configuration)]
    with Standing(host.command(*command) if host else command, folder / "error.log") as nginx:
        if host:
            host.inside(lambda: wait_until_listening(nginx, address, port))
        else:
            wait_until_listening(nginx, address, port)
        yield nginx


def curl_command(origin: NginxOrigin, received: Path) -> list[str]:
    """One download into a file."""
    command = [program_path("curl"), "--silent", "--show-error", "--fail", "--noproxy", "*", "--tlsv1.3"]
    return [*command, "--cacert", str(origin.certificate), "--create-dirs", "--output", str(received), origin.url]


def write_certificate(certificate_path: Path, key_path: Path, address: str) -> None:
    """A self-signed certificate of that address, for a day."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "bench")])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(address))]), critical=False)
        .sign(key, hashes.SHA256())
    )
    certificate_path.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    key_path.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )


def free_port() -> int:
    """A port that was free a moment ago: nginx cannot choose one itself."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


def wait_until_listening(nginx: Standing, address: str, port: int) -> None:
    """Return when nginx takes connections. Raises BenchError with its complaint when it does not."""
    deadline = time.monotonic() + READY_DEADLINE_S
    while time.monotonic() < deadline and nginx.process.poll() is None:
        with socket.socket() as probe:
            if probe.connect_ex((address, port)) == 0:
                return
        time.sleep(POLL_S)
    raise BenchError(f"nginx does not listen: {nginx.log.read_text(errors='replace').strip()[-300:]}")
