"""Pulling a version into a directory: resolve, manifest, reuse, fetch, put in place.

What the directory, an earlier try or another version on this machine already holds is not fetched. Blocks are served to
others while they come. Killed at any moment, the next pull finds every verified block again; the directory is whole
before and after.
"""

from __future__ import annotations

import asyncio
import contextlib
import fnmatch
import time
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from swarm.encoding import open_block
from swarm.errors import AetherError, IncompleteError, NotFoundError, UsageError
from swarm.fingerprint import fingerprints
from swarm.manifest import Manifest
from swarm.names import Reference
from swarm.peer.download import Download
from swarm.peer.find import Resolved
from swarm.peer.holdings import Holding, StoreSource
from swarm.peer.manifests import ManifestFetch
from swarm.peer.node import PeerNode
from swarm.peer.trace import FETCH, FINISH, MANIFEST, PREPARE, Recorder
from swarm.peer.tracing import Traced, tracing
from swarm.peer.trees import TreeRecord
from swarm.rooted import Tree
from swarm.scan_cache import ScanCache
from swarm.segments import FILE
from swarm.sharing import Origin
from swarm.signature import signature_of
from swarm.staging import ALL_MODES, Staging
from swarm.tree import TreeStore

PROGRESS_S: Final = 0.25
# How long a peer is looked for that still has what the object store does not keep any more.
GONE_STALL_S: Final = 15.0
# Blocks that a seed reads from its object store at a time.
READ_AT_ONCE: Final = 16
NO_TRACKER: Final = "none confirmed what the reference means"

Progress = Callable[[dict[str, Any]], None]


@dataclass(frozen=True, slots=True)
class Target:
    """Where a version is wanted, and how. ``mask`` is what modes are cut to; ``origins`` are directories of versions
    that it may share files with (asked in a thread).
    """

    directory: Path
    include: Sequence[str] = ()
    force: bool = False
    mask: int = ALL_MODES
    origins: Callable[[], list[Origin]] = list


def untold(_report: dict[str, Any]) -> None:
    """For who shows no progress."""


@contextlib.asynccontextmanager
async def _telling(node: PeerNode, progress: Progress, state: Callable[[], dict[str, Any]]) -> AsyncIterator[None]:
    """Report a state again and again while the context lasts: who is told can say for how long nothing has moved."""

    async def tell() -> None:
        while True:
            progress(state())
            await asyncio.sleep(PROGRESS_S)

    telling = node.tasks.start(tell())
    try:
        yield
    finally:
        telling.cancel()


def _waiting(phase: str, words: str) -> dict[str, Any]:
    return {"event": "progress", "phase": phase, "waiting_for": words}


async def manifest_of(
    node: PeerNode, resolved: Resolved, progress: Progress = untold, traced: Traced | None = None
) -> tuple[Manifest, int]:
    """The manifest of a version, from here or from neighbours, and the encoded bytes that it cost."""
    dataset, version = resolved.dataset, resolved.version
    if traced is not None:
        traced.version = version
        traced.phase(MANIFEST)
    holding = await node.holdings.find(dataset, version)
    if holding is not None:
        return holding.manifest, 0
    kept = await asyncio.to_thread(node.trees.manifest, version)
    if kept is not None:
        return kept, 0
    recorder = traced.recorder if traced is not None else None
    fetch = ManifestFetch(node.parts, node.store, dataset, version, resolved.entry, recorder)
    looking = node.tasks.start(_look(node, dataset, version, recorder))
    try:
        async with _telling(node, progress, lambda: _waiting("manifest", fetch.waiting_for())):
            manifest = await fetch.run(node.settings.stall_s if not resolved.is_gone else GONE_STALL_S)
    except IncompleteError as error:
        if not resolved.is_gone:
            raise
        raise NotFoundError(
            f"version {version.hex()[:16]} of {dataset} is removed, as its keep rule does not cover it, and no peer "
            f"that can be reached still has it: choose a later one of `aetherfs history {dataset}`"
        ) from error
    finally:
        looking.cancel()
    return manifest, fetch.wire_bytes


