"""When a peer reports: each heartbeat, and a moment after something has changed, as often as the tracker allows.

While blocks move, or a phase changes, that is after a second or, in a large swarm, as many as its tracker says; that a
neighbour's channel broke is told within three all the same; when nothing happens a report comes after some. A report
goes to the tracker that answers, which passes it on to the others. One that is not taken is not repeated: the next
tells the same totals. Over a metered link only heartbeats are told, seldom.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import secrets
import time
from typing import TYPE_CHECKING, Final

import swarm
from swarm.errors import AetherError, NotFoundError
from swarm.limits import ANNOUNCE_INTERVAL_S
from swarm.peer.own_report import OwnReport, Told
from swarm.reports import REPORT_ANSWER_MAX_BYTES, REPORT_PATH, ReportAnswer

if TYPE_CHECKING:
    from swarm.log import Entry
    from swarm.peer.channels import Channel
    from swarm.peer.following import Following
    from swarm.peer.node import PeerNode

FIRST_BEAT_S: Final = 5.0
PAUSE_S: Final = 1.0
# How long whoever misses a neighbour waits, however long others do: of one that died its eight neighbours tell.
MISSED_PAUSE_S: Final = 3.0
# What changes together is told together.
GATHER_S: Final = 0.1
FULL_EVERY_S: Final = 120.0
RETRY_S: Final = 5.0
# A tracker that knows nothing of reports is asked again after so long.
UNKNOWN_S: Final = 120.0
MISSED_MAX: Final = 32

log = logging.getLogger("aetherfs.reporting")


class Reporter:
    """The reports of one node."""

    def __init__(self, node: PeerNode) -> None:
        self._node = node
        self._own = OwnReport(node, secrets.randbits(52), swarm.__version__)
        self._told = Told()
        self._woken = asyncio.Event()
        self._misses = asyncio.Event()
        self._sequence = 0
        self._beat_s, self._pause_s = FIRST_BEAT_S, PAUSE_S
        self._needs_full = True
        self._full_at = float("-inf")
        self._missed: dict[str, None] = {}
        self._moved = (0, 0)
        node.works.changed = self._changed
        node.ledger.watch(self._entry)
        node.exchange.on_opened.append(self._channel_opened)
        node.exchange.on_closed.append(self._channel_closed)

    def follow_subscriptions(self) -> None:
        """Be told of their phases, once they are there."""
        self._node.subscriptions.watch(self._subscription)
        self._changed()

    def _changed(self) -> None:
        self._own.look()
        self._woken.set()

    def _entry(self, entry: Entry) -> None:
        self._changed()

    def _subscription(self, following: Following) -> None:
        self._changed()

    def _channel_opened(self, channel: Channel) -> None:
        self._missed.pop(channel.peer_id, None)
        self._woken.set()

    def _channel_closed(self, channel: Channel) -> None:
        if len(self._missed) < MISSED_MAX:
            self._missed[channel.peer_id] = None
        self._misses.set()
        self._woken.set()

    async def run(self) -> None:
        """Report until cancelled."""
        await self._node.is_ready.wait()
        while True:
            began = time.monotonic()
            wait_s = await self._round()
            await self._pause(began, wait_s)

    async def _round(self) -> float:
        """One report; how long to wait for the next at most."""
        try:
            await self.report()
        except NotFoundError:
            return UNKNOWN_S
        except AetherError as error:
            log.debug("no tracker took the report: %s", error)
            return RETRY_S
        if self._node.settings.is_metered:
            return max(self._beat_s, float(ANNOUNCE_INTERVAL_S))
        return self._pause_s if self._is_busy() else self._beat_s

    async def _pause(self, began: float, wait_s: float) -> None:
        if not self._node.settings.is_metered:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(wait_s):
                    await self._woken.wait()
            await self._hold_back(began)
        else:
            await asyncio.sleep(wait_s)
        self._woken.clear()

    async def _hold_back(self, began: float) -> None:
        """Let changes come together for as long as the tracker wants, or until a neighbour is missed for a while."""

        def left_s(pause_s: float) -> float:
            return max(GATHER_S, pause_s - (time.monotonic() - began))

        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(left_s(self._pause_s)):
                await self._misses.wait()
                await asyncio.sleep(left_s(MISSED_PAUSE_S))
        self._misses.clear()

    def _is_busy(self) -> bool:
        """Whether blocks move, here or from here."""
        traffic = self._node.traffic
        moved = (traffic.wire_sent_bytes, traffic.wire_received_bytes)
        has_moved, self._moved = moved != self._moved, moved
        return has_moved or any(work.download is not None for work in self._node.works.by_version.values())

    async def report(self) -> None:
        """One report. Raises what the tracker client raises."""
        mesh = self._node.meeting.mesh
        missed = list(dict.fromkeys([*self._missed, *mesh.doubtful()]))[:MISSED_MAX]
        is_full = self._needs_full or time.monotonic() - self._full_at >= FULL_EVERY_S
        self._sequence += 1
        report, told = self._own.make(self._sequence, self._told, missed, is_full=is_full)
        self._needs_full = True
        answer = await self._node.tracker.beat(REPORT_PATH, report, ReportAnswer, REPORT_ANSWER_MAX_BYTES)
        self._needs_full = answer.needs_full
        if report.is_full:
            self._full_at = time.monotonic()
        self._told = told
        for peer in missed:
            self._missed.pop(peer, None)
        self._beat_s, self._pause_s = answer.beat_ms / 1000, answer.pause_ms / 1000
