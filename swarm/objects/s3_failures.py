"""What boto3 and S3 servers raise, told as errors of ours, and which of it may pass by itself.

The one place that knows foreign error codes. Sources: the error tables of the S3 API, of Ceph, MinIO and SeaweedFS.
"""

from __future__ import annotations

from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Final

import botocore.exceptions as boto
from botocore.parsers import ResponseParserError
from urllib3.exceptions import HTTPError

from swarm.errors import (
    AetherError,
    ConflictError,
    FullError,
    IntegrityError,
    NotAllowedError,
    NotFoundError,
    UnreachableError,
    UsageError,
)

# All that a call through boto3 may end with. A body that breaks off comes as urllib3's error, or the socket's.
FOREIGN: Final = (boto.BotoCoreError, boto.ClientError, ResponseParserError, HTTPError, OSError)

# No answer, or one that broke off.
_NO_ANSWER: Final = (
    boto.ConnectionError,
    boto.HTTPClientError,
    boto.IncompleteReadError,
    ResponseParserError,
    HTTPError,
    OSError,
)
_NO_CREDENTIALS: Final = (
    boto.NoCredentialsError,
    boto.PartialCredentialsError,
    boto.CredentialRetrievalError,
    boto.SSOError,
    boto.TokenRetrievalError,
)
_Told = tuple[type[AetherError], str]

_LATER: Final = "it is overloaded or failing, repeat later"
_CREDENTIALS: Final = "check AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE"
_RIGHTS: Final = "allow s3:GetObject, s3:PutObject and s3:DeleteObject there, and s3:ListBucket on the bucket"
_ROOM: Final = "make room there, or raise the quota"
_REGION: Final = "name the bucket's own region, as in --store 's3://bucket?region=R'"
_WAY: Final = "bytes changed on the way: look at the network and at what stands between"
_KMS: Final = "check sse-kms-key-id and the right to use that key"
_NETWORK: Final = "check endpoint and network, then repeat"

# By code, where there is one to act on. That the bucket is missing must not read as that an object is.
_BY_CODE: Final[dict[str, _Told]] = {
    "NoSuchKey": (NotFoundError, "there is no such object"),
    "NoSuchBucket": (UnreachableError, "there is no such bucket, make it or correct --store"),
    "InvalidAccessKeyId": (NotAllowedError, _CREDENTIALS),
    "InvalidToken": (NotAllowedError, _CREDENTIALS),
    "SignatureDoesNotMatch": (NotAllowedError, _CREDENTIALS),
    "ExpiredToken": (NotAllowedError, "the credentials have expired, renew them"),
    "TokenRefreshRequired": (NotAllowedError, "the credentials have expired, renew them"),
    "RequestExpired": (NotAllowedError, "the credentials have expired, renew them"),
    "RequestTimeTooSkewed": (NotAllowedError, "the clocks differ, set this machine's"),
    "QuotaExceeded": (FullError, _ROOM),
    "InsufficientStorage": (FullError, _ROOM),
    "XMinioStorageFull": (FullError, _ROOM),
    "PermanentRedirect": (UsageError, _REGION),
    "AuthorizationHeaderMalformed": (UsageError, _REGION),
    "BadDigest": (IntegrityError, _WAY),
    "XAmzContentChecksumMismatch": (IntegrityError, _WAY),
    "XAmzContentSHA256Mismatch": (IntegrityError, _WAY),
    "ConditionalRequestConflict": (ConflictError, "others write the same, repeat"),
}
_BY_STATUS: Final[dict[int, _Told]] = {
    301: (UsageError, _REGION),
    403: (NotAllowedError, _RIGHTS),
    408: (UnreachableError, _NETWORK),
    429: (UnreachableError, _LATER),
    507: (FullError, _ROOM),
}
# The first that fits counts.
_BY_CLASS: Final[tuple[tuple[tuple[type[Exception], ...], _Told], ...]] = (
    (_NO_CREDENTIALS, (NotAllowedError, _CREDENTIALS)),
    ((boto.ProfileNotFound, boto.ConfigParseError), (UsageError, "correct AWS_PROFILE or the file of settings")),
    ((boto.FlexibleChecksumError,), (IntegrityError, _WAY)),
    ((boto.SSLError,), (UnreachableError, "check the endpoint's certificate, or name its CA with AWS_CA_BUNDLE")),
    (
        _NO_ANSWER,
        (UnreachableError, _NETWORK),
    ),
)
# The first that fits counts. What else there is to say of these, a log has.
_IN_WORDS: Final[tuple[tuple[tuple[type[Exception], ...], str], ...]] = (
    ((boto.ConnectTimeoutError, boto.ReadTimeoutError, TimeoutError), "it does not answer in time"),
    ((boto.SSLError,), "it cannot prove its identity; check the endpoint's certificate, or name its CA"),
    ((boto.EndpointConnectionError, ConnectionRefusedError), "nobody listens there"),
    ((boto.ConnectionClosedError, boto.ConnectionError, ConnectionError), "it closes the connection"),
    ((boto.IncompleteReadError, boto.ResponseStreamingError, HTTPError), "its answers break off"),
    ((ResponseParserError,), "its answers are no S3 server's"),
)
# Codes with a status below 500 that another try may do away with.
_PASSING: Final = frozenset(
    {
        "BadDigest",
        "ConditionalRequestConflict",
        "IncompleteBody",
        "OperationAborted",
        "RequestTimeout",
        "SlowDown",
        "Throttling",
        "ThrottlingException",
        "XAmzContentChecksumMismatch",
        "XAmzContentSHA256Mismatch",
    }
)
# Those of them that are about one call, of a store that does its work.
_ABOUT_ONE_CALL: Final = _PASSING & {
    "BadDigest",
    "ConditionalRequestConflict",
    "IncompleteBody",
    "OperationAborted",
    "XAmzContentChecksumMismatch",
    "XAmzContentSHA256Mismatch",
}
# Codes of what is not there.
_ABSENT: Final = frozenset({"NoSuchKey", "NoSuchBucket"})
# Codes by which all calls are refused alike.
_REFUSALS: Final = frozenset(
    {
        "ExpiredToken",
        "InvalidAccessKeyId",
        "InvalidToken",
        "NoSuchBucket",
        "RequestExpired",
        "RequestTimeTooSkewed",
        "SignatureDoesNotMatch",
        "TokenRefreshRequired",
    }
)


