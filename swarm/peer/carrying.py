"""A version carried in a file: out of this peer, and into it, with or without a network.

Out: whatever is lacking here is fetched, a few blocks ahead. In: the file is verified as a whole before anything is
kept; then a directory is built of it as by a pull, and served from there. An entry that our own CA sealed is believed,
so the version is then known here as if the swarm had told of it. What another swarm sealed can be published anew, by
this home and under its name.
"""

from __future__ import annotations

import asyncio
import logging
import os
import shutil
import stat
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, BinaryIO, Final

import msgspec

from swarm import names
from swarm.claims import Version
from swarm.encoding import Encoded, encode_block, open_block
from swarm.errors import (
    AetherError,
    IncompleteError,
    NotAllowedError,
    NotFoundError,
    PurgedError,
    RemoteProtocolError,
    UsageError,
)
from swarm.export import Export, Head, frame, opening, order, read_export
from swarm.identity import peer_id_of
from swarm.log import parse_entry
from swarm.manifest import Manifest
from swarm.names import Reference
from swarm.peer.find import Resolved
from swarm.peer.imported import import_path
from swarm.peer.look_verbs import RefArguments
from swarm.peer.node import PeerNode
from swarm.peer.publish import Wanted, publish
from swarm.peer.pull import Progress, Target, manifest_of, pull_resolved
from swarm.peer.read import bring
from swarm.peer.requiring import Reading
from swarm.rooted import failure
from swarm.staging import Staging
from swarm.tracker.revivals import purged

WINDOW_BLOCKS: Final = 16
READ_BYTES: Final = 1 << 20
# For a tracker to say that a version was purged. A file is often imported where there is none.
TRACKER_PATIENCE_S: Final = 3.0

log = logging.getLogger("aetherfs.carrying")


class ExportArguments(Reading, frozen=True, forbid_unknown_fields=True):
    ref: str
    since: str | None = None


