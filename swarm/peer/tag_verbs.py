"""Verbs that move tags: tag, rollback, rm. Each commits one entry of the log, or none."""

from __future__ import annotations

from typing import Annotated
from urllib.parse import urlencode

import msgspec

from swarm import names
from swarm.access_messages import ExplainAnswer
from swarm.beginning import BY_PLAN, Staging, unsettled
from swarm.errors import ConflictError, NotFoundError, UsageError
from swarm.limits import MESSAGE_MAX_CHARS
from swarm.log import Entry, Kind, Move, SeenSerial, WallTime, unseen_text
from swarm.names import Reference
from swarm.peer.lacking import mend
from swarm.peer.node import PeerNode
from swarm.peer.pull import Progress
from swarm.peer.unchanged import standing
from swarm.peer.verb import Names, Result
from swarm.rollout import Rollout
from swarm.rollout_messages import PlanItem, plan_of

# ``since``: this repeats a command of that moment which was broken off, and may have been done to the end.


class TagArguments(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    ref: str
    names: Names
    if_serial: SeenSerial | None = None
    since: WallTime | None = None
    plan: PlanItem | None = None
    at_once: bool = False


class RollbackArguments(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    name: str
    to: int | None = None
    reason: Annotated[str, msgspec.Meta(max_length=MESSAGE_MAX_CHARS)] = ""
    if_serial: SeenSerial | None = None
    since: WallTime | None = None


class RemoveArguments(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    names: Names
    if_serial: SeenSerial | None = None
    since: WallTime | None = None


async def tag(node: PeerNode, arguments: TagArguments, progress: Progress) -> Result:
    """Give a version other names: all of them, or none."""
    reference = names.parse(arguments.ref)
    dataset, tags = tags_of(arguments.names)
    if dataset != reference.dataset:
        raise UsageError(f"{dataset} is another dataset than that of {reference}: a version belongs to one dataset")
    resolved = await node.finder.resolve(reference)
    moves = [Move(tag, resolved.version) for tag in tags]
    staging = staging_of(arguments.plan, at_once=arguments.at_once)
    if staging == BY_PLAN and (same := await _same(node, arguments, dataset, tags, resolved.version)) is not None:
        return same
    return await _commit(node, dataset, "tag", moves, arguments.if_serial, arguments.since, staging)


async def _same(
    node: PeerNode, arguments: TagArguments, dataset: str, tags: list[str], version: bytes
) -> Result | None:
    """What stands already, for who may move tags; None if there is something to commit, or to refuse."""
    found = await standing(node.tracker, dataset, tags, version, "", arguments.if_serial)
    if found is None or found.entry.rollouts or not await _may_tag(node, dataset):
        return None
    tags_there = dict.fromkeys(tags, version.hex())
    return {"dataset": dataset, "serial": found.serial, "tags": tags_there, "unchanged": True}


async def _may_tag(node: PeerNode, dataset: str) -> bool:
    query = urlencode({"who": "me", "right": "tag", "dataset": dataset})
    return (await node.tracker.order("GET", f"access/explain?{query}", ExplainAnswer)).allowed


async def rollback(node: PeerNode, arguments: RollbackArguments, progress: Progress) -> Result:
    """Let a tag point to the version that it had before."""
    name = tag_of(arguments.name)
    moves: list[tuple[int, bytes | None]] = []
    gone: set[bytes | None] = {None}
    rollout: Rollout | None = None
    after = 0
    while page := await node.tracker.log(name.dataset, after=after):
        after = page[-1][1].serial
        for raw, entry in page:
            if arguments.since is not None and _is_own_rollback(node, entry, name, arguments.since):
                # A second one would go back to where the first came from.
                return _committed(node, raw, entry)
            for move in entry.moves:
                if move.tag == name.tag:
                    moves.append((entry.serial, move.version))
                    gone.discard(move.version)
                    gone.add(unsettled(rollout, entry, move.tag))
                    rollout = entry.rollout_of(move.tag)
    if not moves:
        raise NotFoundError(f"{name} does not exist: see `aetherfs ls`")
    # What it goes back to is read off the log as far as ``after``.
    seen = after if arguments.if_serial is None else arguments.if_serial
    if seen > after:
        raise ConflictError(unseen_text(name.dataset, after, seen))
    version = _rolled_back(name, moves, gone, arguments.to)
    moves_back, reason = [Move(name.tag or "", version)], arguments.reason
    return await _commit(node, name.dataset, "rollback", moves_back, seen, arguments.since, message=reason)


def _is_own_rollback(node: PeerNode, entry: Entry, name: Reference, since: int) -> bool:
    is_own = entry.publisher == node.key.public and entry.wall_time >= since
    return is_own and entry.kind == "rollback" and [move.tag for move in entry.moves] == [name.tag]


def _rolled_back(
    name: Reference, moves: list[tuple[int, bytes | None]], gone: set[bytes | None], to: int | None
) -> bytes:
    """The version at serial ``to``, or the last one that differs from the current, and was settled and not taken back
    (those are ``gone``).
    """
    current = moves[-1][1]
    if to is not None:
        known = dict(moves)
        if to not in known:
            raise NotFoundError(f"no entry {to} moved {name}: see `aetherfs history {name}`")
        version = known[to]
        if version is None:
            raise NotFoundError(f"entry {to} removed {name}: see `aetherfs history {name}`")
        return version
    for _, version in reversed(moves):
        if version is not None and version != current and version not in gone:
            return version
    raise ConflictError(f"{name} has no earlier version to go back to: see `aetherfs history {name}`")


async def rm(node: PeerNode, arguments: RemoveArguments, progress: Progress) -> Result:
    """Remove tags, all or none; their versions stay in the history."""
    dataset, tags = tags_of(arguments.names)
    return await _commit(node, dataset, "rm", [Move(tag, None) for tag in tags], arguments.if_serial, arguments.since)


async def _commit(
    node: PeerNode,
    dataset: str,
    kind: Kind,
    moves: list[Move],
    if_serial: int | None,
    since: int | None,
    staging: Staging = BY_PLAN,
    message: str = "",
) -> Result:
    await mend(node.tracker, node.ledger, dataset)
    raw, entry = await node.tracker.commit(
        dataset,
        kind,
        moves,
        grant=node.papers.grant,
        message=message,
        if_serial=if_serial,
        since=since,
        staging=staging,
    )
    return _committed(node, raw, entry)


def _committed(node: PeerNode, raw: bytes, entry: Entry) -> Result:
    node.access.learn(raw)
    node.ledger.record(entry, raw)
    node.exchange.announce(raw)
    tags = {move.tag: None if move.version is None else move.version.hex() for move in entry.moves}
    staged = [rollout.tag for rollout in entry.rollouts]
    return {"dataset": entry.dataset, "serial": entry.serial, "tags": tags, **({"staged": staged} if staged else {})}


def staging_of(plan: PlanItem | None, *, at_once: bool) -> Staging:
    """How tags are to go out, by what a verb was told. UsageError."""
    if plan is not None and at_once:
        raise UsageError("a version goes out in stages or at once: give a plan, or --at-once")
    return Staging(plan_of(plan) if plan is not None else None, at_once)


def tags_of(texts: list[str]) -> tuple[str, list[str]]:
    """The one dataset of these names and their tags, which move together or not at all."""
    references = [tag_of(text) for text in texts]
    datasets = {reference.dataset for reference in references}
    if len(datasets) != 1:
        raise UsageError("tags of one dataset move at a time: name them all NAME:TAG with one NAME")
    tags = [reference.tag or "" for reference in references]
    if len(set(tags)) != len(tags):
        raise UsageError("a tag is named twice: name each once")
    return datasets.pop(), tags


def tag_of(text: str) -> Reference:
    reference = names.parse(text)
    if reference.names_version or reference.path is not None:
        raise UsageError(f"{text!r} is not a tag: write NAME:TAG")
    return reference