def code_of(error: BaseException | None) -> str:
    """The server's code, empty for what is no answer of a server."""
    return str(error.response.get("Error", {}).get("Code", "")) if isinstance(error, boto.ClientError) else ""


def status_of(error: BaseException | None) -> int:
    """The HTTP status, 0 for what is no answer of a server."""
    if not isinstance(error, boto.ClientError):
        return 0
    return int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))


def is_unexplained(error: Exception) -> bool:
    """Whether an answer that has to have a code has none, or one that S3 does not know: what explains it did not come,
    or came damaged, or no S3 server sent it.
    """
    if not isinstance(error, boto.ClientError) or error.operation_name == "HeadObject":
        return False
    code, status = code_of(error), status_of(error)
    return code in ("", str(status)) or (status == 404 and code not in _ABSENT)


def is_refused_as_present(error: Exception) -> bool:
    """Whether a write with ``If-None-Match: *`` was refused since there is an object."""
    return status_of(error) == 412 or code_of(error) == "PreconditionFailed"


def is_passing(error: Exception) -> bool:
    """Whether the same call may do better in a moment."""
    if isinstance(error, boto.ClientError):
        status = status_of(error)
        is_later = status in (408, 429) or (status >= 500 and status not in (501, 507))
        return is_later or code_of(error) in _PASSING or is_unexplained(error)
    if isinstance(error, boto.SSLError):
        return False
    return isinstance(error, (*_NO_ANSWER, boto.FlexibleChecksumError))


def is_no_answer(error: Exception) -> bool:
    """Whether the store said nothing, or "later": what it says when it cannot do its work."""
    if isinstance(error, boto.ClientError):
        return is_passing(error) and code_of(error) not in _ABOUT_ONE_CALL
    return is_passing(error) and not isinstance(error, boto.FlexibleChecksumError)


def is_refusal(error: Exception) -> bool:
    """Whether the store refuses this machine whatever it asks, until somebody mends that."""
    if isinstance(error, boto.ClientError):
        return code_of(error) in _REFUSALS
    return isinstance(error, _NO_CREDENTIALS)


def is_timeout(error: Exception) -> bool:
    """Whether it took as long as we wait."""
    return isinstance(error, (boto.ConnectTimeoutError, boto.ReadTimeoutError, TimeoutError))


def failure(what: str, error: Exception) -> AetherError:
    """One of ours for one of theirs: what failed, why, and what to do."""
    return _told(error)[0](f"{what}: {reason_of(error)}")


def reason_of(error: Exception) -> str:
    """Why, and what to do."""
    why = str(error)
    if isinstance(error, boto.ClientError):
        why = f"{code_of(error)} {error.response['Error'].get('Message', '')}"
    return " ".join(why.split())[:300].rstrip(".") + f"{_skew_of(error)}; {_told(error)[1]}"


def short_reason_of(error: Exception) -> str:
    """Why, in a few words where that says as much: for what is told again and again."""
    for classes, words in _IN_WORDS:
        if isinstance(error, classes):
            return words
    return reason_of(error)


def _skew_of(error: Exception) -> str:
    """How far the clocks are apart, of a request that was refused for it."""
    if code_of(error) != "RequestTimeTooSkewed" or not isinstance(error, boto.ClientError):
        return ""
    told = error.response.get("ResponseMetadata", {}).get("HTTPHeaders", {}).get("date", "")
    try:
        ahead_s = (datetime.now(UTC) - parsedate_to_datetime(told)).total_seconds()
    except (TypeError, ValueError):
        return ""
    return f" (this machine's clock is {abs(ahead_s):.0f} s {'ahead' if ahead_s > 0 else 'behind'})"


def _told(error: Exception) -> _Told:
    code, status = code_of(error), status_of(error)
    if code in _BY_CODE:
        return _BY_CODE[code]
    if code.startswith("KMS"):
        return NotAllowedError, _KMS
    if status == 404 and is_unexplained(error):
        # A proxy's, for one: that must not read as that an object is not there.
        return UnreachableError, _NETWORK
    if status in _BY_STATUS:
        return _BY_STATUS[status]
    if status >= 500 and status != 501:
        return UnreachableError, _LATER
    for classes, told in _BY_CLASS:
        if isinstance(error, classes):
            return told
    return AetherError, "see --debug for where it happened"
