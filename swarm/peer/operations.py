"""What a peer can be told to do: one table of verbs, the same for the agent's API and for commands without an agent.

Progress objects are handed to a callable meanwhile. Every failure is an exception of ``swarm.errors``. The verbs
themselves are in ``*_verbs`` and beside what they are about.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Final

import msgspec

from swarm import names, traces
from swarm.agent_messages import (
    Committed,
    History,
    Inspected,
    KeepRule,
    Published,
    Pulled,
    Stopping,
    SubscriptionList,
    Synced,
    Verified,
)
from swarm.doctor_messages import Findings
from swarm.errors import UsageError
from swarm.figure_performance import Foreseen
from swarm.log import SeenSerial, WallTime
from swarm.log_lines import about
from swarm.messages import Trackers
from swarm.peer import follow_verbs, governing, look_verbs, retaining, rollout_verbs, tag_verbs, watch_verbs
from swarm.peer.carrying import ExportArguments, ImportArguments, export, import_file, tables
from swarm.peer.copies import COPIES_MAX, WITHIN_S, wait_for_copies
from swarm.peer.doctor import doctor
from swarm.peer.explaining import ExplainArguments, explain
from swarm.peer.foreseen_verb import ForeseenArguments, foreseen
from swarm.peer.gates import Gates
from swarm.peer.node import PeerNode
from swarm.peer.people import PeopleArguments, change_people
from swarm.peer.publish import Wanted, publish
from swarm.peer.pull import Progress, pull
from swarm.peer.rehearsal import rehearse
from swarm.peer.requiring import Reading, requiring, streamed, with_papers
from swarm.peer.stats_verb import StatsArguments, stats
from swarm.peer.status import status_of
from swarm.peer.store_cost import store_cost
from swarm.peer.verb import Names, NoArguments, Result, Stream, Verb
from swarm.publish_budget import Budget
from swarm.rollout_messages import PlanItem
from swarm.stats_messages import Stats
from swarm.subscription import Subscription
from swarm.walk import Links
from swarm.wants import Commands


class PublishArguments(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    path: str
    names: Names
    message: str = ""
    links: Links = "refuse"
    if_serial: SeenSerial | None = None
    since: WallTime | None = None
    budget: Budget | None = None
    validate: Commands = ()
    typed_in: str = ""
    dry_run: bool = False
    copies: Annotated[int, msgspec.Meta(ge=1, le=COPIES_MAX)] | None = None
    within_s: Annotated[float, msgspec.Meta(ge=0)] = WITHIN_S
    plan: PlanItem | None = None
    at_once: bool = False


class PullArguments(Reading, frozen=True, forbid_unknown_fields=True):
    ref: str
    directory: str
    include: tuple[str, ...] = ()
    force: bool = False


class MeetArguments(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    trackers: Trackers


class ShutdownArguments(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """``wait``: until what is under way is done, at most ``limit_s``."""

    wait: bool = True
    limit_s: Annotated[float, msgspec.Meta(ge=0)] | None = None


async def _publish(node: PeerNode, arguments: PublishArguments, progress: Progress) -> Result:
    """Publish a directory or file under one or more tags: all of them move, or none."""
    dataset, tags = tag_verbs.tags_of(arguments.names)
    staging = tag_verbs.staging_of(arguments.plan, at_once=arguments.at_once)
    wanted = Wanted(dataset, tags, arguments.message, arguments.if_serial, arguments.since, staging)
    gates = Gates(arguments.budget, arguments.validate, arguments.typed_in)
    path = Path(arguments.path)
    if arguments.dry_run:
        return await rehearse(node, path, wanted, arguments.links, progress, gates)
    published = await publish(node, path, wanted, arguments.links, progress, gates)
    if arguments.copies is None:
        return published
    version = bytes.fromhex(published["version"])
    entry = node.ledger.entry_of_version(dataset, version) or b""
    found = await wait_for_copies(node, dataset, version, entry, arguments.copies, arguments.within_s, progress)
    return {**published, "copies": found, "copies_wanted": arguments.copies}


async def _pull(node: PeerNode, arguments: PullArguments, progress: Progress) -> Result:
    """Bring a version into a directory; what is there already is reused."""
    reference = names.parse(arguments.ref)
    directory = Path(arguments.directory)
    return await pull(node, reference, directory, list(arguments.include), force=arguments.force, progress=progress)


async def _status(node: PeerNode, arguments: NoArguments, progress: Progress) -> Result:
    """Show what this peer does, holds and waits for."""
    subscriptions = [msgspec.to_builtins(await each.looked()) for each in node.subscriptions]
    return {**status_of(node), "subscriptions": subscriptions}


async def _store_cost(node: PeerNode, arguments: NoArguments, progress: Progress) -> Result:
    """Show what a seed's publishes and rollouts have asked of its object store."""
    return await store_cost(node)


async def _meet_trackers(node: PeerNode, arguments: MeetArguments, progress: Progress) -> Result:
    """Ask these trackers first from now on: whoever tells of them has seen that they are there."""
    node.announcer.met(arguments.trackers)
    return {"trackers": len(node.swarm.trackers)}


