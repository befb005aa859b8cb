"""A peer's report of itself: what it follows, holds, gives and takes, read where it is counted anyway.

Only what has changed since the tracker last took a report is told again (``Told``). Everything is cut to the limits of
``swarm.reports``: of neighbours those that moved most, the others as one sum.
"""

from __future__ import annotations

import heapq
import shutil
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from swarm import clock
from swarm.errors import UsageError
from swarm.http.line import LINE
from swarm.identity import public_of
from swarm.objects.standing import meter_of, standing_of
from swarm.peer.own_following import OwnFollowing, Tag, is_told
from swarm.peer.wire import NOT_ORIGIN
from swarm.process_metrics import resident_bytes
from swarm.reports import (
    BITS_MAX_BYTES,
    HOLDINGS_TOLD_MAX,
    LINKS_TOLD_MAX,
    MISSED_MAX,
    ROLLOUTS_TOLD_MAX,
    WAITING_MAX,
    WORDS_MAX,
    Asked,
    DhtTold,
    Followed,
    Held,
    LinkTotal,
    ReadTold,
    Report,
    Room,
    StoreTold,
    Totals,
    VersionAsked,
)

if TYPE_CHECKING:
    from swarm.objects.meter import Spent
    from swarm.peer.node import PeerNode

# How often it is told which blocks are here of a version that is coming.
BITS_EVERY_S: Final = 5.0
# Room is measured so often.
ROOM_EVERY_S: Final = 30.0
# Neighbours that are told one by one.
NAMED_MAX: Final = 128


@dataclass(slots=True)
class Told:
    """What the tracker has taken, so that it need not be told again."""

    followed: dict[Tag, Followed] = field(default_factory=dict)
    holdings: dict[tuple[str, bytes], Held] = field(default_factory=dict)
    links: dict[str, LinkTotal] = field(default_factory=dict)
    room: Room | None = None
    dht: DhtTold | None = None
    store: StoreTold | None = None
    reads: dict[tuple[str, bytes], ReadTold] = field(default_factory=dict)