class ImportArguments(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    file: str
    name: str | None = None
    directory: str | None = None


# ---- out ------------------------------------------------------------------------------------------------------------


async def export(node: PeerNode, arguments: ExportArguments) -> AsyncIterator[bytes]:
    """Give a version as one file: its bytes, in order."""
    resolved, manifest = await _version(node, arguments.ref)
    left_out: frozenset[bytes] = frozenset()
    since = b""
    if arguments.since is not None:
        older, older_manifest = await _version(node, arguments.since)
        if older.dataset != resolved.dataset:
            raise UsageError(f"--since names a version of {older.dataset}, and not of {resolved.dataset}")
        since, left_out = older.version, frozenset(block.signature for block in older_manifest.unique)
    for part in _tables(resolved, manifest, since):
        yield part
    for start in range(0, len(manifest.unique), WINDOW_BLOCKS):
        window = range(start, min(start + WINDOW_BLOCKS, len(manifest.unique)))
        wanted = [index for index in window if manifest.unique[index].signature not in left_out]
        for index, encoded in zip(window, await _encoded(node, resolved, manifest, window, wanted), strict=True):
            if encoded is None and index in wanted:
                raise IncompleteError(f"a block of {arguments.ref} was evicted before it was read: repeat")
            yield frame(encoded if encoded is not None else b"")


def _tables(resolved: Resolved, manifest: Manifest, since: bytes) -> Iterator[bytes]:
    """What an export begins with: its head, and the version's manifest."""
    yield opening(Head(1, resolved.dataset, manifest.version, since, resolved.entry))
    of_manifest = {manifest.version: manifest.root_bytes, **manifest.segments}
    signatures = order(manifest)
    for signature in signatures[: len(signatures) - len(manifest.unique)]:
        yield frame(encode_block(of_manifest[signature]))


async def tables(node: PeerNode, arguments: RefArguments) -> AsyncIterator[bytes]:
    """Give a version's manifest, and the entry that shows that the version is of its dataset."""
    resolved, manifest = await _version(node, arguments.ref)
    for part in _tables(resolved, manifest, b""):
        yield part


async def _version(node: PeerNode, text: str) -> tuple[Resolved, Manifest]:
    reference = names.parse(text)
    if reference.path is not None:
        raise UsageError(f"a whole version is exported: leave the path of {reference} away")
    resolved = await node.finder.resolve(reference)
    manifest, _ = await manifest_of(node, resolved)
    return resolved, manifest


async def _encoded(
    node: PeerNode, resolved: Resolved, manifest: Manifest, window: range, wanted: list[int]
) -> list[Encoded | None]:
    """The blocks of a window that are wanted, from here or fetched."""
    holding = node.holdings.get(resolved.dataset, manifest.version)
    found: dict[int, Encoded | None] = {}
    if holding is not None and holding.is_complete:
        found = {index: await holding.read(manifest.unique[index].signature) for index in wanted}
    lacking = [index for index in wanted if found.get(index) is None]
    await bring(node, resolved, manifest, lacking)
    for index in lacking:
        found[index] = await asyncio.to_thread(node.store.get, manifest.unique[index].signature)
    for index in wanted:
        encoded, block = found[index], manifest.unique[index]
        if encoded is not None:
            await asyncio.to_thread(open_block, encoded, block.signature, block.size)
    return [found.get(index) for index in window]


# ---- in -------------------------------------------------------------------------------------------------------------


class ExportStore:
    """The blocks in an export, as a Store. Blocking and thread-safe."""

    def __init__(self, export: Export, file: BinaryIO) -> None:
        self._export = export
        self._descriptor = file.fileno()

    def get(self, signature: bytes) -> Encoded | None:
        index = self._export.manifest.index_of.get(signature)
        if index is None or not self._export.lengths[index]:
            return None
        encoded = os.pread(self._descriptor, self._export.lengths[index], self._export.offsets[index])
        try:
            open_block(encoded, signature)
        except RemoteProtocolError:
            return None
        return encoded

    def put(self, signature: bytes, encoded: Encoded) -> None:
        """Nothing is added to a file that came from elsewhere."""

    def has(self, signature: bytes) -> bool:
        index = self._export.manifest.index_of.get(signature)
        return index is not None and bool(self._export.lengths[index])

    def close(self) -> None:
        """The file is its opener's."""


async def import_file(node: PeerNode, arguments: ImportArguments, progress: Progress) -> dict[str, Any]:
    """Keep the version that a file holds, and publish it under ``name`` if one is given."""
    started = time.monotonic()
    reference = _name_of(arguments.name)
    async with _opened(node, Path(arguments.file)) as file:
        progress({"event": "progress", "phase": "verify"})
        found = await asyncio.to_thread(_read, file)
        is_ours = _is_ours(node, found)
        if not is_ours and reference is None:
            raise NotAllowedError(
                f"{found.head.dataset} was sealed by another swarm: give NAME:TAG to publish it here as your own"
            )
        for dataset in {*([found.head.dataset] if is_ours else []), *([reference.dataset] if reference else [])}:
            await _check_not_purged(node, (dataset, found.head.version))
        target = _target(node, arguments.directory, found)
        store = ExportStore(found, file)
        await asyncio.to_thread(_check_left_out, node, found)
        if is_ours:
            # Whoever is told to purge it meanwhile waits until it is whole, and removes it then.
            with node.snapshots.keeping.of((found.head.dataset, found.head.version)):
                await _keep(node, found, store, target, progress)
        else:
            await asyncio.to_thread(_build, node, found, store, target)
    published = None
    if reference is not None:
        message = f"imported: {found.head.dataset} of {peer_id_of(found.entry.publisher)[:12]}, {_sealer(found)[:12]}"
        wanted = Wanted(reference.dataset, [reference.tag or ""], message)
        published = await publish(node, target, wanted, "refuse", progress)
    return {
        "dataset": found.head.dataset,
        "version": found.head.version.hex(),
        "serial": found.entry.serial,
        "files": found.manifest.file_count,
        "bytes": found.manifest.total_bytes,
        "directory": str(target),
        "publisher": peer_id_of(found.entry.publisher),
        "sealed_by": _sealer(found),
        "own_swarm": is_ours,
        "published": published,
        "seconds": round(time.monotonic() - started, 3),
    }


def _name_of(text: str | None) -> Reference | None:
    if text is None:
        return None
    reference = names.parse(text)
    if reference.names_version or reference.path is not None:
        raise UsageError(f"{reference} does not name a tag: write NAME:TAG")
    return reference


@asynccontextmanager
async def _opened(node: PeerNode, path: Path) -> AsyncIterator[BinaryIO]:
    file = await asyncio.to_thread(_open, path, node.home.path)
    try:
        yield file
    finally:
        file.close()


def _open(path: Path, folder: Path) -> BinaryIO:
    """The file, open. One that cannot be read twice, as a pipe, is put into the folder first, without a name."""
    try:
        file = path.open("rb")
        if stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            return file
        with file:
            kept: BinaryIO = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115 (the caller closes it)
            shutil.copyfileobj(file, kept, READ_BYTES)
        kept.seek(0)
        return kept
    except FileNotFoundError as error:
        raise NotFoundError(f"{path} is not there: check the path") from error
    except OSError as error:
        raise failure(f"cannot read {path}", error) from error


def _read(file: BinaryIO) -> Export:
    return read_export(file.read)


def _sealer(found: Export) -> str:
    """The key of the CA that sealed the entry, as an id; of the publisher where no tracker did."""
    signed, _ = parse_entry(found.head.entry)
    return peer_id_of(signed.endorsements[-1].public)


def _is_ours(node: PeerNode, found: Export) -> bool:
    """Whether our own swarm sealed the entry."""
    try:
        node.access.learn(found.head.entry)
    except RemoteProtocolError:
        return False
    return True


def _target(node: PeerNode, directory: str | None, found: Export) -> Path:
    if directory is not None:
        return Path(directory).absolute()
    return import_path(node.home.path, found.head.dataset, found.head.version)


async def _check_not_purged(node: PeerNode, version: Version) -> None:
    """PurgedError for a version that was purged, as this peer or a tracker knows. Where none is, by what is known."""
    if node.access.is_purged(*version):
        raise purged(version)
    scope, _, name = version[0].partition("/")
    asking = node.tracker.lookup(Reference(scope, name, None, version[1]))
    try:
        async with asyncio.timeout(TRACKER_PATIENCE_S):
            await asking
    except PurgedError:
        raise
    except (AetherError, TimeoutError) as error:
        log.debug("no tracker tells whether a version was purged: %s", error)


def _check_left_out(node: PeerNode, found: Export) -> None:
    lacking = sum(node.store.get(signature) is None for signature in found.left_out)
    if lacking:
        raise NotFoundError(
            f"the file leaves out what {found.head.dataset}@{found.head.since.hex()[:12]} holds, and {lacking} blocks "
            "of that are not here: pull or import that version first"
        )


async def _keep(node: PeerNode, found: Export, store: ExportStore, target: Path, progress: Progress) -> None:
    """Know the version as the swarm's, hold it in a directory, and serve it."""
    head, entry = found.head, found.entry
    if node.ledger.record(entry, head.entry):
        node.exchange.announce(head.entry)
    resolved = Resolved(head.dataset, None, head.version, head.entry, entry.serial, is_stale=True)
    node.store.add(store)
    try:
        await pull_resolved(node, resolved, found.manifest, Target(target), progress)
    finally:
        node.store.remove(store)


def _build(node: PeerNode, found: Export, store: ExportStore, target: Path) -> None:
    """A directory with the version in it, and nothing said to anybody."""
    staging = Staging(target, found.manifest)
    try:
        staging.adopt({}, force=False)
        done = staging.recover()
        for index, block in enumerate(found.manifest.unique):
            if index not in done:
                encoded = store.get(block.signature) or node.store.get(block.signature)
                if encoded is None:
                    raise IncompleteError("the file changed while it was read: repeat the command")
                staging.write(index, open_block(encoded, block.signature, block.size))
        staging.finish()
    except (AetherError, OSError):
        staging.close()
        raise
