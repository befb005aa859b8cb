"""The boto3 client of a store on S3."""

from __future__ import annotations

from typing import Any, Final

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError

import swarm
from swarm.errors import UsageError
from swarm.objects.s3_address import S3Address
from swarm.objects.s3_calls import CALLS_MAX
from swarm.objects.s3_failures import failure

CONNECT_TIMEOUT_S: Final = 5.0
# Of one read or write of the socket: a pack of 32 MiB may take longer in all.
READ_TIMEOUT_S: Final = 20.0
# What servers that know no regions expect.
DEFAULT_REGION: Final = "us-east-1"


def make_client(address: S3Address) -> Any:
    """A client with the credentials that boto3 finds. UsageError for settings of boto3's own that are wrong."""
    try:
        session = boto3.session.Session()
        return session.client(
            "s3",
            endpoint_url=address.endpoint or None,
            region_name=address.region or session.region_name or DEFAULT_REGION,
            config=_config(address),
        )
    except BotoCoreError as error:
        raise failure(f"cannot use {address}", error) from error
    except ValueError as error:
        # boto3 says so of an endpoint in AWS_ENDPOINT_URL or in its file.
        raise UsageError(f"cannot use {address}: {error}; correct AWS_ENDPOINT_URL or boto3's file") from error


def _config(address: S3Address) -> Config:
    # A server of one's own has seldom a name for each bucket.
    addressing = "path" if address.addressing == "auto" and address.endpoint else address.addressing
    return Config(
        signature_version="s3v4",
        connect_timeout=CONNECT_TIMEOUT_S,
        read_timeout=READ_TIMEOUT_S,
        retries={"total_max_attempts": 1, "mode": "standard"},
        max_pool_connections=CALLS_MAX,
        tcp_keepalive=True,
        user_agent_extra=f"aetherfs/{swarm.__version__}",
        request_checksum_calculation="when_required",
        response_checksum_validation="when_supported",
        # The signature covers the body too, so that a server that knows no checksums refuses what changed on the way.
        s3={"addressing_style": addressing, "payload_signing_enabled": True},
    )