class OwnReport:
    """Makes the reports of one node."""

    def __init__(self, node: PeerNode, epoch: int, program: str) -> None:
        self._node = node
        self._following = OwnFollowing(node)
        self._epoch = epoch
        self._program = program[:32]
        self._named: dict[str, None] = {}
        self._bits: dict[tuple[str, bytes], tuple[float, Held]] = {}
        self._room: tuple[float, Room] | None = None

    def look(self) -> None:
        """Note in which phase everything is: to be called whenever something may have changed."""
        self._following.look()

    # ---- what is held -------------------------------------------------------------------------------------------

    def _holdings(self, *, with_bits: bool) -> dict[tuple[str, bytes], Held]:
        now = time.monotonic()
        found: dict[tuple[str, bytes], Held] = {}
        for holding in list(self._node.holdings)[-HOLDINGS_TOLD_MAX:]:
            key = (holding.dataset, holding.version)
            known = self._bits.get(key)
            if known is not None and not holding.is_complete and not with_bits and now - known[0] < BITS_EVERY_S:
                found[key] = known[1]
                continue
            total = len(holding.manifest.unique)
            count = total if holding.held is None else len(holding.held)
            bits = holding.bits()
            held = Held(
                *key,
                total,
                count,
                holding.manifest.total_bytes,
                holding.origin != NOT_ORIGIN,
                bits if len(bits) <= BITS_MAX_BYTES else b"",
            )
            found[key] = held
            self._bits[key] = (now, held)
        self._bits = {key: each for key, each in self._bits.items() if key in found}
        return found

    # ---- neighbours ---------------------------------------------------------------------------------------------

    def _links(self, told: Told) -> tuple[list[LinkTotal], int, int]:
        """Those that have changed, first those that gave bad blocks since and then the most moved; and what all that
        are not told one by one sent and had.
        """
        node, traffic = self._node, self._node.traffic
        sent, received = dict(traffic.sent), dict(traffic.received)
        bad = dict(traffic.bad_from)
        self._name(sent, received, bad)
        links = [
            LinkTotal(
                _public(peer), sent.get(peer, 0), received.get(peer, 0), peer in node.channels.open, bad.get(peer, 0)
            )
            for peer in self._named
        ]
        by_peer = dict(zip(self._named, links, strict=True))
        changed = [peer for peer, link in by_peer.items() if told.links.get(peer) != link]

        def moved(peer: str) -> tuple[bool, int]:
            link, known = by_peer[peer], told.links.get(peer)
            if known is None:
                return link.bad > 0, link.sent + link.received
            return link.bad > known.bad, link.sent + link.received - known.sent - known.received

        changed.sort(key=moved, reverse=True)
        others_sent = sum(sent.values()) - sum(link.sent for link in links)
        others_received = sum(received.values()) - sum(link.received for link in links)
        return [by_peer[peer] for peer in changed[:LINKS_TOLD_MAX]], max(0, others_sent), max(0, others_received)

    def _name(self, sent: Mapping[str, int], received: Mapping[str, int], bad: Mapping[str, int]) -> None:
        """Choose who is told one by one: whoever gave bad blocks, and the most moved."""
        before, opened = self._named, self._node.channels.open

        def worth(peer: str) -> tuple[bool, int, bool]:
            moved = sent.get(peer, 0) + received.get(peer, 0)
            # Of two that are about equal the one that is told already stays: they would take turns otherwise.
            return bad.get(peer, 0) > 0, moved * (2 if peer in before else 1), peer in opened

        candidates = dict.fromkeys((*before, *bad, *sent, *received, *opened))
        self._named = dict.fromkeys(heapq.nlargest(NAMED_MAX, candidates, key=worth))

    # ---- all of it ----------------------------------------------------------------------------------------------

    def make(self, sequence: int, told: Told, missed: list[str], *, is_full: bool) -> tuple[Report, Told]:
        """A report, and what the tracker has been told once it has taken it."""
        self.look()
        node, before = self._node, Told() if is_full else told
        followed, holdings = self._following.followed(), self._holdings(with_bits=is_full)
        if before.followed.keys() - followed.keys() or before.holdings.keys() - holdings.keys():
            is_full, before = True, Told()
        links, others_sent, others_received = self._links(before)
        room, dht, store = self._room_now(), self._dht(), self._store()
        reads = node.read_counts.told(before.reads)
        report = Report(
            format=1,
            epoch=self._epoch,
            sequence=sequence,
            is_full=is_full,
            wall_time_ms=round(1000 * clock.wall_now()),
            uptime_s=int(time.monotonic() - node.started),
            program=self._program,
            totals=self._totals(),
            links=tuple(links),
            others_sent=others_sent,
            others_received=others_received,
            followed=tuple(each for key, each in followed.items() if not is_told(before.followed.get(key), each)),
            holdings=tuple(each for key, each in holdings.items() if before.holdings.get(key) != each),
            waiting_for=tuple(f"{name}: {words()}"[:WORDS_MAX] for name, words in list(node.waiting.items()))[
                :WAITING_MAX
            ],
            missed=tuple(_public(peer) for peer in missed[:MISSED_MAX]),
            room=room if room != before.room else None,
            dht=dht if dht != before.dht else None,
            store=store if store != before.store else None,
            reads=tuple(each for key, each in reads.items() if before.reads.get(key) != each),
        )
        known = {**before.links, **dict(self._by_peer(links))}
        return report, Told(followed, holdings, known, room, dht, store, reads)

    def _by_peer(self, links: list[LinkTotal]) -> Iterator[tuple[str, LinkTotal]]:
        publics = {_public(peer): peer for peer in self._named}
        for link in links:
            yield publics[link.public], link

    def _totals(self) -> Totals:
        traffic = self._node.traffic
        line_sent, line_received = LINE.totals()
        return Totals(
            sent=sum(dict(traffic.sent).values()),
            received=sum(dict(traffic.received).values()),
            wire_sent=traffic.wire_sent_bytes,
            wire_received=traffic.wire_received_bytes,
            uploaded=traffic.uploaded_bytes,
            bad_blocks=traffic.bad_blocks,
            refused=traffic.refused,
            redirected=traffic.redirected,
            line_sent=line_sent,
            line_received=line_received,
        )

    def _room_now(self) -> Room:
        now = time.monotonic()
        if self._room is not None and now - self._room[0] < ROOM_EVERY_S:
            return self._room[1]
        node = self._node
        try:
            disk = shutil.disk_usage(node.home.path)
            free, total = disk.free, disk.total
        except OSError:
            free = total = 0
        room = Room(
            cache_blocks=len(node.blocks),
            cache_bytes=node.blocks.size_bytes,
            cache_most_bytes=node.settings.disk_bytes,
            memory_bytes=node.memory.size_bytes,
            memory_most_bytes=node.settings.memory_bytes,
            resident_bytes=round(resident_bytes() or 0),
            disk_free_bytes=free >> 20 << 20,
            disk_total_bytes=total,
            # Each block is looked for in memory, then on disk.
            hits=node.memory.hits + node.blocks.hits,
            misses=node.blocks.misses,
            evicted=node.memory.regret.evicted + node.blocks.regret.evicted,
            regretted=node.memory.regret.blocks + node.blocks.regret.blocks,
            regretted_bytes=node.memory.regret.bytes + node.blocks.regret.bytes,
        )
        self._room = (now, room)
        return room

    def _dht(self) -> DhtTold:
        dht, is_client = self._node.dht, self._node.settings.is_dht_client
        status, lookups = dht.status(), dht.lookups
        return DhtTold(status.nodes, status.records, lookups.failed, tuple(lookups.by_step), is_client)

    def _store(self) -> StoreTold | None:
        """Of a seed, what its object store was asked for."""
        node = self._node
        if node.objects is None or node.costs is None:
            return None
        costs, standing = node.costs(), standing_of(node.objects)
        versions = [(cost, True) for cost in costs.publishes] + [(cost, False) for cost in costs.rollouts]
        versions.sort(key=lambda item: item[0].wall_time)
        told = tuple(
            VersionAsked(cost.dataset, cost.version, is_publish, cost.wall_time, _asked(cost.spent))
            for cost, is_publish in versions[-ROLLOUTS_TOLD_MAX:]
        )
        away = f"away since {standing.clock}: {standing.why}" if standing.away_since is not None else ""
        return StoreTold(_asked(meter_of(node.objects).spent), told, away[:WORDS_MAX])


def _asked(spent: Spent) -> Asked:
    return Asked(
        spent.put,
        spent.list,
        spent.get,
        spent.head,
        spent.delete,
        spent.retries,
        spent.sent_bytes,
        spent.received_bytes,
    )


def _public(peer: str) -> bytes:
    try:
        return public_of(peer)
    except UsageError:
        return bytes(32)
