"""What a peer can be told to do: one table of verbs, the same for the agent's API and for commands without an agent.

A verb takes arguments (a msgspec struct, JSON outside) and returns INTERFACE's JSON object. Progress objects are handed
to a callable meanwhile. Every failure is an exception of ``swarm.errors``.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Final

import msgspec

from swarm import names
from swarm.errors import ConflictError, NotAllowedError, NotFoundError, UnreachableError, UsageError
from swarm.identity import peer_id_of
from swarm.limits import PATTERNS_MAX
from swarm.log import Entry, Kind, Move, SeenSerial, WallTime, unseen_text
from swarm.messages import RotateRequest, TokenRequest
from swarm.names import Reference
from swarm.peer import retaining
from swarm.peer.carrying import ExportArguments, ImportArguments, export, import_file
from swarm.peer.lacking import mend
from swarm.peer.node import PeerNode
from swarm.peer.publish import Wanted, publish
from swarm.peer.pull import Progress, manifest_of, pull
from swarm.peer.status import status_of
from swarm.peer.store_cost import store_cost
from swarm.records import Role
from swarm.segments import EMPTY_DIRECTORY, FILE
from swarm.tree import verify_tree
from swarm.walk import Links

Result = dict[str, Any]
Names = Annotated[list[str], msgspec.Meta(min_length=1, max_length=64)]
HISTORY_MAX: Final = 10_000
KINDS: Final = {FILE: "file", EMPTY_DIRECTORY: "directory"}


# ``since``: this repeats a command of that moment which was broken off, and may have been done to the end.


class PublishArguments(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    path: str
    names: Names
    message: str = ""
    links: Links = "refuse"
    if_serial: SeenSerial | None = None
    since: WallTime | None = None


class PullArguments(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    ref: str
    directory: str
    include: list[str] = []
    force: bool = False


class RefArguments(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    ref: str


class ListArguments(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    ref: str | None = None


class TagArguments(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    ref: str
    names: Names
    if_serial: SeenSerial | None = None
    since: WallTime | None = None


class RollbackArguments(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    name: str
    to: int | None = None
    if_serial: SeenSerial | None = None
    since: WallTime | None = None


class RemoveArguments(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    names: Names
    if_serial: SeenSerial | None = None
    since: WallTime | None = None


class VerifyArguments(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    directory: str
    ref: str


class StatusArguments(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """No arguments."""


class TokenArguments(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    role: Role = "peer"
    uses: int = 1
    ttl_s: int = 3600
    datasets: Annotated[tuple[str, ...], msgspec.Meta(min_length=1, max_length=PATTERNS_MAX)] = ("*",)
    site: str = ""


async def _publish(node: PeerNode, arguments: PublishArguments, progress: Progress) -> Result:
    dataset, tags = _tags_of(arguments.names)
    wanted = Wanted(dataset, tags, arguments.message, arguments.if_serial, arguments.since)
    return await publish(node, Path(arguments.path), wanted, arguments.links, progress)


async def _pull(node: PeerNode, arguments: PullArguments, progress: Progress) -> Result:
    reference = names.parse(arguments.ref)
    directory = Path(arguments.directory)
    return await pull(node, reference, directory, arguments.include, force=arguments.force, progress=progress)


async def _ls(node: PeerNode, arguments: ListArguments, progress: Progress) -> Result:
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


async def _inspect(node: PeerNode, arguments: RefArguments, progress: Progress) -> Result:
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
        "stale": resolved.is_stale,
        "files": manifest.file_count,
        "bytes": manifest.total_bytes,
        "blocks": len(manifest.unique),
        "segments": len(manifest.segments),
        "message": entry.message,
        "publisher": peer_id_of(entry.publisher),
        "time": entry.wall_time,
        "keep": await retaining.rule_of(node, resolved.dataset),
    }


async def _history(node: PeerNode, arguments: RefArguments, progress: Progress) -> Result:
    reference = names.parse(arguments.ref)
    entries: list[Entry] = []
    while len(entries) < HISTORY_MAX:
        page = await node.tracker.log(reference.dataset, after=entries[-1].serial if entries else 0)
        if not page:
            break
        entries += [entry for _, entry in page]
    shown = [_shown(e) for e in entries if any(move.tag == reference.tag for move in e.moves)]
    if not shown:
        raise NotFoundError(f"{reference} has no history: see `aetherfs ls` for what there is")
    return {"ref": str(reference), "entries": shown}


def _shown(entry: Entry) -> Result:
    return {
        "serial": entry.serial,
        "kind": entry.kind,
        "moves": [{"tag": m.tag, "version": None if m.version is None else m.version.hex()} for m in entry.moves],
        "message": entry.message,
        "publisher": peer_id_of(entry.publisher),
        "time": entry.wall_time,
        "files": entry.totals.files if entry.totals is not None else None,
        "bytes": entry.totals.bytes if entry.totals is not None else None,
    }


async def _tag(node: PeerNode, arguments: TagArguments, progress: Progress) -> Result:
    reference = names.parse(arguments.ref)
    dataset, tags = _tags_of(arguments.names)
    if dataset != reference.dataset:
        raise UsageError(f"{dataset} is another dataset than that of {reference}: a version belongs to one dataset")
    resolved = await node.finder.resolve(reference)
    moves = [Move(tag, resolved.version) for tag in tags]
    return await _commit(node, dataset, "tag", moves, arguments.if_serial, arguments.since)


async def _rollback(node: PeerNode, arguments: RollbackArguments, progress: Progress) -> Result:
    name = _tag_of(arguments.name)
    moves: list[tuple[int, bytes | None]] = []
    after = 0
    while page := await node.tracker.log(name.dataset, after=after):
        after = page[-1][1].serial
        for raw, entry in page:
            if arguments.since is not None and _is_own_rollback(node, entry, name, arguments.since):
                # A second one would go back to where the first came from.
                return _committed(node, raw, entry)
            moves += [(entry.serial, move.version) for move in entry.moves if move.tag == name.tag]
    if not moves:
        raise NotFoundError(f"{name} does not exist: see `aetherfs ls`")
    # What it goes back to is read off the log as far as ``after``.
    seen = after if arguments.if_serial is None else arguments.if_serial
    if seen > after:
        raise ConflictError(unseen_text(name.dataset, after, seen))
    version = _rolled_back(name, moves, arguments.to)
    return await _commit(node, name.dataset, "rollback", [Move(name.tag or "", version)], seen, arguments.since)


def _is_own_rollback(node: PeerNode, entry: Entry, name: Reference, since: int) -> bool:
    is_own = entry.publisher == node.key.public and entry.wall_time >= since
    return is_own and entry.kind == "rollback" and [move.tag for move in entry.moves] == [name.tag]


def _rolled_back(name: Reference, moves: list[tuple[int, bytes | None]], to: int | None) -> bytes:
    """The version at serial ``to``, or the last one that differs from the current."""
    current = moves[-1][1]
    if to is not None:
        known = [version for serial, version in moves if serial <= to]
        if not known or known[-1] is None:
            raise NotFoundError(f"{name} pointed to nothing at serial {to}: see `aetherfs history {name}`")
        return known[-1]
    for _, version in reversed(moves):
        if version is not None and version != current:
            return version
    raise ConflictError(f"{name} has no earlier version to go back to: see `aetherfs history {name}`")


async def _rm(node: PeerNode, arguments: RemoveArguments, progress: Progress) -> Result:
    dataset, tags = _tags_of(arguments.names)
    return await _commit(node, dataset, "rm", [Move(tag, None) for tag in tags], arguments.if_serial, arguments.since)


async def _commit(
    node: PeerNode, dataset: str, kind: Kind, moves: list[Move], if_serial: int | None, since: int | None
) -> Result:
    await mend(node.tracker, node.ledger, dataset)
    raw, entry = await node.tracker.commit(
        dataset, kind, moves, grant=node.papers.grant, if_serial=if_serial, since=since
    )
    return _committed(node, raw, entry)


def _committed(node: PeerNode, raw: bytes, entry: Entry) -> Result:
    node.access.learn(raw)
    node.ledger.record(entry, raw)
    node.exchange.announce(raw)
    tags = {move.tag: None if move.version is None else move.version.hex() for move in entry.moves}
    return {"dataset": entry.dataset, "serial": entry.serial, "tags": tags}


async def _verify(node: PeerNode, arguments: VerifyArguments, progress: Progress) -> Result:
    reference = names.parse(arguments.ref)
    directory = Path(arguments.directory)
    if not directory.is_dir():
        raise NotFoundError(f"{directory} is not a directory: give the one that was pulled")
    resolved = await node.finder.resolve(reference)
    manifest, _ = await manifest_of(node, resolved, progress)
    differences = await asyncio.to_thread(verify_tree, directory, manifest)
    return {"ref": str(reference), "version": manifest.version.hex(), "differences": differences}


async def _status(node: PeerNode, arguments: StatusArguments, progress: Progress) -> Result:
    return status_of(node)


async def _store_cost(node: PeerNode, arguments: StatusArguments, progress: Progress) -> Result:
    return await store_cost(node)


async def _rotate(node: PeerNode, arguments: RotateRequest, progress: Progress) -> Result:
    if node.home.credential(time.time()).role != "tracker":
        raise NotAllowedError("only a tracker's home rotates keys: run this with the AETHERFS_HOME of a tracker")
    answer = await node.tracker.rotate(arguments)
    node.announcer.wake()
    return {"what": arguments.what, "in_force": answer.in_force, "former_retired": answer.retired}


async def _token(node: PeerNode, arguments: TokenArguments, progress: Progress) -> Result:
    if node.home.credential(time.time()).role != "tracker":
        raise NotAllowedError("only a tracker's home makes tokens: run this with the AETHERFS_HOME of a tracker")
    request = TokenRequest(
        arguments.role,
        arguments.uses,
        arguments.ttl_s,
        tuple(map(names.check_pattern, arguments.datasets)),
        arguments.site,
    )
    answer = await node.tracker.token_create(request)
    return {"token": answer.token, "expires": answer.expires}


def _tags_of(texts: list[str]) -> tuple[str, list[str]]:
    """The one dataset of these names and their tags, which move together or not at all."""
    references = [_tag_of(text) for text in texts]
    datasets = {reference.dataset for reference in references}
    if len(datasets) != 1:
        raise UsageError("tags of one dataset move at a time: name them all NAME:TAG with one NAME")
    tags = [reference.tag or "" for reference in references]
    if len(set(tags)) != len(tags):
        raise UsageError("a tag is named twice: name each once")
    return datasets.pop(), tags


def _tag_of(text: str) -> Reference:
    reference = names.parse(text)
    if reference.signature is not None or reference.path is not None:
        raise UsageError(f"{text!r} is not a tag: write NAME:TAG")
    return reference


@dataclass(frozen=True, slots=True)
class Verb:
    """A verb's arguments and what carries it out."""

    arguments: type[msgspec.Struct]
    work: Callable[[PeerNode, Any, Progress], Awaitable[Result]]