async def _look(node: PeerNode, dataset: str, version: bytes, trace: Recorder | None) -> None:
    while True:
        await find_neighbours(node, dataset, version, trace)
        await asyncio.sleep(2.0)


async def find_neighbours(node: PeerNode, dataset: str, version: bytes, trace: Recorder | None = None) -> None:
    """Let the mesh connect to whoever holds or fetches the version."""
    started = time.monotonic()
    await node.announcer.neighbours(dataset, version)
    if trace is not None:
        trace.looked(started, time.monotonic(), "" if node.announcer.is_answered else node.announcer.tracker_state)
    await node.finder.neighbours(dataset, version)


async def pull(
    node: PeerNode, reference: Reference, directory: Path, include: list[str], *, force: bool, progress: Progress
) -> dict[str, Any]:
    """Make ``directory`` hold the version that ``reference`` means. The result is INTERFACE's object for ``pull
    --json``.
    """
    if reference.path is not None:
        raise UsageError(f"pull takes a whole version: use `aetherfs cat {reference}`, or pull with --include")
    started = time.monotonic()
    target = Target(Path(directory).absolute(), include, force)
    async with tracing(node, str(reference), reference.dataset, target.directory) as traced:
        problem = NO_TRACKER
        try:
            async with _telling(node, progress, lambda: _waiting("find", f"the version of {reference}")):
                resolved = await node.finder.resolve(reference)
            problem = NO_TRACKER if resolved.is_stale else ""
        finally:
            traced.recorder.looked(started, time.monotonic(), problem)
        with node.works.pulling(resolved):
            manifest, manifest_wire = await manifest_of(node, resolved, progress, traced)
            work = await _pulled(node, resolved, manifest, target, progress, traced)
    seconds = time.monotonic() - started
    sources = work.sources()
    return {
        "ref": str(reference),
        "version": manifest.version.hex(),
        "serial": resolved.serial,
        **resolved.freshness,
        "files": work.files,
        "bytes": work.bytes,
        "seconds": round(seconds, 3),
        "from": {"peers": sources["peers"], "origin": sources["origin"], "reused": sources["reused"]},
        "wasted": sources["wasted"],
        "wire": sources["wire"] + manifest_wire,
        "manifest_wire": manifest_wire,
    }


async def pull_resolved(
    node: PeerNode,
    resolved: Resolved,
    manifest: Manifest,
    target: Target,
    progress: Progress = untold,
    traced: Traced | None = None,
) -> None:
    """Make a directory hold a version whose manifest is here, and serve it from there. What its files look like is
    noted on return.
    """
    work = await _pulled(node, resolved, manifest, target, progress, traced)
    if work.remembering is not None:
        await work.remembering


async def _pulled(
    node: PeerNode,
    resolved: Resolved,
    manifest: Manifest,
    target: Target,
    progress: Progress,
    traced: Traced | None,
) -> _Pull:
    traced = traced or Traced(Recorder(time.monotonic(), 0.0))
    traced.phase(PREPARE)
    await asyncio.to_thread(node.trees.keep, manifest)
    work = _Pull(node, resolved, manifest, target, traced)
    alone = node.pulling.setdefault((resolved.dataset, manifest.version), asyncio.Lock())
    async with _telling(node, progress, lambda: _waiting("find", "another pull of this version, to reuse its blocks")):
        await alone.acquire()
    try:
        await work.run(progress)
    finally:
        alone.release()
        traced.size_bytes, traced.reused_bytes = work.bytes, work.sources()["reused"]
    return work


