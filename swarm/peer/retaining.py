"""Verbs about what is kept: keep, pin, unpin, quota. The tracker decides and writes them down."""

from __future__ import annotations

from typing import Any

import msgspec

from swarm import names
from swarm.errors import AetherError, UsageError
from swarm.names import check_name
from swarm.order_messages import KeepAnswer, KeepRequest, PurgeAnswer, PurgeRequest, QuotaAnswer, QuotaRequest
from swarm.peer.node import PeerNode
from swarm.peer.pull import Progress

Result = dict[str, Any]


class KeepArguments(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    name: str
    last: int | None = None
    age_s: int | None = None
    clear: bool = False


class PinArguments(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    ref: str


class QuotaArguments(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    scope: str
    bytes: int | None = None
    clear: bool = False


class PurgeArguments(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    ref: str
    reason: str = ""
    status: bool = False


class RepairArguments(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """No arguments."""


async def keep(node: PeerNode, arguments: KeepArguments, progress: Progress) -> Result:
    """Change or show the keep rule of a dataset."""
    reference = names.parse(arguments.name)
    if reference.names_version or reference.path is not None:
        raise UsageError(f"{arguments.name!r} is not a dataset: write [scope/]name")
    dataset = reference.dataset
    request = KeepRequest(last=arguments.last, age_s=arguments.age_s, clear=arguments.clear)
    if request == KeepRequest():
        return told(await node.tracker.order("GET", f"datasets/{dataset}/keep", KeepAnswer))
    return told(await _changed(node, dataset, request))


async def pin(node: PeerNode, arguments: PinArguments, progress: Progress) -> Result:
    """Keep a version whatever the rule says."""
    resolved = await node.finder.resolve(names.parse(arguments.ref))
    return told(await _changed(node, resolved.dataset, KeepRequest(pin=resolved.version.hex())))


async def unpin(node: PeerNode, arguments: PinArguments, progress: Progress) -> Result:
    """Leave a version to the rule."""
    resolved = await node.finder.resolve(names.parse(arguments.ref))
    return told(await _changed(node, resolved.dataset, KeepRequest(unpin=resolved.version.hex())))


async def quota(node: PeerNode, arguments: QuotaArguments, progress: Progress) -> Result:
    """Set or show how much a scope may take."""
    scope = check_name(arguments.scope, "scope")
    if arguments.bytes is None and not arguments.clear:
        found = await node.tracker.order("GET", f"scopes/{scope}/quota", QuotaAnswer)
    else:
        request = QuotaRequest(None if arguments.clear else arguments.bytes)
        found = await node.tracker.order("POST", f"scopes/{scope}/quota", QuotaAnswer, request)
    return {"scope": found.scope, "bytes": found.bytes}


async def purge(node: PeerNode, arguments: PurgeArguments, progress: Progress) -> Result:
    """Order that a version goes everywhere, or show who has obeyed."""
    reference = await node.finder.completed(names.parse(arguments.ref))
    version = reference.signature
    if version is None:
        version = (await node.finder.resolve(reference)).version
    path = f"datasets/{reference.dataset}/versions/{version.hex()}/purge"
    if arguments.status:
        found = await node.tracker.order("GET", path, PurgeAnswer)
    else:
        found = await node.tracker.order("POST", path, PurgeAnswer, PurgeRequest(arguments.reason))
    return {
        "dataset": found.dataset,
        "version": found.version,
        "time": found.wall_time,
        "reason": found.reason,
        "confirmed": list(found.confirmed),
        "unconfirmed": list(found.unconfirmed),
        "claimed_until": found.claimed_until,
    }


async def repair(node: PeerNode, arguments: RepairArguments, progress: Progress) -> Result:
    """Mend the object store of this seed."""
    if node.extension is None:
        raise UsageError("only a seed repairs its object store: run this with the AETHERFS_HOME of a seed that runs")
    return await node.extension.repair(progress)


async def rule_of(node: PeerNode, dataset: str) -> Result | None:
    """The keep rule, None when no tracker tells."""
    try:
        return told(await node.tracker.order("GET", f"datasets/{dataset}/keep", KeepAnswer))
    except AetherError:
        return None


async def _changed(node: PeerNode, dataset: str, request: KeepRequest) -> KeepAnswer:
    return await node.tracker.order("POST", f"datasets/{dataset}/keep", KeepAnswer, request)


def told(rule: KeepAnswer) -> Result:
    """A rule for people and programs."""
    return {
        "dataset": rule.dataset,
        "serial": rule.serial,
        "last": rule.last,
        "age_s": rule.age_s,
        "pinned": list(rule.pinned),
    }