VERBS: Final[Mapping[str, Verb]] = {
    "publish": Verb(PublishArguments, _publish),
    "pull": Verb(PullArguments, _pull),
    "ls": Verb(ListArguments, _ls),
    "inspect": Verb(RefArguments, _inspect),
    "history": Verb(RefArguments, _history),
    "tag": Verb(TagArguments, _tag),
    "rollback": Verb(RollbackArguments, _rollback),
    "rm": Verb(RemoveArguments, _rm),
    "keep": Verb(retaining.KeepArguments, retaining.keep),
    "pin": Verb(retaining.PinArguments, retaining.pin),
    "unpin": Verb(retaining.PinArguments, retaining.unpin),
    "quota": Verb(retaining.QuotaArguments, retaining.quota),
    "purge": Verb(retaining.PurgeArguments, retaining.purge),
    "repair": Verb(retaining.RepairArguments, retaining.repair),
    "verify": Verb(VerifyArguments, _verify),
    "status": Verb(StatusArguments, _status),
    "store-cost": Verb(StatusArguments, _store_cost),
    "token": Verb(TokenArguments, _token),
    "rotate": Verb(RotateRequest, _rotate),
    "import": Verb(ImportArguments, import_file),
}


async def run(node: PeerNode, verb: str, arguments: Mapping[str, Any], progress: Progress) -> Result:
    """Carry out a verb. UsageError for an unknown one or arguments that do not fit."""
    known = VERBS.get(verb)
    if known is None:
        raise UsageError(f"there is no verb {verb[:40]!r}: known are {', '.join(VERBS)}")
    try:
        converted = msgspec.convert(arguments, known.arguments)
    except msgspec.ValidationError as error:
        raise UsageError(f"{verb}: {error}") from error
    return await known.work(node, converted, progress)


def stream(node: PeerNode, verb: str, arguments: Mapping[str, Any]) -> AsyncIterator[bytes]:
    """The bytes that a verb answers with. UsageError for arguments that do not fit."""
    if verb == "cat":
        return cat(node, str(arguments.get("ref", "")))
    try:
        return export(node, msgspec.convert(arguments, ExportArguments))
    except msgspec.ValidationError as error:
        raise UsageError(f"{verb}: {error}") from error


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
