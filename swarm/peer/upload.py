"""Uploading a version to a seed: ask what is missing, send only that, get the seed's receipt.

The seed is called by its key like any peer. An upload that was interrupted and is repeated finds what it had sent.
Blocks come out of the directory that is published and are verified on the way, so a file that changed meanwhile is
noticed.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import io
import struct
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

import aiohttp
import msgspec
from aiohttp.abc import AbstractStreamWriter
from aiohttp.payload import Payload

from swarm.encoding import Encoded, encode_block, smaller
from swarm.errors import AetherError, IntegrityError, NotFoundError, UnreachableError, UsageError
from swarm.http.problem import error_from
from swarm.identity import server_name_of
from swarm.limits import ENCODED_MAX_BYTES, MIB, MISSING_MAX_SIGNATURES
from swarm.manifest import Manifest
from swarm.peer.pace import UNPACED, Pace
from swarm.peer.traffic import Traffic
from swarm.peer.wire import GRANT_HEADER
from swarm.store import Store

BLOCK_TYPE: Final = "application/vnd.aetherfs.block"
# Blocks one after the other, each behind its signature and its length.
BLOCKS_TYPE: Final = "application/vnd.aetherfs.blocks"
BRING_MAX_BYTES: Final = 5 * MIB
_BLOCK_HEAD: Final = struct.Struct(">32sI")
# A request brings about so much, and so many are under way: one is compressed while others are sent and verified.
BATCH_BYTES: Final = 4 * MIB - ENCODED_MAX_BYTES
BATCH_MAX_BLOCKS: Final = 4096
# Looks for what is missing, each after something was removed meanwhile.
COMMITS_MAX: Final = 3
AT_ONCE: Final = 4
ANSWER_MAX_BYTES: Final = 2 * MIB
CALL_TIMEOUT_S: Final = 120.0


class Framed(Payload):
    """Encoded blocks as one body, written part by part, at the ``pace``: joined, each byte would be copied twice
    more.
    """

    def __init__(self, blocks: Iterable[tuple[bytes, Encoded]], pace: Pace = UNPACED) -> None:
        self._pace = pace
        parts = [part for one, data in blocks for part in (_BLOCK_HEAD.pack(one, len(data)), data)]
        super().__init__(parts, content_type=BLOCKS_TYPE)
        self._size = sum(map(len, parts))

    def joined(self) -> bytes:
        """The body's bytes."""
        return b"".join(self._value)

    def decode(self, encoding: str = "utf-8", errors: str = "strict") -> str:
        """For what aiohttp prints."""
        return self.joined().decode(encoding, errors)

    async def write(self, writer: AbstractStreamWriter) -> None:
        for whole in self._value:
            rest = memoryview(whole)
            while rest:
                part = rest[: self._pace.part_bytes(len(rest))]
                await self._pace.pause(len(part))
                await writer.write(part)
                rest = rest[len(part) :]

    async def write_with_length(self, writer: AbstractStreamWriter, content_length: int | None) -> None:
        await self.write(writer)


def unframed(body: bytes | bytearray) -> list[tuple[bytes, bytes]]:
    """The blocks of a body that ``Framed`` wrote. UsageError for anything else."""
    found: list[tuple[bytes, bytes]] = []
    view = memoryview(body)
    at = 0
    while at < len(body):
        if len(body) - at < _BLOCK_HEAD.size:
            raise UsageError("the blocks that were sent end within a head")
        signature, length = _BLOCK_HEAD.unpack_from(body, at)
        at += _BLOCK_HEAD.size
        if not 1 <= length <= min(ENCODED_MAX_BYTES, len(body) - at):
            raise UsageError("a block that was sent has another length than it says, or more than it may")
        found.append((signature, bytes(view[at : at + length])))
        at += length
    return found


