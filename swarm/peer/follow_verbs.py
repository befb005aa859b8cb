"""Verbs about subscriptions: subscribe, unsubscribe, subscriptions, pause, resume, sync."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Container, Iterable
from typing import Annotated

import msgspec
from msgspec import UNSET, UnsetType

from swarm.agent_messages import SubscriptionList, Synced
from swarm.errors import AetherError, NotAllowedError, NotFoundError, UsageError
from swarm.peer.following import Following
from swarm.peer.node import PeerNode
from swarm.peer.pull import Progress
from swarm.peer.verb import Result
from swarm.signers import Moves
from swarm.subscription import SUBSCRIPTIONS_MAX, Included, Kept, Plan, Text, Wanted, plan

log = logging.getLogger("aetherfs.subscriptions")


class SubscribeArguments(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """``Wanted``, of which what is not named stays as it was in this directory. ``wait``: until the first version is
    current.
    """

    ref: Text
    directory: Text
    keep: Kept | UnsetType = UNSET
    validate: Text | UnsetType = UNSET
    hook: Text | UnsetType = UNSET
    include: Included | UnsetType = UNSET
    require_signer: Text | UnsetType = UNSET
    signer_moves: Moves | UnsetType = UNSET
    wait: bool = True


class SubscriptionsArguments(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """``name``: the one with this id or directory; all without it."""

    name: str | None = None


class SubscriptionArguments(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """``name``: an id or a directory."""

    name: str


class SyncArguments(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a home is to follow. ``prune``: and nothing else. ``check``: only tell what that would change."""

    subscriptions: Annotated[list[Wanted], msgspec.Meta(max_length=SUBSCRIPTIONS_MAX)]
    prune: bool = False
    check: bool = False
    wait: bool = True


async def subscribe(node: PeerNode, arguments: SubscribeArguments, progress: Progress) -> Result:
    """Keep a directory at the version that a reference means."""
    directory = _real(arguments.directory)
    before = next((known.wanted for known in node.subscriptions if known.wanted.directory == directory), None)
    following = await node.subscriptions.put(_amended(before, arguments, directory))
    try:
        if arguments.wait:
            await following.round(progress)
    except AetherError as error:
        is_slip = isinstance(error, NotFoundError | NotAllowedError | UsageError) or not following.is_usable
        if before is None and is_slip:  # Nothing of it would ever come.
            await node.subscriptions.remove(following)
        raise
    finally:
        node.subscriptions.follow(following)
    return _told(following)


async def unsubscribe(node: PeerNode, arguments: SubscriptionArguments, progress: Progress) -> Result:
    """Follow a reference no longer; its directory stays as it is."""
    following = node.subscriptions.get(arguments.name)
    await node.subscriptions.remove(following)
    return _told(following)


async def subscriptions(node: PeerNode, arguments: SubscriptionsArguments, progress: Progress) -> Result:
    """List what this home follows, and how that stands."""
    found = [node.subscriptions.get(arguments.name)] if arguments.name is not None else list(node.subscriptions)
    return _plain(SubscriptionList(tuple([await following.looked() for following in found]), node.settings.follows))


async def pause(node: PeerNode, arguments: SubscriptionArguments, progress: Progress) -> Result:
    """Let a subscription stay with its current version."""
    following = node.subscriptions.get(arguments.name)
    await node.subscriptions.pause(following, is_paused=True)
    return _told(following)


async def resume(node: PeerNode, arguments: SubscriptionArguments, progress: Progress) -> Result:
    """Let a paused subscription follow its reference again."""
    following = node.subscriptions.get(arguments.name)
    await node.subscriptions.pause(following, is_paused=False)
    return _told(following)


