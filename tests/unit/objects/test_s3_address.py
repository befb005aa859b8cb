"""Addresses of stores on S3: what they may hold, and what is refused before anything is asked of a server."""

from __future__ import annotations

import pytest

from swarm.errors import UsageError
from swarm.objects.s3_address import S3Address, parse_s3_address


def test_the_least_and_the_most() -> None:
    assert parse_s3_address("s3://bucket") == parse_s3_address("s3://bucket/") == S3Address("bucket")
    full = parse_s3_address(
        "s3://my.bucket-1/some/pre_fix/?endpoint=https://host:9000/&region=eu-central-1&addressing=virtual"
        "&sse=aws:kms&sse-kms-key-id=arn:aws:kms:eu-central-1:1:key/7"
    )
    assert full == S3Address(
        bucket="my.bucket-1",
        prefix="some/pre_fix/",
        endpoint="https://host:9000",
        region="eu-central-1",
        addressing="virtual",
        encryption="aws:kms",
        kms_key="arn:aws:kms:eu-central-1:1:key/7",
    )


def test_an_endpoint_may_be_escaped() -> None:
    assert parse_s3_address("s3://bucket?endpoint=http%3A%2F%2F127.0.0.1%3A8333").endpoint == "http://127.0.0.1:8333"


def test_messages_tell_bucket_and_endpoint() -> None:
    assert str(parse_s3_address("s3://bucket/p?endpoint=http://h:1")) == "s3://bucket/p/ on http://h:1"


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("s3://", "names no bucket"),
        ("s3:///prefix", "names no bucket"),
        ("s3://ab", "names no bucket"),
        ("s3://bucket:80/x", "names no bucket"),
        ("s3://user@bucket/x", "names no bucket"),
        ("s3://bucket/x#y", "names no bucket"),
        ("s3://bucket/a//b", "cannot be a prefix"),
        ("s3://bucket/../b", "cannot be a prefix"),
        ("s3://bucket/a%20b", "cannot be a prefix"),
        ("s3://bucket/" + "x" * 600, "cannot be a prefix"),
        ("s3://bucket?endpoin=http://h", "no option 'endpoin'"),
        ("s3://bucket?endpoint=", "one value for endpoint"),
        ("s3://bucket?endpoint", "one value for endpoint"),
        ("s3://bucket?region=a&region=b", "one value for region"),
        ("s3://bucket?region=a%20b", "not a region"),
        ("s3://bucket?endpoint=host:9000", "not an endpoint"),
        ("s3://bucket?endpoint=ftp://host", "not an endpoint"),
        ("s3://bucket?endpoint=http://", "not an endpoint"),
        ("s3://bucket?endpoint=http://h:99999", "not an endpoint"),
        ("s3://bucket?endpoint=http://h%0a/x", "not an endpoint"),
        ("s3://bucket?endpoint=http://[::1", "not an endpoint"),
        ("s3://bucket?endpoint=http://key:secret@host", "holds no credentials"),
        ("s3://bucket?addressing=odd", "no addressing"),
        ("s3://bucket?sse=yes", "no sse"),
        ("s3://bucket?sse-kms-key-id=7", "add sse=aws:kms"),
        ("s3://bucket?sse=AES256&sse-kms-key-id=7", "add sse=aws:kms"),
    ],
)
def test_what_is_no_address(url: str, said: str) -> None:
    with pytest.raises(UsageError, match=said) as refused:
        parse_s3_address(url)
    assert "secret" not in str(refused.value)
    assert "\n" not in str(refused.value)
