"""The boto3 clients of a store on S3, and the credentials that they use.

boto3 reads its files once a session. So when credentials are refused, a new session looks whether there are others by
now, and new clients take the place of those before: nothing has to be started again.
"""

from __future__ import annotations

import logging
import threading
from typing import Any, Final

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError

import swarm
from swarm.errors import AetherError, UsageError
from swarm.objects.meter import Kind, Meter
from swarm.objects.s3_address import S3Address
from swarm.objects.s3_failures import failure
from swarm.objects.s3_signing import sign_as_stated
from swarm.objects.s3_sockets import make_patient

# Calls under way, and so connections to the server.
CALLS_MAX: Final = 16
CONNECT_TIMEOUT_S: Final = 5.0
# Of an answer that does not come, or comes byte by byte: see ``s3_sockets``. A server may think for long only when it
# has been given much to store.
READ_TIMEOUT_S: Final = 5.0
STORED_TIMEOUT_S: Final = 20.0
# What servers that know no regions expect.
DEFAULT_REGION: Final = "us-east-1"
_KINDS: Final[dict[str, Kind]] = {
    "PutObject": "put",
    "ListObjectsV2": "list",
    "GetObject": "get",
    "HeadObject": "head",
    "DeleteObject": "delete",
}

log = logging.getLogger("aetherfs.objects")


class Clients:
    """``quick`` for most calls, ``patient`` for large writes. UsageError for settings of boto3's own that are wrong."""

    def __init__(self, address: S3Address, meter: Meter) -> None:
        self._address = address
        self._meter = meter
        self._lock = threading.Lock()
        # How often others took their place.
        self.generation = 0
        self._open(_session(address))

    def _open(self, session: Any) -> None:
        try:
            quick = _made(session, self._address, READ_TIMEOUT_S)
            patient = _made(session, self._address, STORED_TIMEOUT_S)
        except BotoCoreError as error:
            raise failure(f"cannot use {self._address}", error) from error
        except ValueError as error:
            # boto3 says so of an endpoint in AWS_ENDPOINT_URL or in its file.
            raise UsageError(
                f"cannot use {self._address}: {error}; correct AWS_ENDPOINT_URL or boto3's file"
            ) from error
        for client in (quick, patient):
            self._count(client)
        self.quick, self.patient, self._used = quick, patient, _credentials(session)

    def renew(self, generation: int) -> bool:
        """Whether there are clients with other credentials than those of this generation; made now, if there can be."""
        with self._lock:
            if generation != self.generation:
                return True
            before = (self.quick, self.patient)
            try:
                session = _session(self._address)
                found = _credentials(session)
                if found is None or found == self._used:
                    return False
                self._open(session)
            except AetherError as error:
                log.warning("credentials are not found anew: %s", error)
                return False
            self.generation += 1
        for client in before:
            client.close()
        return True

    def _count(self, client: Any) -> None:
        def sent(request: Any, event_name: str, **_: Any) -> None:
            operation = event_name.rpartition(".")[2]
            self._meter.sent(_KINDS.get(operation, "get"), int(request.headers.get("Content-Length") or 0))

        def received(response_dict: Any, **_: Any) -> None:
            body = (response_dict or {}).get("body")
            if isinstance(body, bytes):  # An object's own is read, and counted, later.
                self._meter.received(len(body))

        client.meta.events.register("before-send.s3", sent)
        client.meta.events.register("response-received.s3", received)

    def close(self) -> None:
        self.quick.close()
        self.patient.close()


def _session(address: S3Address) -> Any:
    try:
        return boto3.session.Session()
    except BotoCoreError as error:
        raise failure(f"cannot use {address}", error) from error


def _credentials(session: Any) -> tuple[str, ...] | None:
    """What requests are signed with; None if nothing is found."""
    try:
        found = session.get_credentials()
        return tuple(map(str, found.get_frozen_credentials())) if found is not None else None
    except BotoCoreError:
        return None


def _made(session: Any, address: S3Address, read_timeout_s: float) -> Any:
    client = session.client(
        "s3",
        endpoint_url=address.endpoint or None,
        region_name=address.region or session.region_name or DEFAULT_REGION,
        config=_config(address, read_timeout_s),
    )
    make_patient(client)
    sign_as_stated(client)
    return client


def _config(address: S3Address, read_timeout_s: float) -> Config:
    # A server of one's own has seldom a name for each bucket.
    addressing = "path" if address.addressing == "auto" and address.endpoint else address.addressing
    return Config(
        signature_version="s3v4",
        connect_timeout=CONNECT_TIMEOUT_S,
        read_timeout=read_timeout_s,
        retries={"total_max_attempts": 1, "mode": "standard"},
        max_pool_connections=CALLS_MAX,
        tcp_keepalive=True,
        user_agent_extra=f"aetherfs/{swarm.__version__}",
        request_checksum_calculation="when_required",
        response_checksum_validation="when_supported",
        # The signature covers the body too, so that a server that knows no checksums refuses what changed on the way.
        s3={"addressing_style": addressing, "payload_signing_enabled": True},
    )
