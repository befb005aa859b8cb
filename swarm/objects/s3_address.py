"""The address of an object store on S3, as ``--store`` takes it.

    s3://bucket/prefix?endpoint=URL&region=R&addressing=path&sse=aws:kms&sse-kms-key-id=ID

All behind the bucket may be left out. Credentials are never in it: boto3 finds them, in the environment, in its files
or in the machine's role.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final
from urllib.parse import parse_qsl, unquote, urlsplit

from swarm.errors import UsageError
from swarm.objects import KEY_MAX_CHARS, is_key

# S3 itself takes 1,024 bytes for a key: what is left of them beside a key of ours.
PREFIX_MAX_CHARS: Final = 1024 - KEY_MAX_CHARS - 1
# ``auto``: as the bucket does by itself, else AES256. ``none``: in the clear.
ENCRYPTIONS: Final = ("auto", "AES256", "aws:kms", "aws:kms:dsse", "none")
ADDRESSINGS: Final = ("auto", "path", "virtual")
OPTIONS: Final = ("endpoint", "region", "addressing", "sse", "sse-kms-key-id")
_BUCKET: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{1,61}[A-Za-z0-9]")
_REGION: Final = re.compile(r"[A-Za-z0-9-]{1,64}")


@dataclass(frozen=True, slots=True)
class S3Address:
    """``prefix`` is empty or ends with a slash. ``endpoint``, ``region`` and ``kms_key`` are empty when not given."""

    bucket: str
    prefix: str = ""
    endpoint: str = ""
    region: str = ""
    addressing: str = "auto"
    encryption: str = "auto"
    kms_key: str = ""

    def __str__(self) -> str:
        """The bucket and where it is, for messages."""
        return f"s3://{self.bucket}/{self.prefix}" + (f" on {self.endpoint}" if self.endpoint else "")


def parse_s3_address(url: str) -> S3Address:
    """The address in ``url``, which begins with ``s3://``. UsageError for what is malformed."""
    parts = urlsplit(url)
    bucket, prefix = parts.netloc, unquote(parts.path).strip("/")
    if not _BUCKET.fullmatch(bucket) or parts.fragment:
        raise UsageError(f"{url[:80]!r} names no bucket: write s3://bucket/prefix?endpoint=URL&region=R")
    if prefix and (len(prefix) > PREFIX_MAX_CHARS or not is_key(prefix)):
        raise UsageError(f"{prefix[:80]!r} cannot be a prefix in a bucket: use letters, digits, . _ - and /")
    given = _options(parts.query)
    address = S3Address(
        bucket=bucket,
        prefix=prefix + "/" if prefix else "",
        endpoint=_endpoint(given.get("endpoint", "")),
        region=given.get("region", ""),
        addressing=_one_of(given, "addressing", ADDRESSINGS),
        encryption=_one_of(given, "sse", ENCRYPTIONS),
        kms_key=given.get("sse-kms-key-id", ""),
    )
    if address.region and not _REGION.fullmatch(address.region):
        raise UsageError(f"{address.region[:80]!r} is not a region: write region=eu-central-1, for one")
    if address.kms_key and not address.encryption.startswith("aws:kms"):
        raise UsageError("sse-kms-key-id names a key that is not used: add sse=aws:kms to the store's address")
    return address


def _options(query: str) -> Mapping[str, str]:
    found: dict[str, str] = {}
    for name, value in parse_qsl(query, keep_blank_values=True):
        if name not in OPTIONS:
            raise UsageError(f"a store on S3 has no option {name[:80]!r}: known are {', '.join(OPTIONS)}")
        if name in found or not value:
            raise UsageError(f"the store's address needs one value for {name}: write {name}=VALUE once")
        found[name] = value
    return found


def _one_of(given: Mapping[str, str], name: str, known: tuple[str, ...]) -> str:
    value = given.get(name, known[0])
    if value not in known:
        raise UsageError(f"{value[:80]!r} is no {name} of a store on S3: choose one of {', '.join(known)}")
    return value


def _endpoint(url: str) -> str:
    if not url:
        return ""
    try:
        parts = urlsplit(url)
        is_good = parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port or 1) > 0
    except ValueError:
        is_good = False
    if not is_good or parts.query or parts.fragment or any(char.isspace() for char in url):
        raise UsageError(f"{url[:80]!r} is not an endpoint: write endpoint=https://host:port")
    if parts.username is not None or parts.password is not None:
        raise UsageError("an endpoint holds no credentials: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY instead")
    return url.rstrip("/")
