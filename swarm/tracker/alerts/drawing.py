"""Draws the picture that the rules look at, from what a tracker knows at this moment."""

from __future__ import annotations

import contextlib
import time
from typing import TYPE_CHECKING, Final

from swarm.errors import RemoteProtocolError
from swarm.objects.standing import standing_of
from swarm.records import Credential, term_of
from swarm.tracker.alerts.picture import Paper, PeerSeen, Picture, TrackerSeen
from swarm.tracker.listing import REFRESH_S
from swarm.tracker.tracker_metrics import sealing_until

if TYPE_CHECKING:
    from swarm.tracker.state import TrackerState

DAY_S: Final = 86_400.0
# A tracker says again each minute that it is there: it is silent when two of these are missing.
TRACKER_SILENT_S: Final = 2.5 * REFRESH_S
# Papers are renewed when two thirds of their life are left.
OWN_PAPERS_S: Final = 7 * DAY_S
CA_KEY_S: Final = 14 * DAY_S
GIVEN_S: Final = 14 * DAY_S


def draw(state: TrackerState, offload_target: float, wall_now: float) -> Picture:
    """The swarm as this tracker knows it."""
    standing = standing_of(state.objects)
    return Picture(
        wall_now=wall_now,
        interval_s=float(state.interval_s),
        offload_target=offload_target,
        peers=_peers(state, wall_now),
        trackers=_trackers(state, wall_now),
        papers=_papers(state),
        store_away_since=standing.away_since,
        store_why=standing.why,
    )


def _peers(state: TrackerState, wall_now: float) -> tuple[PeerSeen, ...]:
    now = time.monotonic()
    return tuple(
        PeerSeen(
            id=peer.peer_id,
            role="seed" if peer.keeps else peer.role,
            heard=wall_now - (now - peer.heard),
            clock_offset_s=peer.clock_offset_s,
            certificate_expires=peer.certificate_expires,
        )
        for peer in state.presence.latest(now)
    )


def _trackers(state: TrackerState, wall_now: float) -> tuple[TrackerSeen, ...]:
    found = []
    for each in state.listed.values():
        listing = each.listing
        if listing.public == state.contact.public or not listing.addresses:
            continue
        silent_s = wall_now - listing.wall_time
        is_silent = listing.peer_id in state.pushes.silent or silent_s > TRACKER_SILENT_S
        why = f"it has not said for {silent_s:.0f} s that it is there" if silent_s > TRACKER_SILENT_S else ""
        found.append(TrackerSeen(str(listing.addresses[0]), float(listing.wall_time) if is_silent else None, why))
    return tuple(found)


def _papers(state: TrackerState) -> tuple[Paper, ...]:
    """Of the tracker and of the CA. Without an end nothing expires."""
    found: list[Paper] = []
    until = sealing_until(state)
    if until is not None:
        remedy = (
            "let the root appoint the next key: aetherfs root sign, where its file lies; trackers do it themselves else"
        )
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
