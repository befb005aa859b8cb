"""Peers, one by one, as they are told, made of the picture. Pure: see ``swarm.figure_messages``."""

from __future__ import annotations

import heapq
from dataclasses import dataclass
from typing import Final, Literal

from swarm.figure_messages import (
    STATES,
    Cause,
    Link,
    Peer,
    PeerFollowing,
    PeerHolding,
    PeerItem,
    Peers,
    PeersChanged,
    State,
    Storage,
)
from swarm.identity import peer_id_of
from swarm.reports import Followed, Room
from swarm.tracker.figures.left import left_s
from swarm.tracker.figures.members import CURRENT, Member
from swarm.tracker.figures.peers import KnownPeer, LinkSum
from swarm.tracker.figures.picture import Picture
from swarm.tracker.figures.reasons import reason_of
from swarm.tracker.figures.views import MayRead, sources_of, usual_rate

CHANGED_MAX: Final = 50
HOLDINGS_TOLD_MAX: Final = 100
# Giver's and taker's word differ when it is by more than this share, and by more than this.
AGREE_SHARE: Final = 0.05
AGREE_BYTES: Final = 1 << 20
# Of two processes, one is the younger when it began so much later: they tell for how many whole seconds they run.
STARTS_S: Final = 2.0
_WORST: Final[tuple[State, ...]] = ("failed", "lost", "unaware", "waiting", "fetching", "verifying", "current")


@dataclass(frozen=True, slots=True)
class Asked:
    """Which peers are asked for; empty texts ask for all. ``search`` is looked for in ids, sites, labels, addresses."""

    cursor: str = ""
    limit: int = 100
    site: str = ""
    label: str = ""
    state: str = ""
    search: str = ""
    dataset: str = ""

    def fits(self, peer: KnownPeer) -> bool:
        """Whether a peer is among them, but for its state."""
        who = peer.who
        if self.site and who.site != self.site:
            return False
        if self.label and self.label not in who.labels:
            return False
        if self.dataset and not any(dataset == self.dataset for dataset, _ in peer.followed):
            return False
        if not self.search:
            return True
        texts = (who.peer_id, who.site, who.role, peer.program, *who.labels, *(str(each) for each in who.addresses))
        return any(self.search.lower() in text.lower() for text in texts)


def peers_view(picture: Picture, asked: Asked, now: float) -> Peers:
    """One page."""
    matching = [peer for peer in picture.peers.values() if asked.fits(peer)]
    if asked.state:
        wanted = asked.state
        matching = [peer for peer in matching if wanted in (peer.health, standing_of(picture, peer, now)[0])]
    after = [peer for peer in matching if peer.who.peer_id > asked.cursor]
    page = heapq.nsmallest(asked.limit + 1, after, key=lambda peer: peer.who.peer_id)
    following = page[asked.limit - 1].who.peer_id if len(page) > asked.limit else ""
    items = tuple(item_of(picture, peer, now) for peer in page[: asked.limit])
    return Peers(picture.wall(now), items, following, len(matching), len(picture.peers))


def changed_view(picture: Picture, seen: dict[bytes, int], now: float) -> PeersChanged | None:
    """What has changed since a listener has seen what ``seen`` notes; it is brought up to date. None for nothing."""
    changed = [peer for public, peer in picture.peers.items() if seen.get(public) != peer.number]
    if not changed:
        return None
    for peer in changed[:CHANGED_MAX]:
        seen[peer.who.public] = peer.number
    for public in seen.keys() - picture.peers.keys():
        del seen[public]
    items = tuple(item_of(picture, peer, now) for peer in changed[:CHANGED_MAX])
    return PeersChanged(picture.wall(now), items, len(changed) > CHANGED_MAX, len(picture.peers))


def item_of(picture: Picture, peer: KnownPeer, now: float) -> PeerItem:
    """A row of the list."""
    state, cause, reason = standing_of(picture, peer, now)
    who, totals = peer.who, peer.totals
    return PeerItem(
        id=who.peer_id,
        role=who.role,
        site=who.site,
        labels=who.labels,
        health=peer.health,
        heard=picture.wall(peer.heard),
        state=state,
        cause=cause,
        reason=reason,
        version=peer.program,
        sent_bytes=totals.sent,
        received_bytes=totals.received,
        rate_in_bytes_per_s=round(peer.rate_in),
        rate_out_bytes_per_s=round(peer.rate_out),
        clock_offset_s=round(peer.clock_offset_s, 2) if peer.clock_offset_s is not None else None,
        following=len(peer.followed),
        neighbours=sum(link.is_open for link in peer.links.values()),
    )


def standing_of(picture: Picture, peer: KnownPeer, now: float) -> tuple[State | Literal[""], Cause, str]:
    """The worst state of what a peer follows, and why it is that."""
    worst: tuple[State, Member, tuple[str, str]] | None = None
    for tag in peer.followed:
        figures = picture.tags.get(tag)
        member = (
            figures.rollout.members.get(peer.who.public)
            if figures is not None and figures.rollout is not None
            else None
        )
        if member is None:
            continue
        state = STATES[member.state]
        if worst is None or _WORST.index(state) < _WORST.index(worst[0]):
            worst = (state, member, tag)
    if worst is None:
        return "", "", ""
    state, member, tag = worst
    if member.state == CURRENT:
        return state, "", ""
    rollout = picture.tags[tag].rollout
    usual = usual_rate(rollout) if rollout is not None else 0.0
    return (state, *reason_of(member, peer, member.told or peer.followed[tag], usual, now))


