"""What is signed of a write: the SHA-256 that it states, which is that of its bytes, and boto3's own where none is."""

from __future__ import annotations

import base64
import hashlib
from typing import Any

import pytest
from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from swarm.objects.s3_address import parse_s3_address
from swarm.objects.s3_probe import open_s3
from swarm.objects.s3_signing import STATED, SignedAsStated
from tests.odd_s3 import OddS3

BODY = b"bytes of a pack"
OTHERS = base64.b64encode(hashlib.sha256(b"other bytes").digest()).decode()


def hash_signed(by: type[Any], stated: str | None) -> str:
    """What a signer puts into the request as the hash of the body, which the signature covers."""
    headers = {STATED: stated} if stated is not None else {}
    request = AWSRequest("PUT", "http://127.0.0.1/data/packs/1", headers=headers, data=BODY)
    by(Credentials("tests", "a secret of the tests"), "s3", "us-east-1").add_auth(request)
    assert "x-amz-content-sha256" in request.headers["Authorization"]
    return str(request.headers["X-Amz-Content-SHA256"])


def test_what_is_stated_is_what_boto3_would_sign() -> None:
    stated = base64.b64encode(hashlib.sha256(BODY).digest()).decode()
    assert hash_signed(SignedAsStated, stated) == hash_signed(S3SigV4Auth, stated)


def test_the_body_is_not_hashed_again() -> None:
    assert hash_signed(SignedAsStated, OTHERS) == hashlib.sha256(b"other bytes").hexdigest()


@pytest.mark.parametrize("stated", [None, "", "no base64!", base64.b64encode(b"short").decode()])
def test_what_states_no_hash_is_signed_as_ever(stated: str | None) -> None:
    assert hash_signed(SignedAsStated, stated) == hashlib.sha256(BODY).hexdigest()


def test_writes_of_a_store_are_signed_so_and_nothing_else(odd_s3: OddS3, monkeypatch: pytest.MonkeyPatch) -> None:
    made = open_s3(parse_s3_address(odd_s3.url()))
    signed: list[str] = []
    own = SignedAsStated.payload

    def payload(self: SignedAsStated, request: Any) -> str:
        signed.append(own(self, request))
        return signed[-1]

    monkeypatch.setattr(SignedAsStated, "payload", payload)
    made.put("packs/1", BODY)
    assert made.get("packs/1") == BODY and made.list("packs/") == ["packs/1"]
    made.close()
    assert signed == [hashlib.sha256(BODY).hexdigest()]