async def _shutdown(node: PeerNode, arguments: ShutdownArguments, progress: Progress) -> Result:
    """End this peer once what moves tags or brings bytes to a seed is done."""
    finished = not node.ending.waiting_for()
    if arguments.wait:
        finished = await node.ending.finish(progress, arguments.limit_s)
    node.stop_requested.set()
    return {"stopping": True, "finished": finished}


VERBS: Final[Mapping[str, Verb]] = {
    "publish": Verb(PublishArguments, _publish, Published),
    "pull": Verb(PullArguments, _pull, Pulled),
    "ls": Verb(look_verbs.ListArguments, look_verbs.ls),
    "inspect": Verb(look_verbs.RefArguments, look_verbs.inspect, Inspected),
    "explain-version": Verb(ExplainArguments, explain),
    "history": Verb(look_verbs.HistoryArguments, look_verbs.history, History),
    "tag": Verb(tag_verbs.TagArguments, tag_verbs.tag, Committed),
    "rollback": Verb(tag_verbs.RollbackArguments, tag_verbs.rollback, Committed),
    "rm": Verb(tag_verbs.RemoveArguments, tag_verbs.rm, Committed),
    "keep": Verb(retaining.KeepArguments, retaining.keep, KeepRule),
    "pin": Verb(retaining.PinArguments, retaining.pin, KeepRule),
    "unpin": Verb(retaining.PinArguments, retaining.unpin, KeepRule),
    "quota": Verb(retaining.QuotaArguments, retaining.quota),
    "purge": Verb(retaining.PurgeArguments, retaining.purge),
    "repair": Verb(retaining.RepairArguments, retaining.repair),
    "verify": Verb(look_verbs.VerifyArguments, look_verbs.verify, Verified),
    "status": Verb(NoArguments, _status),
    "stats": Verb(StatsArguments, stats, Stats),
    "foreseen": Verb(ForeseenArguments, foreseen, Foreseen),
    "store-cost": Verb(NoArguments, _store_cost),
    "subscribe": Verb(follow_verbs.SubscribeArguments, follow_verbs.subscribe, Subscription),
    "unsubscribe": Verb(follow_verbs.SubscriptionArguments, follow_verbs.unsubscribe, Subscription),
    "subscriptions": Verb(follow_verbs.SubscriptionsArguments, follow_verbs.subscriptions, SubscriptionList),
    "pause": Verb(follow_verbs.SubscriptionArguments, follow_verbs.pause, Subscription),
    "resume": Verb(follow_verbs.SubscriptionArguments, follow_verbs.resume, Subscription),
    "sync": Verb(follow_verbs.SyncArguments, follow_verbs.sync, Synced),
    "people": Verb(PeopleArguments, change_people),
    "import": Verb(ImportArguments, import_file),
    "meet-trackers": Verb(MeetArguments, _meet_trackers),
    "shutdown": Verb(ShutdownArguments, _shutdown, Stopping),
    **governing.VERBS,
    **watch_verbs.VERBS,
    "doctor": Verb(NoArguments, doctor, Findings),
    **rollout_verbs.VERBS,
}


# Verbs that answer with bytes.
STREAMS: Final[Mapping[str, Stream]] = {
    "cat": Stream(look_verbs.RefArguments, look_verbs.cat_file),
    "export": Stream(ExportArguments, export),
    "tables": Stream(look_verbs.RefArguments, tables),
}


async def run(node: PeerNode, verb: str, arguments: Mapping[str, Any], progress: Progress) -> Result:
    """Carry out a verb. UsageError for an unknown one or arguments that do not fit."""
    known = VERBS.get(verb)
    if known is None:
        raise UsageError(f"there is no verb {verb[:40]!r}: known are {', '.join(VERBS)}")
    return await carry_out(node, verb, _fitting(verb, arguments, known.arguments), progress)


async def carry_out(node: PeerNode, verb: str, arguments: msgspec.Struct, progress: Progress) -> Result:
    """Carry out a known verb with its own arguments. UnreachableError when this peer is ending."""
    dataset = _dataset_in(arguments)
    work = about(dataset=dataset), traces.span(verb, dataset=dataset)
    with work[0], work[1], node.ending.work(verb), requiring(node, arguments):
        return await with_papers(node, VERBS[verb], arguments, progress)


def _dataset_in(arguments: msgspec.Struct) -> str:
    """What a verb is about, for the log; empty for what names none, or is refused in a moment."""
    ref = getattr(arguments, "ref", "") or next(iter(getattr(arguments, "names", ())), "")
    try:
        return names.parse(ref).dataset if ref else ""
    except UsageError:
        return ""


def stream(node: PeerNode, verb: str, arguments: Mapping[str, Any]) -> AsyncIterator[bytes]:
    """The bytes that a verb answers with. UsageError for arguments that do not fit."""
    return give(node, verb, _fitting(verb, arguments, STREAMS[verb].arguments))


def give(node: PeerNode, verb: str, arguments: msgspec.Struct) -> AsyncIterator[bytes]:
    """The same with the verb's own arguments."""
    return streamed(node, arguments, STREAMS[verb].parts(node, arguments))


def _fitting(verb: str, arguments: Mapping[str, Any], kind: type[msgspec.Struct]) -> msgspec.Struct:
    try:
        return msgspec.convert(arguments, kind)
    except msgspec.ValidationError as error:
        raise UsageError(f"{verb}: {error}") from error