async def sync(node: PeerNode, arguments: SyncArguments, progress: Progress) -> Result:
    """Make this home follow what is listed, and bring it up to date. What fails with one hinders no other."""
    wanted = [_wanted(each) for each in arguments.subscriptions]
    found = plan(wanted, (following.wanted for following in node.subscriptions))
    failed: dict[str, str] = {}
    refused: frozenset[str] = frozenset()
    if not arguments.check:
        for gone in found.unlisted if arguments.prune else ():
            await node.subscriptions.remove(node.subscriptions.get(gone.directory))
        failed, refused = await _follow(node, found, progress if arguments.wait else None)
    removed = tuple(each.directory for each in found.unlisted) if arguments.prune else ()
    same = [node.subscriptions.get(each.directory).told() for each in found.same]
    synced = Synced(
        added=_directories(found.added, refused),
        changed=_directories(found.changed, refused),
        removed=removed,
        unlisted=() if removed else _directories(found.unlisted),
        failed=failed,
        following=node.settings.follows,
        same=tuple(same),
    )
    return _plain(synced)


def _directories(found: Iterable[Wanted], refused: Container[str] = ()) -> tuple[str, ...]:
    return tuple(each.directory for each in found if each.directory not in refused)


async def _follow(node: PeerNode, found: Plan, progress: Progress | None) -> tuple[dict[str, str], frozenset[str]]:
    """Follow what is new, and with ``progress`` wait until all is current. What is not, and why; which of it are not
    followed, since they cannot be.
    """
    failed: dict[str, str] = {}
    coming: list[Following] = []
    for each in (*found.added, *found.changed):
        try:
            coming.append(await node.subscriptions.put(each))
        except AetherError as error:
            failed[each.directory] = str(error)
    refused = frozenset(failed)
    try:
        if progress is not None:
            behind = [
                known for each in found.same if _needs_round(node, known := node.subscriptions.get(each.directory))
            ]
            failed |= await _until_current(node, [*coming, *behind], progress)
    finally:
        for following in coming:
            node.subscriptions.follow(following)
    return failed, refused


def _needs_round(node: PeerNode, following: Following) -> bool:
    """Whether nobody sees to it that this is current, or it is known not to be."""
    is_well = node.settings.follows and following.followed.recent and not following.problem
    return not following.followed.is_paused and not is_well


async def _until_current(node: PeerNode, coming: list[Following], progress: Progress) -> dict[str, str]:
    """Bring all of them up to date: why some are not."""
    left = len(coming)

    async def bring(following: Following) -> str:
        nonlocal left
        progress({"event": "progress", "phase": "sync", "waiting_for": f"{left} of {len(coming)} subscriptions"})
        try:
            await following.round(progress if len(coming) == 1 else lambda report: None)
        except AetherError as error:
            return str(error)
        except Exception:
            log.exception("a defect ended a round of %s", following.wanted.directory)
            return "an internal error: see this process's log, or repeat with --debug"
        finally:
            left -= 1
        return ""

    said = await asyncio.gather(*map(bring, coming))
    return {following.wanted.directory: words for following, words in zip(coming, said, strict=True) if words}


def _wanted(asked: Wanted) -> Wanted:
    """What is asked for, its directory as it is without links."""
    fields = {name: getattr(asked, name) for name in Wanted.__struct_fields__}
    return Wanted(**{**fields, "directory": _real(asked.directory)})


def _amended(before: Wanted | None, asked: SubscribeArguments, directory: str) -> Wanted:
    """What is wanted in a directory from now on."""
    fields = {name: getattr(asked, name) for name in Wanted.__struct_fields__}
    named = {name: value for name, value in fields.items() if value is not UNSET} | {"directory": directory}
    return msgspec.structs.replace(before, **named) if before is not None else Wanted(**named)


def _real(directory: str) -> str:
    return os.path.realpath(directory) if directory else ""


def _told(following: Following) -> Result:
    return _plain(following.told())


def _plain(told: msgspec.Struct) -> Result:
    """As another process gets it."""
    result: Result = msgspec.json.decode(msgspec.json.encode(told))
    return result
