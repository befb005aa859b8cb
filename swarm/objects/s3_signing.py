"""Signatures of writes that state the SHA-256 of their bytes: these are hashed once, and not twice.

The signature of S3 covers a hash of the body, which boto3 makes itself when it signs. Each of our writes states the
same hash already, for the server to verify what it stores (``S3ObjectStore.write_arguments``). So that one is signed:
what the server is told, and what it checks, stays what it was.
"""

from __future__ import annotations

import base64
import binascii
from typing import Any, Final

from botocore.auth import AUTH_TYPE_MAPS, S3SigV4Auth

STATED: Final = "x-amz-checksum-sha256"
# Under which boto3 finds its own, and this one.
USUAL: Final = "s3v4"
NAME: Final = "aetherfs-s3v4"


class SignedAsStated(S3SigV4Auth):  # type: ignore[misc]
    """boto3's own signer, but for the hash of a body whose SHA-256 is stated."""

    def payload(self, request: Any) -> str:
        try:
            stated = base64.b64decode(request.headers.get(STATED) or "", validate=True)
        except binascii.Error:
            stated = b""
        return stated.hex() if len(stated) == 32 else str(super().payload(request))


def sign_as_stated(client: Any) -> None:
    """Have the writes of a client of boto3 signed so, where it would sign them as S3's own."""
    AUTH_TYPE_MAPS.setdefault(NAME, SignedAsStated)
    client.meta.events.register("choose-signer.s3.PutObject", _chosen)


def _chosen(signature_version: object, **_: Any) -> str | None:
    """Kinds of buckets that are signed otherwise stay with boto3's choice."""
    return NAME if signature_version == USUAL else None
