"""An object store in a bucket of S3, or of a server that speaks its protocol.

Every write carries the SHA-256 of its bytes, which the server verifies, and asks for encryption at rest. A write with
``If-None-Match: *`` is put-if-absent. Its answer may be lost and the next try then be refused because of the first, so
each carries a token of its own, by which the writer knows its object again. ``s3_probe`` opens a store, after a look at
what the server really honours.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import secrets
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice, pairwise
from typing import Any, Final

from botocore.exceptions import ClientError

from swarm.errors import IncompleteError, RemoteProtocolError
from swarm.limits import MIB
from swarm.objects import PAGE_KEYS, check_key, is_key
from swarm.objects.meter import Meter
from swarm.objects.s3_address import S3Address
from swarm.objects.s3_calls import Calls
from swarm.objects.s3_client import Clients
from swarm.objects.s3_failures import is_refused_as_present, status_of
from swarm.objects.standing import Place, Standing
from swarm.objects.usage import Usage, usage_of_sizes

# The metadata of an object that says which call wrote it.
WRITER: Final = "writer"
# A server may take its time to answer a write of so much.
LARGE_BYTES: Final = MIB


class S3ObjectStore:
    """An ObjectStore. ``encryption`` are the arguments of each write that ask for it.

    ``is_open``: it has been found fit, so that from now on it may be away (see ``s3_calls``).

    ``is_ordered``: the server lists by the bytes of the keys, as S3 does. SeaweedFS 4.48 goes through folders instead
    and loses keys between pages where one is the beginning of another: then the store goes through the folders itself,
    all of them for each list.
    """

    def __init__(
        self,
        clients: Clients,
        meter: Meter,
        address: S3Address,
        *,
        encryption: Mapping[str, str],
        is_ordered: bool,
        is_open: bool = False,
    ) -> None:
        self.clients = clients
        self.meter = meter
        self.address = address
        self.encryption = encryption
        self.is_ordered = is_ordered
        self.calls = Calls(str(address), clients, meter, self._look if is_open else None)

    @property
    def client(self) -> Any:
        """boto3's, as of now: others take its place when credentials are renewed."""
        return self.clients.quick

    def standing(self) -> Standing:
        """Whether the store is there."""
        return self.calls.standing()

    def place(self) -> Place:
        """Where it is. One that was opened and is not meant to be in the clear was seen to be encrypted."""
        if self.address.encryption == "none":
            return Place(str(self.address), "none, as its address says")
        by = self.encryption.get("ServerSideEncryption")
        return Place(str(self.address), f"{by} by the server" if by else "by the bucket")

    def _look(self) -> None:
        place = {"Bucket": self.address.bucket, "Prefix": self.address.prefix + "none/", "MaxKeys": 1}
        self.client.list_objects_v2(**place)

    def get(self, key: str) -> bytes:
        return self._fetch(key, {})

    def get_range(self, key: str, start: int, length: int) -> bytes:
        # HTTP has no word for a range of nothing.
        wanted = {"Range": f"bytes={start}-{start + max(length, 1) - 1}"}
        return self._fetch(key, wanted, f"bytes {start}-")[: max(length, 0)]

    def put(self, key: str, data: bytes) -> None:
        arguments = self.write_arguments(key, data)
        self.calls(self._cannot("write", key), lambda: self._writer(data).put_object(**arguments))

    def put_if_absent(self, key: str, data: bytes) -> bool:
        """As the contract. IncompleteError if an object was there and is gone before it could be told whose it was."""
        writer = secrets.token_hex(16)
        arguments = self.write_arguments(key, data) | {"IfNoneMatch": "*", "Metadata": {WRITER: writer}}
        return self.calls(self._cannot("write", key), lambda: self._write_if_absent(key, arguments, writer))

    def _write_if_absent(self, key: str, arguments: Mapping[str, Any], writer: str) -> bool:
        try:
            self._writer(arguments["Body"]).put_object(**arguments)
        except ClientError as error:
            if not is_refused_as_present(error):
                raise
            # An earlier try may have written it, one of ours or of a proxy's.
            return self._writer_of(key) == writer
        return True

    def _writer(self, data: bytes) -> Any:
        """The client for a write."""
        return self.clients.patient if len(data) >= LARGE_BYTES else self.clients.quick

    def _writer_of(self, key: str) -> str:
        try:
            found = self.client.head_object(Bucket=self.address.bucket, Key=self.address.prefix + key)
        except ClientError as error:
            if status_of(error) != 404:
                raise
            raise IncompleteError(
                f"{self._cannot('tell who wrote', key)}: it was there and is gone again; repeat"
            ) from error
        return str(found["Metadata"].get(WRITER, ""))

    def list(self, prefix: str, *, after: str = "", limit: int = PAGE_KEYS) -> list[str]:
        if self.is_ordered:
            return list(islice((key for key, _ in self._behind(prefix, after, limit)), limit))
        return sorted(key for key, _ in self._walk(prefix) if key > after)[:limit]

    def usage(self, prefix: str = "") -> Usage:
        """The objects whose keys begin with ``prefix``. A request for each thousand of them, or each folder."""
        found = self._behind(prefix, "", PAGE_KEYS) if self.is_ordered else self._walk(prefix)
        return usage_of_sizes(size for _, size in found)

    def delete(self, key: str) -> None:
        place = {"Bucket": self.address.bucket, "Key": self.address.prefix + check_key(key)}
        self.calls(self._cannot("delete", key), lambda: self.client.delete_object(**place))

    def close(self) -> None:
        """Give up what is being tried again, and the connections."""
        self.calls.close()
        self.clients.close()

    def write_arguments(self, key: str, data: bytes) -> dict[str, Any]:
        """How an object is written: where, what, its checksum, encrypted."""
        return {
            "Bucket": self.address.bucket,
            "Key": self.address.prefix + check_key(key),
            "Body": data,
            "ChecksumSHA256": base64.b64encode(hashlib.sha256(data).digest()).decode(),
            "ContentType": "application/octet-stream",
            **self.encryption,
        }

    def _fetch(self, key: str, wanted: Mapping[str, str], stated: str = "") -> bytes:
        """The bytes. boto3 compares them with their length, and whole objects with their checksum."""
        place = {"Bucket": self.address.bucket, "Key": self.address.prefix + check_key(key), **wanted}

        def fetch() -> bytes:
            try:
                answer = self.client.get_object(**place)
            except ClientError as error:
                if status_of(error) == 416:
                    return b""
                raise
            with contextlib.closing(answer["Body"]) as body:
                if not str(answer.get("ContentRange", "")).startswith(stated):
                    raise RemoteProtocolError(f"{self._cannot('read', key)}: the server answers with another range")
                data = bytes(body.read())
                self.meter.received(len(data))
                return data

        return self.calls(self._cannot("read", key), fetch)

    def _behind(self, prefix: str, after: str, limit: int) -> Iterator[tuple[str, int]]:
        """The keys, with objects' sizes, behind ``after``, a page of at most ``limit`` at a time."""
        while True:
            page = self._page(prefix, StartAfter=self.address.prefix + after, MaxKeys=min(PAGE_KEYS, limit))
            found = self._found(page)
            keys = [key for key, _ in found]
            if keys and not (keys[0] > after and all(one < other for one, other in pairwise(keys))):
                raise RemoteProtocolError(f"{self.address} lists keys in another order than S3: use another server")
            yield from (each for each in found if is_key(each[0]))
            if not keys or not page.get("IsTruncated"):
                return
            after = keys[-1]

    def _walk(self, prefix: str) -> Iterator[tuple[str, int]]:
        """All keys below a prefix, with objects' sizes, a folder at a time."""
        token: dict[str, str] = {}
        while True:
            page = self._page(prefix, Delimiter="/", **token)
            yield from (each for each in self._found(page) if is_key(each[0]))
            for folder in page.get("CommonPrefixes", []):
                yield from self._walk(folder["Prefix"].removeprefix(self.address.prefix))
            if not page.get("IsTruncated"):
                return
            if token.get("ContinuationToken") == page["NextContinuationToken"]:
                raise RemoteProtocolError(f"{self.address} lists the same page for ever: use another server")
            token = {"ContinuationToken": page["NextContinuationToken"]}

    def _page(self, prefix: str, **arguments: Any) -> Mapping[str, Any]:
        place = {"Bucket": self.address.bucket, "Prefix": self.address.prefix + prefix}
        page: Mapping[str, Any] = self.calls(
            f"cannot list {self.address}", lambda: self.client.list_objects_v2(**place, **arguments)
        )
        return page

    def _found(self, page: Mapping[str, Any]) -> Sequence[tuple[str, int]]:
        entries = page.get("Contents", [])
        return [(entry["Key"].removeprefix(self.address.prefix), int(entry.get("Size", 0))) for entry in entries]

    def _cannot(self, verb: str, key: str) -> str:
        return f"cannot {verb} object {key} in {self.address}"

    def __repr__(self) -> str:
        return f"<S3ObjectStore {self.address}>"
