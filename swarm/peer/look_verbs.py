"""Verbs that look: ls, inspect, history, verify, and cat, which gives bytes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Annotated, Final

import msgspec

from swarm import names
from swarm.errors import NotFoundError, UnreachableError, UsageError
from swarm.identity import peer_id_of
from swarm.limits import HISTORY_MAX
from swarm.log import Entry
from swarm.names import Reference
from swarm.peer import retaining
from swarm.peer.find import Resolved
from swarm.peer.histories import add_figures
from swarm.peer.log_tail import log_tail
from swarm.peer.node import PeerNode
from swarm.peer.pull import Progress, manifest_of
from swarm.peer.requiring import Reading
from swarm.peer.verb import Result
from swarm.segments import EMPTY_DIRECTORY, FILE
from swarm.told_log import told
from swarm.tree import verify_tree
from swarm.versions import mask_at

KINDS: Final = {FILE: "file", EMPTY_DIRECTORY: "directory"}


class RefArguments(Reading, frozen=True, forbid_unknown_fields=True):
    ref: str


class HistoryArguments(RefArguments, frozen=True, forbid_unknown_fields=True):
    """``figures``: of a tag, or of a whole dataset, also what each move cost who followed it, and how soon they had it.
    ``last``: so many entries, the newest.
    """

    figures: bool = False
    last: Annotated[int, msgspec.Meta(ge=1, le=HISTORY_MAX)] = HISTORY_MAX


class ListArguments(Reading, frozen=True, forbid_unknown_fields=True):
    ref: str | None = None


class VerifyArguments(Reading, frozen=True, forbid_unknown_fields=True):
    directory: str
    ref: str


async def ls(node: PeerNode, arguments: ListArguments, progress: Progress) -> Result:
    """List the datasets, or the files of a version."""
    if arguments.ref is None:
        return await _datasets(node)
    reference = names.parse(arguments.ref)
    resolved = await node.finder.resolve(reference)
    manifest, _ = await manifest_of(node, resolved, progress)
    prefix = reference.path.rstrip("/") if reference.path else ""
    entries = [
        {
            "path": entry.path,
            "kind": KINDS.get(entry.kind, "symlink"),
            "size": entry.size,
            "mode": f"{entry.mode:04o}",
            "mtime_ns": entry.mtime_ns,
            **({"target": entry.target} if entry.target else {}),
        }
        for entry in manifest.files
        if not prefix or entry.path == prefix or entry.path.startswith(prefix + "/")
    ]
    if prefix and not entries:
        raise NotFoundError(f"{reference} does not exist: see `aetherfs ls {reference.dataset}:{reference.tag or ''}`")
    return {"ref": str(reference), "version": manifest.version.hex(), "entries": entries}


async def _datasets(node: PeerNode) -> Result:
    found: list[Result] = []
    try:
        cursor, is_stale = "", False
        while True:
            page = await node.tracker.datasets(cursor=cursor)
            for dataset in page.datasets:
                tags = (await node.tracker.dataset(dataset)).tags
                found.append({"dataset": dataset, "tags": [tag.tag for tag in tags]})
            cursor, is_stale = page.next, is_stale or page.stale
            if not cursor:
                return {"datasets": found, "stale": is_stale}
    except UnreachableError:
        known: dict[str, list[str]] = {}
        for dataset, tag, version in node.ledger.tags():
            if version is not None:
                known.setdefault(dataset, []).append(tag)
        return {"datasets": [{"dataset": d, "tags": sorted(t)} for d, t in sorted(known.items())], "stale": True}


async def inspect(node: PeerNode, arguments: RefArguments, progress: Progress) -> Result:
    """Show what is known of one version."""
    reference = names.parse(arguments.ref)
    resolved = await node.finder.resolve(reference)
    manifest, _ = await manifest_of(node, resolved, progress)
    entry = node.access.learn(resolved.entry)
    return {
        "ref": str(reference),
        "dataset": resolved.dataset,
        "tag": resolved.tag,
        "version": manifest.version.hex(),
        "content": manifest.content.hex(),
        "serial": resolved.serial,
        **resolved.freshness,
        "files": manifest.file_count,
        "bytes": manifest.total_bytes,
        "blocks": len(manifest.unique),
        "segments": len(manifest.segments),
        "message": entry.message,
        "publisher": peer_id_of(entry.publisher),
        "time": entry.wall_time,
        "keep": await retaining.rule_of(node, resolved.dataset),
    }


async def history(node: PeerNode, arguments: HistoryArguments, progress: Progress) -> Result:
    """Show the log of a dataset, newest last."""
    reference = names.parse(arguments.ref, default_tag=None)
    about, is_all = await _end_of_log(node, reference, arguments.last)
    entries = about[-arguments.last :]
    if not entries:
        raise NotFoundError(f"{reference} has no history{_late(is_all)}: see `aetherfs ls` for what there is")
    shown = [msgspec.to_builtins(told(entry)) for entry in entries]
    if arguments.figures and not reference.names_version:
        await add_figures(node, reference, about, shown, progress)
    return {"ref": str(reference), "entries": shown, "has_earlier": not is_all or len(about) > len(entries)}


async def _end_of_log(node: PeerNode, reference: Reference, wanted: int) -> tuple[list[Entry], bool]:
    """The last entries about a reference, one more than is wanted or some, newest last; and whether these are all."""
    _, tags = await node.tracker.snapshot(reference.dataset)
    at = tags.find(reference.tag or "") if not reference.names_version else None

    async def read(after: int, limit: int) -> list[Entry]:
        return [entry for _, entry in await node.tracker.log(reference.dataset, after=after, limit=limit)]

    def about(entries: Sequence[Entry]) -> list[Entry]:
        return [entry for entry in entries if _is_about(reference, entry)]

    def is_enough(found: Sequence[Entry]) -> bool:
        return len(found) > wanted and len(about(found)) > wanted

    last = at.serial if at is not None else tags.serial
    found, is_all = await log_tail(read, last, 0.0, is_enough, HISTORY_MAX)
    return about(found), is_all


def _late(is_all: bool) -> str:
    return "" if is_all else f" among the last {HISTORY_MAX} entries of its dataset"


def _is_about(reference: Reference, entry: Entry) -> bool:
    """Whether an entry moved the tag, or a tag to the version; all are about a dataset."""
    digits = reference.signature.hex() if reference.signature is not None else reference.prefix
    if digits is not None:
        return any(move.version is not None and move.version.hex().startswith(digits) for move in entry.moves)
    return reference.tag is None or any(move.tag == reference.tag for move in entry.moves)


async def verify(node: PeerNode, arguments: VerifyArguments, progress: Progress) -> Result:
    """Compare a directory with a version, byte for byte."""
    reference = names.parse(arguments.ref)
    directory = Path(arguments.directory)
    if not directory.is_dir():
        raise NotFoundError(f"{directory} is not a directory: give the one that was pulled")
    resolved = await node.finder.resolve(reference)
    manifest, _ = await manifest_of(node, resolved, progress)
    mask = mask_at(directory, manifest.version)
    chosen = _chosen(node, directory, resolved)
    differences = await asyncio.to_thread(verify_tree, directory, manifest, mask, chosen)
    left_out = len(manifest.files) - len(chosen) if chosen is not None else 0
    return {
        "ref": str(reference),
        "version": manifest.version.hex(),
        "differences": differences,
        "left_out": left_out,
    }


def _chosen(node: PeerNode, directory: Path, resolved: Resolved) -> frozenset[str] | None:
    """The files that a pull with --include has put into a directory; None where it was to have all."""
    record = node.trees.get(directory) or node.trees.get(directory.resolve())
    if record is None or (record.dataset, record.version) != (resolved.dataset, resolved.version):
        return None
    return frozenset(record.paths) or None


def cat_file(node: PeerNode, arguments: RefArguments) -> AsyncIterator[bytes]:
    """Give the bytes of one file of a version."""
    return cat(node, arguments.ref)


async def cat(node: PeerNode, text: str) -> AsyncIterator[bytes]:
    """A file's bytes, in order."""
    reference = names.parse(text)
    if reference.path is None:
        raise UsageError(f"cat needs a file: write {reference}/PATH")
    snapshot = await node.snapshots.open(reference)
    file = await snapshot.look(reference.path)
    if file is None or file.entry.kind != FILE:
        raise UsageError(f"{reference} is not a file: see `aetherfs ls {reference}`")
    async for part in snapshot.read(file):
        yield bytes(part)
