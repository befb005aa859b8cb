"""What a peer can be told to do: one table of verbs, the same for the agent's API and for commands without an agent.

Progress objects are handed to a callable meanwhile. Every failure is an exception of ``swarm.errors``. The verbs
themselves are in ``*_verbs`` and beside what they are about.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Final

import msgspec

from swarm import names
from swarm.errors import NotAllowedError, UsageError
from swarm.limits import PATTERNS_MAX
from swarm.log import SeenSerial, WallTime
from swarm.messages import RotateRequest, TokenRequest
from swarm.peer import follow_verbs, look_verbs, retaining, tag_verbs
from swarm.peer.carrying import ExportArguments, ImportArguments, export, import_file
from swarm.peer.look_verbs import cat
from swarm.peer.node import PeerNode
from swarm.peer.publish import Wanted, publish
from swarm.peer.pull import Progress, pull
from swarm.peer.status import status_of
from swarm.peer.store_cost import store_cost
from swarm.peer.verb import Names, NoArguments, Result, Verb
from swarm.records import Role
from swarm.subscription import Subscription
from swarm.walk import Links


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


class TokenArguments(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    role: Role = "peer"
    uses: int = 1
    ttl_s: int = 3600
    datasets: Annotated[tuple[str, ...], msgspec.Meta(min_length=1, max_length=PATTERNS_MAX)] = ("*",)
    site: str = ""


async def _publish(node: PeerNode, arguments: PublishArguments, progress: Progress) -> Result:
    """Publish a directory or file under one or more tags: all of them move, or none."""
    dataset, tags = tag_verbs.tags_of(arguments.names)
    wanted = Wanted(dataset, tags, arguments.message, arguments.if_serial, arguments.since)
    return await publish(node, Path(arguments.path), wanted, arguments.links, progress)


async def _pull(node: PeerNode, arguments: PullArguments, progress: Progress) -> Result:
    """Bring a version into a directory; what is there already is reused."""
    reference = names.parse(arguments.ref)
    directory = Path(arguments.directory)
    return await pull(node, reference, directory, arguments.include, force=arguments.force, progress=progress)


async def _status(node: PeerNode, arguments: NoArguments, progress: Progress) -> Result:
    """Show what this peer does, holds and waits for."""
    return status_of(node)


async def _store_cost(node: PeerNode, arguments: NoArguments, progress: Progress) -> Result:
    """Show what a seed's publishes and rollouts have asked of its object store."""
    return await store_cost(node)


async def _rotate(node: PeerNode, arguments: RotateRequest, progress: Progress) -> Result:
    """Give the swarm a new CA key or a new secret, with no peer lost."""
    if node.home.credential(time.time()).role != "tracker":
        raise NotAllowedError("only a tracker's home rotates keys: run this with the AETHERFS_HOME of a tracker")
    answer = await node.tracker.rotate(arguments)
    node.announcer.wake()
    return {"what": arguments.what, "in_force": answer.in_force, "former_retired": answer.retired}


async def _token(node: PeerNode, arguments: TokenArguments, progress: Progress) -> Result:
    """Make a token that lets a home join."""
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


VERBS: Final[Mapping[str, Verb]] = {
    "publish": Verb(PublishArguments, _publish),
    "pull": Verb(PullArguments, _pull),
    "ls": Verb(look_verbs.ListArguments, look_verbs.ls),
    "inspect": Verb(look_verbs.RefArguments, look_verbs.inspect),
    "history": Verb(look_verbs.RefArguments, look_verbs.history),
    "tag": Verb(tag_verbs.TagArguments, tag_verbs.tag),
    "rollback": Verb(tag_verbs.RollbackArguments, tag_verbs.rollback),
    "rm": Verb(tag_verbs.RemoveArguments, tag_verbs.rm),
    "keep": Verb(retaining.KeepArguments, retaining.keep),
    "pin": Verb(retaining.PinArguments, retaining.pin),
    "unpin": Verb(retaining.PinArguments, retaining.unpin),
    "quota": Verb(retaining.QuotaArguments, retaining.quota),
    "purge": Verb(retaining.PurgeArguments, retaining.purge),
    "repair": Verb(retaining.RepairArguments, retaining.repair),
    "verify": Verb(look_verbs.VerifyArguments, look_verbs.verify),
    "status": Verb(NoArguments, _status),
    "store-cost": Verb(NoArguments, _store_cost),
    "token": Verb(TokenArguments, _token),
    "rotate": Verb(RotateRequest, _rotate),
    "subscribe": Verb(follow_verbs.SubscribeArguments, follow_verbs.subscribe, Subscription),
    "unsubscribe": Verb(follow_verbs.SubscriptionArguments, follow_verbs.unsubscribe, Subscription),
    "subscriptions": Verb(
        follow_verbs.SubscriptionsArguments, follow_verbs.subscriptions, follow_verbs.SubscriptionList
    ),
    "pause": Verb(follow_verbs.SubscriptionArguments, follow_verbs.pause, Subscription),
    "resume": Verb(follow_verbs.SubscriptionArguments, follow_verbs.resume, Subscription),
    "sync": Verb(follow_verbs.SyncArguments, follow_verbs.sync, follow_verbs.Synced),
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
