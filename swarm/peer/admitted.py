"""Whether a rollout lets this peer in: its id, its labels, and what it has gone ahead to already.

A peer reads one version of a tag, however it reads: subscriptions, pulls, mounts and files over HTTP go by the same
answer. Labels are what a tracker says of this peer, asked for once for each credential, since a change of labels makes
trackers renew that at the next heartbeat; they are kept in the home. A peer that has never been told its labels is let
in by its share alone.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Final, Literal

import msgspec

from swarm import canonical
from swarm.answers import parsed
from swarm.errors import AetherError
from swarm.limits import RECORD_MAX_BYTES
from swarm.log import Entry
from swarm.people_messages import WhoAnswer
from swarm.principal import LABELS_MAX
from swarm.rollout import LabelText, Who
from swarm.signature import signature_of

if TYPE_CHECKING:
    from swarm.peer.node import PeerNode

STATE: Final = "labels"
PATH: Final = "/api/v1/whoami"

log = logging.getLogger("aetherfs.rollout")


class _Told(msgspec.Struct, array_like=True, frozen=True):
    """The labels of a home, with its site, and the credential for which they were asked."""

    format: Literal[1]
    credential: bytes
    labels: Annotated[tuple[LabelText, ...], msgspec.Meta(max_length=LABELS_MAX + 1)]


class Admitted:
    """Of one node. ``heard`` is called after each heartbeat."""

    def __init__(self, node: PeerNode) -> None:
        self._node = node
        data = node.home.read_state(STATE)
        told = canonical.try_decode(data, _Told, limit_bytes=RECORD_MAX_BYTES) if data else None
        self._told = told or _Told(1, b"", ())
        # Called when the labels have changed.
        self.watchers: list[Callable[[], None]] = []

    @property
    def who(self) -> Who:
        """This peer as a stage looks at it. Its site is in its credential, under the swarm's seal."""
        site = f"site={self._node.sites.own}"
        return Who(self._node.key.peer_id, {*self._told.labels, *([site] if self._node.sites.own else [])})

    def meaning(self, entry: Entry, tag: str) -> tuple[bytes | None, bool]:
        """What a tag means here by the entry that moved it last, and whether a rollout holds this peer back."""
        moved = next((move.version for move in entry.moves if move.tag == tag), None)
        rollout = entry.rollout_of(tag)
        if rollout is None:
            return moved, False
        version = rollout.version_for(entry.dataset, self.who, has_it=self._has(entry.dataset, rollout.version))
        return version, version != rollout.target

    def _has(self, dataset: str, version: bytes) -> bool:
        holding = self._node.holdings.get(dataset, version)
        return holding is not None and holding.is_complete

    async def heard(self) -> None:
        """Ask for the labels if the credential is another than they were asked for. What fails is tried again after the
        next heartbeat.
        """
        node = self._node
        credential = signature_of(node.papers.credential)
        if self._told.credential == credential:
            return
        try:
            said = parsed(await node.tracker.calls.call("GET", PATH), WhoAnswer)
            told = _Told(1, credential, said.labels[: LABELS_MAX + 1])
            await asyncio.to_thread(node.home.write_state, STATE, canonical.encode(told))
        except AetherError as error:
            log.info("this peer's labels are not known: %s", error)
            return
        is_new, self._told = set(told.labels) != set(self._told.labels), told
        for changed in self.watchers if is_new else ():
            changed()

    async def prepare(self, entry: Entry, tag: str) -> None:
        """Know the labels that an entry's rollout may ask for, if a tracker tells them."""
        rollout = entry.rollout_of(tag)
        if rollout is not None and rollout.is_under_way and any(stage.labels for stage in rollout.plan.stages):
            await self.heard()
