"""Draws the picture that the rules look at, from what a tracker knows now: who announces, and the figures."""

from __future__ import annotations

import contextlib
import time
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Final

from swarm.errors import RemoteProtocolError
from swarm.objects.standing import standing_of
from swarm.records import Credential, term_of
from swarm.tracker.alerts.bad_blocks import BadBlocks
from swarm.tracker.alerts.picture import Paper, PeerSeen, Picture, RolloutSeen, TrackerSeen
from swarm.tracker.figures.members import CURRENT, FAILED, FETCHING, LOST, STALLED_S, Member
from swarm.tracker.figures.peers import KnownPeer
from swarm.tracker.figures.rollouts import RolloutFigures
from swarm.tracker.listing import REFRESH_S, Listing
from swarm.tracker.presence import Present
from swarm.tracker.tracker_metrics import sealing_until

if TYPE_CHECKING:
    from swarm.tracker.state import TrackerState

DAY_S: Final = 86_400.0
# A tracker is asked every few seconds whether it answers, and says each minute where it is. The second alone is missing
# where it cannot reach others, or cannot write.
TRACKER_SILENT_S: Final = 2.5 * REFRESH_S
# Papers are renewed when two thirds of their life are left.
OWN_PAPERS_S: Final = 7 * DAY_S
CA_KEY_S: Final = 14 * DAY_S
GIVEN_S: Final = 14 * DAY_S
# What a rollout has cost the origin is of interest so long after its end.
ENDED_S: Final = 600.0

Version = tuple[str, bytes]


def draw(state: TrackerState, bad: BadBlocks, offload_target: float, wall_now: float) -> Picture:
    """The swarm as this tracker knows it."""
    standing, now = standing_of(state.objects), time.monotonic()
    known = state.figures.picture.peers
    takers = [(taker, peer) for taker, peer in known.items() if peer.has_bad]
    bad.hear(((taker, giver, link) for taker, peer in takers for giver, link in peer.links.items()), now)
    return Picture(
        wall_now=wall_now,
        interval_s=float(state.interval_s),
        offload_target=offload_target,
        rollouts=_rollouts(state, now),
        peers=_peers(state, bad.lately(now), now, wall_now),
        trackers=_trackers(state, wall_now),
        papers=_papers(state),
        store_away_since=standing.away_since,
        store_why=standing.why,
    )


# ---- peers --------------------------------------------------------------------------------------------------------


def _peers(
    state: TrackerState, bad: Mapping[bytes, tuple[int, int]], now: float, wall_now: float
) -> tuple[PeerSeen, ...]:
    """Who announced here, and who reported anywhere; who said goodbye is missed by nobody."""
    present = {peer.public: peer for peer in state.presence.latest(now)}
    known = {public: peer for public, peer in state.figures.picture.peers.items() if not peer.has_left}
    return tuple(
        _peer(present.get(public), known.get(public), bad.get(public, (0, 0)), now, wall_now)
        for public in {**present, **known}
    )


def _peer(
    present: Present | None, known: KnownPeer | None, bad: tuple[int, int], now: float, wall_now: float
) -> PeerSeen:
    room = offset = None
    heard = present.heard if present is not None else known.heard if known is not None else now
    if known is not None:
        room, offset, heard = known.room, known.clock_offset_s, max(heard, known.heard)
    if offset is None and present is not None:
        offset = present.clock_offset_s
    return PeerSeen(
        id=present.peer_id if present is not None else known.who.peer_id if known is not None else "",
        role=_role(present, known),
        heard=wall_now - (now - heard),
        clock_offset_s=offset,
        disk_free_bytes=room.disk_free_bytes if room is not None else None,
        disk_size_bytes=room.disk_total_bytes if room is not None else None,
        certificate_expires=present.certificate_expires if present is not None else 0.0,
        bad_blocks=bad[0],
        bad_takers=bad[1],
    )


def _role(present: Present | None, known: KnownPeer | None) -> str:
    if present is not None:
        return "seed" if present.keeps else present.role
    return known.who.role if known is not None else "peer"


# ---- rollouts -------------------------------------------------------------------------------------------------------


def _rollouts(state: TrackerState, now: float) -> tuple[RolloutSeen, ...]:
    """The last of each tag that somebody follows."""
    tags = state.figures.picture.book.tags
    whole = _whole(state)
    has_seed = int(bool(state.presence.seeds(now)) or _has_seed(state))
    return tuple(
        _rollout(figures.rollout, whole[figures.rollout.dataset, figures.rollout.version] + has_seed, now)
        for figures in tags.values()
        if figures.rollout is not None and figures.rollout.wanted
    )


