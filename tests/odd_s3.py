"""A small S3 server in memory that can be odd: for what a good server never shows, and for lists in the order of S3.

It speaks what our store asks: objects, conditional writes, checksums, ranges, lists, one bucket, no signatures. ``odd``
holds what it does wrong for good, ``next`` what it does wrong how many times more. ``accepts`` are the access keys that
have not expired, None for all.
"""

from __future__ import annotations

import base64
import contextlib
import functools
import hashlib
import ssl
import threading
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Final
from urllib.parse import parse_qs, quote, unquote, urlencode, urlsplit
from xml.sax.saxutils import escape

BUCKET: Final = "data"
META: Final = "x-amz-meta-"
SSE: Final = "x-amz-server-side-encryption"
SSE_KEY: Final = "x-amz-server-side-encryption-aws-kms-key-id"
CHECKSUM: Final = "x-amz-checksum-sha256"
PAGE_KEYS: Final = 1000
# An answer that trickles: the pause before each byte, and how long that is by the clock of the server's own.
TRICKLE_S: Final = 0.01
TRICKLE_TOLD_S: Final = 1.0
CODES: Final = {
    400: "BadDigest",
    403: "AccessDenied",
    404: "NoSuchKey",
    409: "ConditionalRequestConflict",
    412: "PreconditionFailed",
    416: "InvalidRange",
    500: "InternalError",
    501: "NotImplemented",
    503: "SlowDown",
    507: "InsufficientStorage",
}


@dataclass
class Kept:
    """One object and the headers it is given back with."""

    body: bytes
    headers: Mapping[str, str]


@dataclass
class OddS3:
    """``with OddS3() as server``. ``asked`` counts the requests by method, ``lists`` those for lists."""

    objects: dict[str, Kept] = field(default_factory=dict)
    odd: set[str] = field(default_factory=set)
    next: Counter[str] = field(default_factory=Counter)
    asked: Counter[str] = field(default_factory=Counter)
    default_encryption: str = ""
    accepts: set[str] | None = None
    # A clock by which only answers that trickle take time.
    now: float = 0.0
    # Its certificate and key, if it speaks TLS.
    tls: Path | None = None
    ended: threading.Event = field(default_factory=threading.Event)
    lock: threading.RLock = field(default_factory=threading.RLock)

    def __enter__(self) -> OddS3:
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler_of(self))
        if self.tls is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(self.tls)
            # In the thread of the connection, and not where connections are accepted.
            wrap = functools.partial(context.wrap_socket, server_side=True, do_handshake_on_connect=False)
            self._server.socket = wrap(self._server.socket)
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01})
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.ended.set()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    @property
    def endpoint(self) -> str:
        return f"http{'s' if self.tls else ''}://127.0.0.1:{self._server.server_address[1]}"

    def url(self, prefix: str = "p", **options: str) -> str:
        return f"s3://{BUCKET}/{prefix}?{urlencode({'endpoint': self.endpoint, **options})}"

    def takes(self, what: str) -> bool:
        """Whether this is one of the times that ``what`` goes wrong."""
        with self.lock:
            if self.next[what] <= 0:
                return what in self.odd
            self.next[what] -= 1
            return True


def _handler_of(server: OddS3) -> type[BaseHTTPRequestHandler]:
    class Handler(_Handler):
        s3 = server

    return Handler


