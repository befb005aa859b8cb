"""The list of recalled grants, as this peer hears of it, keeps it and passes it on.

It comes from neighbours, and from trackers, which state its serial with every answer; and a tracker that has an older
one (its store was restored from a backup) is told ours. The newest is kept in the home, so that nothing counts again
after a restart.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Final, Literal

from swarm import clock
from swarm.errors import AetherError, RemoteProtocolError
from swarm.limits import KIB, RECALLS_MAX_BYTES
from swarm.peer.wire import Recalled
from swarm.records import Grant, open_sealed

if TYPE_CHECKING:
    from swarm.peer.channels import Channel
    from swarm.peer.node import PeerNode

STATE: Literal["recalls"] = "recalls"
# A longer list is not told to each neighbour that comes: it hears of it from a tracker.
TOLD_MAX_BYTES: Final = 64 * KIB
PATH: Final = "/api/v1/recalls"

log = logging.getLogger("aetherfs.recalls")


class Recalling:
    """Of one node. ``heard`` is called after each heartbeat."""

    def __init__(self, node: PeerNode) -> None:
        self._node = node
        self._saving = asyncio.Lock()
        node.exchange.on_recalled = self.take
        node.exchange.on_opened.append(self.opened)
        try:
            if kept := node.home.read_state(STATE):
                node.access.recall(kept)
        except RemoteProtocolError as error:
            log.warning("the list of recalled grants in this home does not count any more: %s", error)

    def opened(self, channel: Channel) -> None:
        """Tell a neighbour that has come."""
        if 0 < len(self._node.access.recalls_data) <= TOLD_MAX_BYTES:
            channel.send(Recalled(self._node.access.recalls_data))

    def take(self, data: bytes, source: str = "") -> None:
        """Obey a list that is new here, and pass it on. RemoteProtocolError for one that proves nothing."""
        node = self._node
        if not node.access.recall(data):
            return
        node.exchange.reconsider()
        for channel in node.channels.open.values():
            if channel.peer_id != source:
                channel.send(Recalled(data))
        node.tasks.start(self._follow())

    async def _follow(self) -> None:
        """Keep the newest; and get a grant that counts, if ours is one of them."""
        node = self._node
        async with self._saving:
            try:
                await asyncio.to_thread(node.home.write_state, STATE, node.access.recalls_data)
            except AetherError as error:
                log.warning("the list of recalled grants is not saved: %s", error)
        if self._is_ours_recalled():
            try:
                await node.announcer.rotation.renew()
            except AetherError as error:
                log.warning("what this peer may do has changed, and no tracker says how: %s", error)

    def _is_ours_recalled(self) -> bool:
        node = self._node
        try:
            grant = open_sealed(node.papers.grant, Grant, authority=node.access.authority, wall_now=clock.wall_now())
        except RemoteProtocolError:
            return False
        return node.access.is_recalled(grant) and not node.access.is_removed(node.key.peer_id)

    async def heard(self) -> None:
        """Ask for the list, or tell ours, if a tracker has stated another serial. What fails is tried again after the
        next one.
        """
        node = self._node
        told, ours = node.tracker.calls.recalls_told, node.access.recalls.serial
        try:
            if told > ours:
                self.take(await node.tracker.calls.call("GET", PATH, limit_bytes=2 * RECALLS_MAX_BYTES))
            elif told < ours:
                await node.tracker.calls.call("POST", PATH, body=node.access.recalls_data)
            if self._is_ours_recalled():
                await node.announcer.rotation.renew()
        except AetherError as error:
            log.warning("this peer and its tracker do not agree on which grants are recalled: %s", error)
