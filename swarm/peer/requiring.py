"""Verbs that are told which signers they require (``swarm.signers``), and papers that they need."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import msgspec

from swarm import clock
from swarm.errors import NotAllowedError, UnreachableError
from swarm.peer.find import required_now
from swarm.signers import Moves, Required, parse_required

if TYPE_CHECKING:
    from swarm.peer.node import PeerNode
    from swarm.peer.pull import Progress
    from swarm.peer.verb import Result, Verb


class Reading(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What every verb that reads may be told: key ids of the signers that it requires, parted by commas."""

    require_signer: str = ""
    signer_moves: Moves = "own"


async def with_papers(node: PeerNode, verb: Verb, arguments: Any, progress: Progress) -> Result:
    """Carry a verb out, again if it was refused or not trusted for keys of the swarm that were replaced meanwhile."""
    rotation, began = node.announcer.rotation, int(clock.wall_now())
    await rotation.be_current()
    try:
        return await verb.work(node, arguments, progress)
    except (NotAllowedError, UnreachableError):
        if not await rotation.be_current():
            raise
    if getattr(arguments, "since", began) is None:
        arguments = msgspec.structs.replace(arguments, since=began)
    return await verb.work(node, arguments, progress)


async def streamed(node: PeerNode, arguments: msgspec.Struct, parts: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """The same for a verb that answers with bytes."""
    await node.announcer.rotation.be_current()
    with requiring(node, arguments):
        async for part in parts:
            yield part


@contextmanager
def requiring(node: PeerNode, arguments: msgspec.Struct) -> Iterator[None]:
    """What a verb is told of signers holds for this task and what it begins. UsageError."""
    required = None
    if isinstance(arguments, Reading):
        required = parse_required(arguments.require_signer, {}, arguments.signer_moves)
    with requiring_of(node, required):
        yield


@contextmanager
def requiring_of(node: PeerNode, required: Required | None) -> Iterator[None]:
    """What is looked up meanwhile is to be by these signers."""
    if required is not None:
        node.ledger.require(required.keys)
    before = required_now.get()
    required_now.set(required)
    try:
        yield
    finally:
        required_now.set(before)
