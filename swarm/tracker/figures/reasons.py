"""Why a peer is behind, in words that help. Pure."""

from __future__ import annotations

from typing import Final

from swarm.figure_messages import STATES, Cause
from swarm.reports import Followed
from swarm.tracker.figures.members import LOST, STALLED_S, UNAWARE, WAITING, Member
from swarm.tracker.figures.peers import KnownPeer
from swarm.units import rate

# Who fetches at less than this share of the usual rate has a slow link.
SLOW_SHARE: Final = 1 / 3
# So long after the last heartbeat that was due a peer's silence is the reason.
SILENT_BEATS: Final = 1.6
TOLD_BEFORE_S: Final = 3.0

Reason = tuple[Cause, str]
_FETCHING: Final = STATES.index("fetching")
_VERIFYING: Final = STATES.index("verifying")


def reason_of(member: Member, peer: KnownPeer | None, told: Followed | None, usual_rate: float, now: float) -> Reason:
    """Why a member of a rollout is not current. ``usual_rate`` is the median of those that fetch, bytes per second."""
    if peer is None or member.state == LOST or peer.health == "gone":
        return "not-heard", f"not heard for {now - (peer.heard if peer is not None else member.since):.0f} s"
    silent_s = now - peer.heard
    if peer.health == "doubtful" or silent_s > SILENT_BEATS * peer.beat_s:
        return "not-heard", f"not heard for {silent_s:.0f} s"
    if told is not None and told.cause:
        return told.cause, told.words or told.cause
    if member.is_held:
        return "held-back", "held back by the rollout"
    if member.state == UNAWARE:
        return "not-told", "has not heard of the move yet"
    if member.state == WAITING or told is None:
        return ("queued", told.words) if told is not None and told.words else ("", "is about to begin")
    if member.state == _FETCHING:
        return _fetching(member, told, usual_rate, now)
    if member.state == _VERIFYING:
        return "", told.words or "is about to switch"
    return "error", told.words or "failed"


def _fetching(member: Member, told: Followed, usual_rate: float, now: float) -> Reason:
    if not told.neighbours:
        return "no-neighbour", "no neighbour holds this version"
    if told.missing_blocks and not told.rate_bytes_per_s and now - member.moved_at >= STALLED_S:
        return "no-holder", f"nothing has come for {now - member.moved_at:.0f} s: {told.words}"
    came = rate(told.rate_bytes_per_s) if told.rate_bytes_per_s else "no block yet"
    words = f"{came} from {told.neighbours} neighbour{'s' * (told.neighbours != 1)}"
    if usual_rate and told.rate_bytes_per_s < SLOW_SHARE * usual_rate and now - member.since > TOLD_BEFORE_S:
        return "slow-link", f"slow link: {words}"
    return "", words