def _has_seed(state: TrackerState) -> bool:
    return any(peer.who.role == "seed" and peer.health != "gone" for peer in state.figures.picture.peers.values())


def _whole(state: TrackerState) -> Counter[Version]:
    """How many that are no seeds hold all of a version."""
    found: Counter[Version] = Counter()
    for peer in state.figures.picture.peers.values():
        if peer.health != "gone" and peer.who.role == "peer":
            for version, held in peer.holdings.items():
                if held.held >= held.blocks:
                    found[version] += 1
    return found


def _rollout(rollout: RolloutFigures, copies: int, now: float) -> RolloutSeen:
    """Whoever is gone for good holds up nobody, and is not counted as behind."""
    is_recent = rollout.ended is None or now - rollout.ended < ENDED_S
    others = [member for member in rollout.members.values() if member.state != CURRENT and not _is_over(member)]
    # Nor is whom a stage holds back: it waits for somebody to promote it.
    left = [member for member in others if member.state != LOST and not member.is_held] if is_recent else []
    stalled = sum(1 for member in left if now - member.moved_at >= STALLED_S)
    failed = sum(1 for member in left if member.state == FAILED)
    fetching = rollout.counts[FETCHING]
    peers, origin, *_ = rollout.sources() if is_recent else (0, 0)
    return RolloutSeen(
        dataset=rollout.dataset,
        tag=rollout.tag,
        serial=rollout.serial,
        wanted=rollout.counts[CURRENT] + len(others),
        behind=len(left),
        failed=failed,
        is_stuck=bool(left) and stalled >= len(left),
        is_paused=rollout.is_paused,
        words=f"{failed} failed" if failed else f"{fetching} {'is' if fetching == 1 else 'are'} fetching",
        # While somebody fetches there are about to be more.
        copies=None if fetching > failed and stalled < len(left) else copies,
        fetched_bytes=peers + origin,
        origin_bytes=origin,
    )


def _is_over(member: Member) -> bool:
    """A single pull that failed: whoever typed it has read why, and nothing is tried again."""
    return member.state == FAILED and member.told is not None and member.told.is_pull


# ---- trackers and papers --------------------------------------------------------------------------------------------


def _trackers(state: TrackerState, wall_now: float) -> tuple[TrackerSeen, ...]:
    listings = [each.listing for each in state.listed.values()]
    return tuple(
        _tracker(state, listing, wall_now)
        for listing in listings
        if listing.public != state.contact.public and listing.addresses and not _is_replaced(listing, listings)
    )


def _is_replaced(listing: Listing, listings: Iterable[Listing]) -> bool:
    """Another began later where it was: a container that was made anew, with a home and a key of its own."""
    return any(other.since > listing.since and other.addresses == listing.addresses for other in listings)


def _tracker(state: TrackerState, listing: Listing, wall_now: float) -> TrackerSeen:
    address, silent = str(listing.addresses[0]), state.pushes.silent.get(listing.peer_id)
    if silent is not None:
        return TrackerSeen(address, wall_now - state.pushes.silent_s(listing.peer_id), silent.why)
    unsaid_s = wall_now - listing.wall_time
    if unsaid_s > TRACKER_SILENT_S:
        return TrackerSeen(address, float(listing.wall_time), "it answers, and says no more that it is there")
    return TrackerSeen(address, None)


def _papers(state: TrackerState) -> tuple[Paper, ...]:
    """Of the tracker and of the CA. Without an end nothing expires."""
    found: list[Paper] = []
    until = sealing_until(state)
    if until is not None:
        remedy = "appoint the next one: aetherfs root sign, where the root's file lies; trackers do it themselves else"
        found.append(Paper("the CA's key", until, remedy, CA_KEY_S))
    # Papers under a key that does not count any more are replaced in a moment.
    with contextlib.suppress(RemoteProtocolError, IndexError):
        expires = float(term_of(state.papers.credential, Credential, state.keys.authority.trust)[1])
        remedy = "it renews itself while the store answers: see its log, then start it again"
        found.append(Paper(f"tracker {state.contact.addresses[0]}", expires, remedy, OWN_PAPERS_S))
    if state.given_expires:
        remedy = "put a new certificate into the files of --tls-cert and --tls-key: it is taken at once"
        found.append(Paper("the certificate that people are shown", state.given_expires, remedy, GIVEN_S))
    return tuple(found)
