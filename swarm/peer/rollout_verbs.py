"""Verbs about rollouts in stages: how one stands, what is done with it, a tag's own plan, waiting for it."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Mapping
from typing import Annotated, Final
from urllib.parse import urlencode

import msgspec

from swarm.errors import AetherError, IncompleteError, UnreachableError, UsageError
from swarm.log import SeenSerial
from swarm.messages import Labels
from swarm.names import Reference
from swarm.peer.node import PeerNode
from swarm.peer.pull import Progress
from swarm.peer.tag_verbs import tag_of
from swarm.peer.verb import Result, Verb
from swarm.rollout import TAKEN_BACK, WAIT_MAX_S, Action
from swarm.rollout_messages import (
    PlanAnswer,
    PlanItem,
    PlanRequest,
    Reason,
    RolloutAnswer,
    RolloutRequest,
    Share,
    plan_of,
)

POLL_S: Final = 1.0
LISTENING: Final = "a tracker that has just begun: it listens for two minutes at most, as it may not have heard of all"


class RolloutArguments(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """``action``: None shows how it stands. ``labels``: count peers with all of these alone."""

    name: str
    action: Action | None = None
    full: bool = False
    reason: Reason = ""
    if_serial: SeenSerial | None = None
    labels: Labels = ()


class PlanArguments(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """``plan``: None shows it; ``clear``: what is published goes out at once."""

    name: str
    plan: PlanItem | None = None
    clear: bool = False
    if_serial: SeenSerial | None = None


class WaitArguments(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Until this share of the peers has what the tag means now, of those with all ``labels``; ``admitted``: of those
    whom the rollout has let in. ``timeout_s``: no longer.
    """

    name: str
    share: Share = 1.0
    labels: Labels = ()
    admitted: bool = False
    timeout_s: Annotated[float, msgspec.Meta(ge=0, le=WAIT_MAX_S)] | None = None


async def rollout(node: PeerNode, arguments: RolloutArguments, progress: Progress) -> Result:
    """Show how a tag's rollout stands; pause, resume, promote or abort it, or roll it back."""
    reference = tag_of(arguments.name)
    told = await _asked(node, reference, arguments.labels)
    if arguments.action is None:
        return _built(told)
    # A call that was broken off may be made again by itself: it is done once, upon what was seen here.
    seen = told.serial if arguments.if_serial is None else arguments.if_serial
    request = RolloutRequest(arguments.action, arguments.full, arguments.reason, seen)
    done = await node.tracker.order("POST", _path(reference, "rollout"), RolloutAnswer, request)
    with contextlib.suppress(AetherError):  # it stands in the log: others hear of it all the same
        node.exchange.announce((await node.tracker.lookup(reference)).data)
    return _built(done)


async def rollout_plan(node: PeerNode, arguments: PlanArguments, progress: Progress) -> Result:
    """Show by which plan a tag goes out, or give it one."""
    reference = tag_of(arguments.name)
    path = _path(reference, "plan")
    if arguments.plan is None and not arguments.clear:
        return _built(await node.tracker.order("GET", path, PlanAnswer))
    if arguments.plan is not None and arguments.clear:
        raise UsageError("a plan is given or cleared, not both")
    request = PlanRequest(arguments.plan, arguments.if_serial)
    if request.plan is not None:
        plan_of(request.plan)
    return _built(await node.tracker.order("POST", path, PlanAnswer, request))


async def wait(node: PeerNode, arguments: WaitArguments, progress: Progress) -> Result:
    """Wait until a share of the peers has what a tag means now.

    IncompleteError when that takes too long, AetherError when it was taken back or another was published meanwhile.
    """
    reference = tag_of(arguments.name)
    first = told = await _asked(node, reference, arguments.labels)
    try:
        async with asyncio.timeout(arguments.timeout_s):
            while True:
                _check_goes_on(reference, first, told)
                has_share = _share_of(told, arguments) >= arguments.share
                if has_share and told.listening_until is None:
                    return _built(told)
                # Of those whom it has heard so far: a phase of its own, so that it is said when it begins.
                phase, words = ("listen", LISTENING) if has_share else ("wait", told.says)
                progress({"event": "progress", "phase": phase, "waiting_for": words})
                await asyncio.sleep(POLL_S)
                told = await _asked_again(node, reference, arguments.labels, told)
    except TimeoutError:
        raise IncompleteError(
            f"{_share_of(told, arguments):.1%} have it after {arguments.timeout_s:g} s, and {arguments.share:.1%} were "
            f"waited for: {told.says}{_unheard(told)}; `aetherfs rollout status {reference}` shows how it goes on"
        ) from None


def _share_of(told: RolloutAnswer, arguments: WaitArguments) -> float:
    counts = told.counts
    of = counts.admitted if arguments.admitted else counts.peers
    return min(1.0, counts.switched / of) if of else 0.0


def _unheard(told: RolloutAnswer) -> str:
    return f", as far as is known to {LISTENING}" if told.listening_until is not None else ""


def _check_goes_on(reference: Reference, first: RolloutAnswer, told: RolloutAnswer) -> None:
    if told.state in TAKEN_BACK:
        raise AetherError(f"{reference}: {told.says}; see `aetherfs history {reference}`, then publish what mends it")
    if told.version != first.version:
        raise AetherError(
            f"{reference} is at entry {told.serial} with another version than that which was waited for: "
            "wait for that one, or see `aetherfs history`"
        )


async def _asked(node: PeerNode, reference: Reference, labels: Labels) -> RolloutAnswer:
    query = urlencode([("label", label) for label in labels])
    path = _path(reference, "rollout") + (f"?{query}" if query else "")
    return await node.tracker.order("GET", path, RolloutAnswer)


async def _asked_again(node: PeerNode, reference: Reference, labels: Labels, before: RolloutAnswer) -> RolloutAnswer:
    """As ``_asked``; what was known before, while no tracker answers."""
    try:
        return await _asked(node, reference, labels)
    except UnreachableError:
        return before


def _path(reference: Reference, what: str) -> str:
    return f"datasets/{reference.dataset}/tags/{reference.tag}/{what}"


def _built(told: msgspec.Struct) -> Result:
    result: Result = msgspec.to_builtins(told)
    return result


VERBS: Final[Mapping[str, Verb]] = {
    "rollout": Verb(RolloutArguments, rollout, RolloutAnswer),
    "rollout-plan": Verb(PlanArguments, rollout_plan, PlanAnswer),
    "wait": Verb(WaitArguments, wait, RolloutAnswer),
}