class _Pull:
    """One pull under way."""

    def __init__(self, node: PeerNode, resolved: Resolved, manifest: Manifest, wanted: Target, traced: Traced) -> None:
        self._traced = traced
        self._node = node
        self._resolved = resolved
        self._manifest = manifest
        self._target, include = wanted.directory, wanted.include
        self._wanted = wanted
        self._included = [e for e in manifest.files if not include or _is_included(e.path, include)]
        if include and not self._included:
            raise UsageError(f"no file matches --include {' '.join(include)}: see `aetherfs ls {resolved.dataset}`")
        self._paths = {entry.path for entry in self._included}
        self.files = sum(1 for entry in self._included if entry.kind == FILE)
        self.bytes = sum(entry.size for entry in self._included)
        self._download: Download | None = None
        self.remembering: asyncio.Task[None] | None = None

    async def run(self, progress: Progress) -> None:
        node = self._node
        previous = await asyncio.to_thread(node.trees.previous, self._target)
        seen = await asyncio.to_thread(ScanCache.load, self._fingerprint_path())
        looked_ns = time.time_ns()
        staging = await asyncio.to_thread(self._stage)
        try:
            await asyncio.to_thread(staging.adopt, previous, force=self._wanted.force, known=seen)
            await asyncio.to_thread(lambda: staging.share(self._wanted.origins()))
            done = await asyncio.to_thread(self._reuse, staging)
            if node.extension is not None:
                async with _telling(node, progress, lambda: _waiting("find", "its own object store")):
                    await self._read_kept(staging, done)
        except BaseException:
            staging.close()
            raise
        kept = set(staging.kept)
        holding = Holding(
            self._resolved.dataset,
            self._manifest,
            self._resolved.entry,
            StoreSource(staging),
            {index for index in done if self._is_servable(staging, index)},
        )
        known = node.holdings.get(holding.dataset, holding.version)
        is_served_already = known is not None and known.is_complete
        if not is_served_already:
            node.holdings.add(holding)
        try:
            self._traced.phase(FETCH)
            await self._fetch(holding, staging, done, progress)
            placed_ns = time.time_ns()
            self._traced.phase(FINISH)
            async with _telling(node, progress, lambda: _waiting("finish", "the disk")):
                await asyncio.to_thread(staging.finish)
        except BaseException:
            if not is_served_already:
                node.holdings.remove(holding)
            staging.close()
            raise
        await self._serve_from_target()
        self.remembering = node.tasks.start(asyncio.to_thread(self._remember, kept, looked_ns, placed_ns))

    def _stage(self) -> Staging:
        return Staging(self._target, self._manifest, self._paths.__contains__, mask=self._wanted.mask)

    def _fingerprint_path(self) -> Path:
        return fingerprint_path(self._node, self._target)

    def _remember(self, kept: set[int], looked_ns: int, placed_ns: int) -> None:
        """Note what the files look like, so that the next pull need not hash them."""
        tree = Tree(self._target)
        wanted = {index: entry for index, entry in enumerate(self._manifest.files) if entry.path in self._paths}
        with contextlib.suppress(AetherError):  # then they are hashed
            fingerprints(tree, wanted, kept, looked_ns, placed_ns).save(self._fingerprint_path())

    def _reuse(self, staging: Staging) -> set[int]:
        """What is there already, and what other versions on this machine hold."""
        done = staging.recover()
        for index, block in enumerate(self._manifest.unique):
            if index in done:
                continue
            encoded = self._node.store.get(block.signature)
            if encoded is not None:
                staging.write(index, open_block(encoded, block.signature, block.size))
                done.add(index)
        return done

    async def _read_kept(self, staging: Staging, done: set[int]) -> None:
        """What this node's own object store keeps: there may be nobody else who has it."""
        missing = [index for index in range(len(self._manifest.unique)) if index not in done]
        held: Holding | None = None
        with contextlib.suppress(AetherError):  # what the store does not give others may
            held = await self._node.holdings.find(self._resolved.dataset, self._manifest.version) if missing else None
        if held is not None and held.is_complete:
            for start in range(0, len(missing), READ_AT_ONCE):
                batch = missing[start : start + READ_AT_ONCE]
                await asyncio.gather(*(self._take_kept(held, staging, index, done) for index in batch))

    async def _take_kept(self, held: Holding, staging: Staging, index: int, done: set[int]) -> None:
        block = self._manifest.unique[index]
        with contextlib.suppress(AetherError):
            encoded = await held.read(block.signature)
            if encoded is not None:
                plain = open_block(encoded, block.signature, block.size)
                await asyncio.to_thread(staging.write, index, plain)
                done.add(index)

    def _is_servable(self, staging: Staging, index: int) -> bool:
        return not any(place.file_index in staging.left_out for place in self._manifest.places(index))

    async def _fetch(self, holding: Holding, staging: Staging, done: Iterable[int], progress: Progress) -> None:
        node, trace = self._node, self._traced.recorder

        async def find() -> None:
            await find_neighbours(node, holding.dataset, holding.version, trace)

        download = Download(node.parts, holding, staging, done, find, node.rng, node.settings.stall_s, trace)
        self._download = download
        name = f"{holding.dataset}@{holding.version.hex()[:12]}"
        node.waiting[name] = download.scheduler.waiting_for
        started = time.monotonic()
        try:
            with node.works.fetching(holding.dataset, holding.version, download):
                async with _telling(node, progress, lambda: self._state(download, time.monotonic() - started)):
                    await download.run()
        finally:
            del node.waiting[name]
        progress(self._state(download, 0.0))

    def _state(self, download: Download, elapsed_s: float) -> dict[str, Any]:
        sources = download.sources
        fetched = sources.peers + sources.origin
        scheduler = download.scheduler
        done, total = scheduler.blocks.stored_bytes, scheduler.total_bytes
        left = total - done
        rate = fetched / elapsed_s if elapsed_s > 0 else 0.0
        return {
            "event": "progress",
            "phase": "fetch",
            "done_bytes": done,
            "total_bytes": total,
            "from": {"peers": sources.peers, "origin": sources.origin, "reused": max(0, done - fetched)},
            "rate_bytes_per_s": round(rate),
            "eta_s": round(left / rate, 1) if rate > 0 else None,
            "waiting_for": scheduler.waiting_for(),
        }

    def sources(self) -> dict[str, int]:
        """Plain bytes by source; what was not fetched was reused, repeats within the version included."""
        download = self._download
        if download is None:
            return {"peers": 0, "origin": 0, "reused": self.bytes, "wasted": 0, "wire": 0}
        found = download.sources
        return {
            "peers": found.peers,
            "origin": found.origin,
            "reused": max(0, self.bytes - found.peers - found.origin),
            "wasted": found.wasted,
            "wire": found.wire_bytes,
        }

    async def _serve_from_target(self) -> None:
        """From now on the directory itself is the source of its blocks."""
        node, resolved, manifest = self._node, self._resolved, self._manifest
        whole = len(self._included) == len(manifest.files)
        record = TreeRecord(
            directory=str(self._target),
            dataset=resolved.dataset,
            version=manifest.version,
            entry=resolved.entry,
            origin=False,
            paths=() if whole else tuple(sorted(self._paths)),
        )
        await asyncio.to_thread(node.trees.add, record, manifest)
        store = TreeStore(self._target, manifest)
        held = None if whole else self._whole_blocks()
        node.hold(Holding(resolved.dataset, manifest, resolved.entry, StoreSource(store), held), store)
        node.announcer.wake()
        node.tasks.start(node.announcer.announce_records())

    def _whole_blocks(self) -> set[int]:
        files = self._manifest.files
        return {
            index
            for index in range(len(self._manifest.unique))
            if all(files[place.file_index].path in self._paths for place in self._manifest.places(index))
        }


def fingerprint_path(node: PeerNode, directory: Path) -> Path:
    """Where it is noted what the files of a pulled directory look like."""
    return node.home.scans / signature_of(f"pulled:{directory}".encode()).hex()[:32]


def _is_included(path: str, patterns: Sequence[str]) -> bool:
    """Whether a path matches a pattern, or lies below a directory that one names."""
    return any(fnmatch.fnmatchcase(path, p) or path.startswith(p.rstrip("/") + "/") for p in patterns)