class SeedClient:
    """The upload side of one seed. Blocks go at the ``pace``, and are counted in ``traffic`` once they are taken."""

    def __init__(
        self,
        session: aiohttp.ClientSession,
        seed: str,
        grant: bytes,
        pace: Pace = UNPACED,
        traffic: Traffic | None = None,
    ) -> None:
        self._pace = pace
        self._traffic = traffic
        self._session = session
        self.seed = seed
        # What the seed's object store was asked for, once a version is kept.
        self.store: dict[str, Any] = {}
        self._headers = {GRANT_HEADER: base64.b64encode(grant).decode()}

    async def begin(self, dataset: str) -> str:
        answer = await self._call("POST", "/api/v1/uploads", msgspec.json.encode({"dataset": dataset}))
        return str(_json(answer)["session"])

    async def missing(self, dataset: str, session: str, signatures: Sequence[bytes]) -> list[bytes]:
        """Those of the blocks that have to be uploaded."""
        found: list[bytes] = []
        for start in range(0, len(signatures), MISSING_MAX_SIGNATURES):
            part = signatures[start : start + MISSING_MAX_SIGNATURES]
            body = {"dataset": dataset, "session": session, "signatures": [s.hex() for s in part]}
            answer = _json(await self._call("POST", "/api/v1/blocks:missing", msgspec.json.encode(body)))
            found += [bytes.fromhex(text) for text in answer["missing"]]
        return found

    async def bring(self, session: str, blocks: Sequence[tuple[bytes, Encoded]]) -> None:
        """Send some blocks, of at most BRING_MAX_BYTES."""
        await self._call("POST", f"/api/v1/uploads/{session}/blocks", Framed(blocks, self._pace), BLOCKS_TYPE)
        if self._traffic is not None:
            self._traffic.uploaded_bytes += sum(len(block) for _, block in blocks)

    async def done(self, session: str) -> None:
        """The log names what the session kept: the seed need not hold it for us any longer."""
        await self._call("DELETE", f"/api/v1/uploads/{session}", b"")

    async def commit(self, session: str, root_bytes: bytes) -> bytes:
        """The seed's sealed receipt for the version."""
        path = f"/api/v1/uploads/{session}:commit"
        answer = _json(await self._call("POST", path, root_bytes, "application/octet-stream"))
        self.store = answer.get("store", {})
        return base64.b64decode(answer["receipt"])

    async def block(self, dataset: str, version: bytes, signature: bytes, *, own: bool) -> bytes:
        """A block of a version, encoded. ``own``: out of what that seed itself has or reads from the store."""
        query = {"dataset": dataset, "version": version.hex(), "own": "1" if own else ""}
        return await self._call("GET", f"/api/v1/blocks/{signature.hex()}", b"", BLOCK_TYPE, query)

    async def _call(
        self,
        method: str,
        path: str,
        body: bytes | Framed,
        content_type: str = "application/json",
        query: Mapping[str, str] | None = None,
    ) -> bytes:
        try:
            async with self._session.request(
                method,
                f"https://{server_name_of(self.seed)}{path}",
                # Large bytes are written in one go, which aiohttp warns of.
                data=body if isinstance(body, Framed) else io.BytesIO(body),
                params=query,
                headers={**self._headers, "Content-Type": content_type, "Accept": content_type},
                # What goes slowly by our own will goes beside as many others.
                timeout=aiohttp.ClientTimeout(total=CALL_TIMEOUT_S + self._pace.takes_s(2 * AT_ONCE * BRING_MAX_BYTES)),
            ) as response:
                answer = bytearray()
                async for data in response.content.iter_any():
                    answer += data
                    if len(answer) > ANSWER_MAX_BYTES:
                        raise UnreachableError(f"seed {self.seed[:8]} answers more than it may")
                if response.status != 200:
                    raise error_from(response.status, bytes(answer), f"seed {self.seed[:8]}")
                return bytes(answer)
        except (aiohttp.ClientError, OSError, asyncio.TimeoutError) as error:
            raise UnreachableError(
                f"seed {self.seed[:8]} does not answer: {error or type(error).__name__}; publish again when one runs"
            ) from error