class _Handler(BaseHTTPRequestHandler):
    s3: OddS3
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def date_time_string(self, timestamp: float | None = None) -> str:
        """An hour ago, by a clock that is another than ours."""
        if "other clock" in self.s3.odd:
            timestamp = time.time() - 3600
        return super().date_time_string(timestamp)

    def log_message(self, *_: object) -> None:
        """Say nothing."""

    def do_PUT(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"] or 0))
        if self._is_refused("PUT"):
            return None
        if self.headers["If-None-Match"] is not None and self.s3.takes("knows no conditions"):
            return self._refuse(501)
        if not self.s3.takes("ignores checksums") and not self._is_whole(body):
            return self._refuse(400)
        with self.s3.lock:
            is_there = self._key in self.s3.objects and self.headers["If-None-Match"] == "*"
            if is_there and not self.s3.takes("ignores if-none-match"):
                return self._refuse(412)
            self.s3.objects[self._key] = Kept(body, self._kept_headers())
        if self.s3.takes("loses answers"):
            self.close_connection = True
            return None
        if self.s3.takes("deletes at once"):
            del self.s3.objects[self._key]
        return self._answer(200)

    def do_GET(self) -> None:
        path = urlsplit(self.path)
        if self._is_refused("GET"):
            return
        if "list-type=2" in path.query:
            self._list({name: values[0] for name, values in parse_qs(path.query).items()})
            return
        found = self.s3.objects.get(self._key)
        if found is None:
            self._refuse(404)
            return
        self._give(found)

    def do_HEAD(self) -> None:
        if self._is_refused("HEAD"):
            return
        found = self.s3.objects.get(self._key)
        self._answer(404 if found is None else 200, headers=found.headers if found is not None else {})

    def do_DELETE(self) -> None:
        if not self._is_refused("DELETE"):
            self.s3.objects.pop(self._key, None)
            self._answer(204)

    @property
    def _key(self) -> str:
        return unquote(urlsplit(self.path).path).removeprefix(f"/{BUCKET}/")

    def _is_refused(self, method: str) -> bool:
        self.s3.asked[method] += 1
        if self.s3.takes("hangs"):
            self.s3.ended.wait()
            self.close_connection = True
            return True
        key = self.headers["Authorization"].partition("Credential=")[2].partition("/")[0]
        if self.s3.accepts is not None and key not in self.s3.accepts:
            self._refuse(403, "ExpiredToken")
            return True
        if self.s3.takes("other clock"):
            self._refuse(403, "RequestTimeTooSkewed")
            return True
        if self.s3.takes("no bucket"):
            self._refuse(404, "NoSuchBucket")
            return True
        for status in CODES:
            if self.s3.takes(f"{method} {status}") or self.s3.takes(str(status)):
                self._refuse(status)
                return True
        return False

    def _is_whole(self, body: bytes) -> bool:
        digest = hashlib.sha256(body).digest()
        stated = self.headers[CHECKSUM]
        signed = self.headers["x-amz-content-sha256"]
        return stated in (None, base64.b64encode(digest).decode()) and signed in (None, digest.hex())

    def _kept_headers(self) -> dict[str, str]:
        kept = {name.lower(): value for name, value in self.headers.items()}
        names = [name for name in kept if name.startswith(META) or name == CHECKSUM]
        if not self.s3.takes("forgets encryption"):
            names += [name for name in (SSE, SSE_KEY) if name in kept]
        defaults = {SSE: self.s3.default_encryption} if self.s3.default_encryption else {}
        return defaults | {name: kept[name] for name in names}

    def _give(self, found: Kept) -> None:
        body, headers, status = found.body, dict(found.headers), 200
        wanted = self.headers["Range"]
        if wanted is not None and not self.s3.takes("ignores ranges"):
            first, last = (int(number) for number in wanted.removeprefix("bytes=").split("-"))
            if first >= len(body):
                return self._refuse(416)
            headers["Content-Range"] = f"bytes {first}-{min(last, len(body) - 1)}/{len(body)}"
            headers.pop(CHECKSUM, None)
            body, status = body[first : last + 1], 206
        if self.s3.takes("flips"):
            body = bytes([body[0] ^ 1]) + body[1:]
        return self._answer(status, body, headers, cut=self.s3.takes("truncates"))

    def _list(self, query: Mapping[str, str]) -> None:
        prefix, delimiter = query.get("prefix", ""), query.get("delimiter", "")
        after = max(query.get("start-after", ""), unquote(query.get("continuation-token", "")))
        entries: dict[str, bool] = {}
        for key in sorted(self.s3.objects):
            if key.startswith(prefix):
                end = key.find(delimiter, len(prefix)) if delimiter else -1
                entries[key if end < 0 else key[: end + 1]] = end >= 0
        behind = [entry for entry in entries if entry > after]
        page = behind[: min(PAGE_KEYS, int(query.get("max-keys", PAGE_KEYS)))]
        if self.s3.takes("lists backwards"):
            page.reverse()
        if self.s3.takes("lists late"):
            page = []
        token = (
            f"<NextContinuationToken>{quote(page[-1])}</NextContinuationToken>"
            if len(page) < len(behind) and page
            else ""
        )
        told = "".join(
            f"<CommonPrefixes><Prefix>{quote(entry)}</Prefix></CommonPrefixes>"
            if entries[entry]
            else f"<Contents><Key>{quote(entry)}</Key><Size>{len(self.s3.objects[entry].body)}</Size></Contents>"
            for entry in page
        )
        self._answer(
            200,
            f"<ListBucketResult><EncodingType>url</EncodingType><IsTruncated>{str(bool(token)).lower()}</IsTruncated>"
            f"{token}{told}</ListBucketResult>".encode(),
        )

    def _refuse(self, status: int, code: str = "") -> None:
        code = code or CODES[status]
        self._answer(status, f"<Error><Code>{code}</Code><Message>{escape(code)} it is</Message></Error>".encode())

    def _answer(
        self, status: int, body: bytes = b"", headers: Mapping[str, str] | None = None, *, cut: bool = False
    ) -> None:
        if self.s3.takes(f"{self.command} head trickles"):
            self._trickle(b"HTTP/1.1 200 OK\r\nX-Name: ")
            return
        if self.s3.takes(f"{self.command} body trickles"):
            self._trickle(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n")
            return
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body[: len(body) // 2] if cut else body)
        self.close_connection = self.close_connection or cut

    def _trickle(self, begin: bytes) -> None:
        """On from there byte by byte, and never whole: until the asker has gone, or all is over."""
        self.close_connection = True
        with contextlib.suppress(OSError):
            self.wfile.write(begin)
            while not self.s3.ended.wait(TRICKLE_S):
                self.s3.now += TRICKLE_TOLD_S
                self.wfile.write(b"1")
