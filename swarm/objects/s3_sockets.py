"""Sockets to S3 that give up an answer which comes byte by byte.

The read timeout of boto3 is for each read of the socket, so an answer of which a byte comes now and then never times
out: it would hold its thread, and its place among the calls under way, for ever. What is sent needs no more than a
timeout: urllib3 sends 128 KiB at a time at most, and ``sendall`` of Python has one deadline for all of it.
"""

from __future__ import annotations

import socket
import ssl
from time import monotonic
from typing import Any, Final

from botocore.awsrequest import (
    AWSHTTPConnection,
    AWSHTTPConnectionPool,
    AWSHTTPSConnection,
    AWSHTTPSConnectionPool,
)

from swarm.objects.weather import Patience

# What has come already is taken also when the wait is over. (A timeout of 0 would make it another kind of socket.)
LEAST_WAIT_S: Final = 0.001


class PatientSocket(socket.socket):
    """Its reads share one wait of the timeout's length, as ``Patience`` has it. urllib3 sets the timeout before it
    sends a request, and again before it reads the answer: each time a new wait begins.
    """

    _wait_s: float | None = None
    _patience: Patience | None = None

    def settimeout(self, value: float | None, /) -> None:
        super().settimeout(value)
        self._wait_s = value
        self._patience = Patience(value, monotonic()) if value else None

    def recv(self, *wanted: Any) -> bytes:
        self._wait_no_longer()
        data = super().recv(*wanted)
        self._received(len(data))
        return data

    def recv_into(self, *wanted: Any) -> int:
        self._wait_no_longer()
        size_bytes = super().recv_into(*wanted)
        self._received(size_bytes)
        return size_bytes

    def _wait_no_longer(self) -> None:
        if self._patience is not None:
            super().settimeout(max(LEAST_WAIT_S, self._patience.left_s(monotonic())))

    def _received(self, size_bytes: int) -> None:
        if self._patience is not None:
            self._patience.received(size_bytes, monotonic())
            super().settimeout(self._wait_s)


class PatientSSLSocket(PatientSocket, ssl.SSLSocket):
    """The same, with TLS."""


def _patient(plain: socket.socket) -> PatientSocket:
    """Another object for the same connection."""
    wait_s = plain.gettimeout()
    made = PatientSocket(plain.family, plain.type, plain.proto, plain.detach())
    made.settimeout(wait_s)
    return made


class _Connection(AWSHTTPConnection):  # type: ignore[misc]
    def _new_conn(self) -> socket.socket:
        return _patient(super()._new_conn())


class _SSLConnection(AWSHTTPSConnection):  # type: ignore[misc]
    def _new_conn(self) -> socket.socket:
        self.ssl_context.sslsocket_class = PatientSSLSocket
        return _patient(super()._new_conn())


class _Pool(AWSHTTPConnectionPool):  # type: ignore[misc]
    ConnectionCls = _Connection


class _SSLPool(AWSHTTPSConnectionPool):  # type: ignore[misc]
    ConnectionCls = _SSLConnection


def make_patient(client: Any) -> None:
    """Give such sockets to a client of boto3, which has no setting for them. To be called before its first request."""
    client._endpoint.http_session._pool_classes_by_scheme.update(http=_Pool, https=_SSLPool)