class ChangedWhileUploaded(AetherError):
    """The directory no longer holds what was scanned."""


async def upload(
    client: SeedClient,
    session: str,
    dataset: str,
    manifest: Manifest,
    blocks: Store,
    progress: Callable[[int, int], None],
) -> tuple[bytes, dict[bytes, int]]:
    """Bring what is missing of a version: the receipt, and the encoded bytes of each block that was sent.

    ``progress`` gets (plain bytes done, in all). Raises ChangedWhileUploaded when a file is not what it was.
    """
    made = made_blocks(manifest)
    # The manifest's own come last, so that they lie together in the last pack.
    sizes = {block.signature: block.size for block in manifest.unique} | {s: len(data) for s, data in made.items()}
    sent: dict[bytes, int] = {}
    # A seed that has the root has had the whole version: it is only asked for each block if the commit lacks some.
    if not await client.missing(dataset, session, [manifest.version]):
        with contextlib.suppress(NotFoundError):
            return await client.commit(session, manifest.root_bytes), sent
    for _ in range(COMMITS_MAX):
        missing = await client.missing(dataset, session, list(sizes))
        await _bring(client, session, missing, sizes, lambda one: encoded(one, made, blocks), sent, progress)
        try:
            return await client.commit(session, manifest.root_bytes), sent
        except NotFoundError as error:  # blocks that were there have been removed meanwhile
            failure = error
    raise failure


async def _bring(
    client: SeedClient,
    session: str,
    missing: Sequence[bytes],
    sizes: Mapping[bytes, int],
    encode: Callable[[bytes], bytes],
    sent: dict[bytes, int],
    progress: Callable[[int, int], None],
) -> None:
    """Bring some blocks, several requests at a time."""
    total, done = sum(sizes[signature] for signature in missing), 0
    batches = batched(missing, sizes)

    async def worker() -> None:
        nonlocal done
        for batch in batches:
            data = await asyncio.to_thread(lambda part: [(one, encode(one)) for one in part], batch)
            await client.bring(session, data)
            sent.update((signature, len(block)) for signature, block in data)
            done += sum(sizes[signature] for signature in batch)
            progress(done, total)

    await _all(worker() for _ in range(AT_ONCE))


def batched(signatures: Sequence[bytes], sizes: Mapping[bytes, int]) -> Iterator[list[bytes]]:
    """Blocks in groups that fit a request each."""
    batch: list[bytes] = []
    size_bytes = 0
    for signature in signatures:
        batch.append(signature)
        size_bytes += sizes[signature]
        if size_bytes >= BATCH_BYTES or len(batch) >= BATCH_MAX_BLOCKS:
            yield batch
            batch, size_bytes = [], 0
    if batch:
        yield batch


def made_blocks(manifest: Manifest) -> dict[bytes, bytes]:
    """The blocks that a manifest itself is, plain."""
    return {manifest.version: manifest.root_bytes, **manifest.segments}


def encoded(signature: bytes, made: dict[bytes, bytes], blocks: Store) -> bytes:
    """A block of the manifest or of the directory, which ``blocks`` gives raw. ChangedWhileUploaded when the directory
    no longer has it.
    """
    plain = made.get(signature)
    if plain is not None:
        return encode_block(plain)
    raw = blocks.get(signature)
    if raw is None:
        raise ChangedWhileUploaded("the directory changes while it is published; publish when it is at rest")
    return bytes(smaller(raw))


async def _all(work: Iterable[Any]) -> None:
    """Run all; the first failure ends the others and is raised."""
    tasks = [asyncio.ensure_future(one) for one in work]
    try:
        await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def _json(data: bytes) -> dict[str, Any]:
    try:
        answer = msgspec.json.decode(data)
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise IntegrityError(f"a seed's answer is not JSON: {error}") from error
    if not isinstance(answer, dict):
        raise IntegrityError("a seed's answer is not an object")
    return answer