def peer_view(picture: Picture, peer: KnownPeer, may_read: MayRead, tracker: str, now: float) -> Peer:
    """All of one."""
    totals, dht = peer.totals, peer.dht
    held = sorted(peer.holdings.values(), key=lambda each: (each.dataset, each.version))
    return Peer(
        at=picture.wall(now),
        item=item_of(picture, peer, now),
        addresses=tuple(str(address) for address in peer.who.addresses),
        started=picture.wall(peer.started or peer.since),
        joined=peer.joined,
        sent_bytes=totals.sent,
        received_bytes=totals.received,
        wire_sent_bytes=totals.wire_sent,
        wire_received_bytes=totals.wire_received,
        line_sent_bytes=totals.line_sent,
        line_received_bytes=totals.line_received,
        uploaded_bytes=totals.uploaded,
        bad_blocks=totals.bad_blocks,
        refused=totals.refused,
        redirected=totals.redirected,
        links=tuple(_links(picture, peer)),
        following=tuple(
            _following(picture, peer, told, now) for (dataset, _), told in peer.followed.items() if may_read(dataset)
        ),
        holdings=tuple(
            PeerHolding(each.dataset, each.version.hex(), each.blocks, each.held, each.size_bytes, each.is_origin)
            for each in held
            if may_read(each.dataset)
        )[:HOLDINGS_TOLD_MAX],
        waiting_for=peer.waiting_for,
        storage=_storage(peer.room) if peer.room is not None else None,
        dht_nodes=dht.nodes if dht is not None else None,
        dht_records=dht.records if dht is not None else None,
        tracker=tracker,
    )


def _links(picture: Picture, peer: KnownPeer) -> list[Link]:
    found = [_link(picture, peer, other, link) for other, link in peer.links.items()]
    found.sort(key=lambda link: link.sent_bytes + link.received_bytes, reverse=True)
    if any(peer.others):
        found.append(Link("others", "", peer.others[0], peer.others[1], None, None, agrees=True, is_open=False))
    return found


def _link(picture: Picture, peer: KnownPeer, other: bytes, link: LinkSum) -> Link:
    far = picture.peers.get(other)
    theirs = far.links.get(peer.who.public) if far is not None else None
    agrees = True
    if far is not None and theirs is not None:
        anew = _is_anew(peer, far, picture.begun), _is_anew(far, peer, picture.begun)
        agrees = _agree(link.sent, theirs.received, anew) and _agree(link.received, theirs.sent, anew)
    return Link(
        peer=peer_id_of(other),
        site=far.who.site if far is not None else "",
        sent_bytes=link.sent,
        received_bytes=link.received,
        their_received_bytes=theirs.received if theirs is not None else None,
        their_sent_bytes=theirs.sent if theirs is not None else None,
        agrees=agrees,
        is_open=link.is_open,
    )


def _is_anew(one: KnownPeer, other: KnownPeer, begun: float) -> bool:
    """Whether one's process is younger than the other's and may follow upon one that moved bytes with it: of these the
    other still tells, and it does not. A first process that began while this tracker looked has none before it.
    """
    return one.started > other.started + STARTS_S and (bool(one.past) or one.started < begun)


def _agree(mine: int, theirs: int, anew: tuple[bool, bool]) -> bool:
    """Whether two words on the same bytes fit: each was told at another moment, and one counts what the other drops;
    who began anew may tell of fewer.
    """
    is_excused = anew[1] if mine > theirs else anew[0]
    return is_excused or abs(mine - theirs) <= max(AGREE_BYTES, AGREE_SHARE * max(mine, theirs))


def _following(picture: Picture, peer: KnownPeer, told: Followed, now: float) -> PeerFollowing:
    figures = picture.tags.get((told.dataset, told.tag))
    rollout = figures.rollout if figures is not None else None
    member = rollout.members.get(peer.who.public) if rollout is not None else None
    state: State = STATES[member.state] if member is not None else told.phase
    cause, reason = told.cause, told.words
    if member is not None and rollout is not None and member.state != CURRENT:
        cause, reason = reason_of(member, peer, told, usual_rate(rollout), now)
    own = left_s(told, told.rate_bytes_per_s, told.age_ms / 1000)
    left = member.left_s(now) if member is not None else own
    return PeerFollowing(
        dataset=told.dataset,
        tag=told.tag,
        serial=_brought_by(picture, told, told.version, told.serial),
        version=told.version.hex(),
        target_serial=_brought_by(picture, told, told.target_version, told.target),
        target_version=told.target_version.hex(),
        state=state,
        since=picture.wall(member.since if member is not None else peer.heard),
        cause=cause,
        reason=reason,
        done_bytes=told.done_bytes,
        total_bytes=told.total_bytes,
        rate_bytes_per_s=told.rate_bytes_per_s,
        eta_s=round(left, 1) if left is not None else None,
        sources=sources_of((told.peers, told.origin, told.reused, told.wasted, told.wire)),
        is_pull=told.is_pull,
    )


def _brought_by(picture: Picture, told: Followed, version: bytes, serial: int) -> int:
    """The entry that brought a version which a peer has by some entry: those that steered its rollout came later."""
    known = (each for key, each in picture.rollouts.items() if key[:2] == (told.dataset, told.tag))
    return max((each.serial for each in known if each.version == version and each.serial <= serial), default=serial)


def _storage(room: Room) -> Storage:
    return Storage(
        cache_blocks=room.cache_blocks,
        cache_bytes=room.cache_bytes,
        cache_most_bytes=room.cache_most_bytes,
        memory_bytes=room.memory_bytes,
        memory_most_bytes=room.memory_most_bytes,
        resident_bytes=room.resident_bytes,
        disk_free_bytes=room.disk_free_bytes or None,
        disk_total_bytes=room.disk_total_bytes or None,
    )
