"""TLS 1.3 contexts under the swarm's own CA.

A peer is called at ``https://<peer id>.peer.aetherfs/``: OpenSSL compares that name with the certificate before a
request byte is sent, so the far end is exactly that peer or the call fails. There is no plain-text mode and no way to
switch verification off, except for the one look at a CA certificate whose fingerprint a join token pins
(``unverified_context``).
"""

from __future__ import annotations

import asyncio.sslproto
import contextlib
import socket
import ssl
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from swarm import clock
from swarm.identity import peer_id_from_server_name

# What a connection that carries runs of blocks offers (ALPN); what offers nothing speaks HTTP.
RUN_PROTOCOL: Final = "aetherfs-run/1"
# The same, made by the one who gives.
GIVE_PROTOCOL: Final = "aetherfs-give/1"
# X509_V_FLAG_NO_CHECK_TIME, which the ssl module has no name for.
NO_CHECK_TIME: Final = 0x200000
# A TLS connection holds a read buffer of this size; the default (256 KiB) costs 300 KiB a connection and is no faster
# (measured).
asyncio.sslproto.SSLProtocol.max_size = 64 * 1024


@dataclass(frozen=True, slots=True)
class TlsFiles:
    """A member's certificate, private key and the swarm's root, each a PEM file; the key perhaps under a password."""

    certificate: Path
    key: Path
    root: Path
    password: str | None = None

    def load_into(self, context: ssl.SSLContext) -> None:
        """Show this certificate on new connections."""
        # Without a password OpenSSL would ask the terminal for that of a key that has one.
        context.load_cert_chain(self.certificate, self.key, self.password or "")


def peer_server_context(files: TlsFiles) -> ssl.SSLContext:
    """For the exchange: only members get as far as a request."""
    context = _server(files)
    context.verify_mode = ssl.CERT_REQUIRED
    context.set_alpn_protocols([RUN_PROTOCOL, GIVE_PROTOCOL, "http/1.1"])
    return context


def tracker_server_context(files: TlsFiles, web: TlsFiles) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """For the tracker's port: a client certificate is optional; routes decide. The first context is to listen with.

    A name that is a key gets the member's certificate; any other name gets the P-256 one, as browsers refuse Ed25519.
    """
    context = _server(files)
    context.verify_mode = ssl.CERT_OPTIONAL
    people = _server(web)
    people.verify_mode = ssl.CERT_OPTIONAL

    def choose(connection: ssl.SSLObject, name: str | None, _context: ssl.SSLContext) -> None:
        if name is None or peer_id_from_server_name(name) is None:
            connection.context = people

    context.sni_callback = choose
    return context, people


def peer_client_context(files: TlsFiles) -> ssl.SSLContext:
    """For a member's calls: shows its certificate, accepts only the peer that the name says."""
    context = anonymous_context(files.root.read_text())
    files.load_into(context)
    return context


def run_client_context(files: TlsFiles, protocol: str = RUN_PROTOCOL) -> ssl.SSLContext:
    """The same for streams of runs."""
    context = peer_client_context(files)
    context.set_alpn_protocols([protocol])
    return context


def anonymous_context(root_pem: str) -> ssl.SSLContext:
    """For one who is not a member yet, and knows the root."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.load_verify_locations(cadata=root_pem)
    _allow_for_clock(context)
    return context


def unverified_context() -> ssl.SSLContext:
    """For fetching a root certificate that is then compared with a pinned fingerprint; nothing secret may be sent
    on it.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def _server(files: TlsFiles) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    files.load_into(context)
    context.load_verify_locations(cafile=str(files.root))
    _allow_for_clock(context)
    context.num_tickets = 0  # no resumption: a session ticket would outlive a removal
    return context


def _allow_for_clock(context: ssl.SSLContext) -> None:
    """OpenSSL knows the machine's clock only: while that is wrong (``swarm.clock``) it judges no certificate by it."""
    if clock.is_wrong():
        context.verify_flags |= NO_CHECK_TIME


def break_off(connection: socket.socket) -> None:
    """End what another thread does on a connection: its reads and writes fail. Nothing if it has ended.

    Not by ``SSLSocket.shutdown``, which takes the encryption away from under that thread.
    """
    with contextlib.suppress(OSError):
        socket.socket.shutdown(connection, socket.SHUT_RDWR)
