"""What is wrong in a picture: one function a rule, each from a picture to what it found. Pure.

A rule tells of everything that is beyond the limit at which an alert ends (``is_over`` False) or begins (True), so that
a value which goes up and down around one number does not raise an alert each time. A rule tells of SUBJECTS_MAX at most
one by one, the worst first, and of all others together.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Final, Literal

from swarm.alert_messages import Severity
from swarm.limits import CLOCK_SKEW_S, MIB
from swarm.tracker.alerts.picture import PeerSeen, Picture
from swarm.units import size

Kind = Literal["rollout", "peer", "tracker", "store", "swarm"]
SUBJECTS_MAX: Final = 24
COPIES_LEAST: Final = 2
# One follower alone, as on a single machine, is no swarm whose copies could be two.
COPIES_FOLLOWERS_LEAST: Final = 2
# Of a rollout to few peers, or of little data, the origin gives a large share however well it is spared.
OFFLOAD_PEERS_LEAST: Final = 10
OFFLOAD_BYTES_LEAST: Final = 64 * MIB
OFFLOAD_SLACK: Final = 0.05
BAD_BLOCKS: Final = 3
# Signed records are refused that are dated CLOCK_SKEW_S ahead: an alert comes well before that.
SKEW_S: Final = CLOCK_SKEW_S / 5
SKEW_CLEAR_S: Final = CLOCK_SKEW_S / 10
DISK_FREE: Final = 0.05
DISK_FREE_CLEAR: Final = 0.08
DISK_CRITICAL: Final = 0.01
# An announce may be late once: three that are missing make a tracker forget a peer.
LAG_INTERVALS: Final = 2.0
LAG_PEERS_LEAST: Final = 3
LAG_SHARE: Final = 0.1
PEER_PAPERS_S: Final = 7 * 86_400
DAY_S: Final = 86_400


@dataclass(frozen=True, slots=True)
class Found:
    """A subject for which a rule's condition holds now."""

    rule: str
    kind: Kind
    subject: str
    severity: Severity
    value: float
    limit: float
    unit: str
    summary: str
    remedy: str
    dataset: str = ""
    is_over: bool = True


@dataclass(frozen=True, slots=True)
class Timing:
    """For how long a condition has to hold before an alert fires, and to be gone before it is resolved."""

    for_s: float
    clear_s: float


TIMINGS: Final[dict[str, Timing]] = {
    "AetherfsRolloutStalled": Timing(60, 30),
    "AetherfsCopiesUnderTwo": Timing(600, 60),
    "AetherfsOffloadUnderTarget": Timing(300, 300),
    "AetherfsHashFailures": Timing(0, 900),
    "AetherfsCertificateExpires": Timing(600, 60),
    "AetherfsClockSkew": Timing(90, 90),
    "AetherfsDiskNearlyFull": Timing(60, 120),
    "AetherfsAnnounceLag": Timing(60, 60),
    # Asked every five seconds, a tracker that was killed is told of within a minute; one that restarts is back before,
    # and one that is ended in order says so.
    "AetherfsTrackerUnreachable": Timing(30, 30),
    "AetherfsStoreUnreachable": Timing(30, 30),
}


def found_in(picture: Picture) -> list[Found]:
    """All that is wrong now, bounded."""
    return [found for rule in _RULES for found in _bounded(list(rule(picture)))]


def _bounded(found: list[Found]) -> Iterator[Found]:
    ranked = sorted(found, key=lambda one: (one.severity != "critical", not one.is_over, one.subject))
    yield from ranked[:SUBJECTS_MAX]
    others = ranked[SUBJECTS_MAX:]
    if others:
        first = others[0]
        yield replace(
            first,
            kind="swarm",
            subject="others",
            dataset="",
            value=float(len(others)),
            limit=0.0,
            unit="subjects",
            summary=f"the same of {len(others)} others, for example {first.subject}",
            is_over=any(one.is_over for one in others),
        )


def _rollouts(picture: Picture) -> Iterator[Found]:
    for seen in picture.rollouts:
        if seen.is_stuck and not seen.is_paused and seen.behind:
            yield Found(
                "AetherfsRolloutStalled",
                "rollout",
                f"{seen.dataset}:{seen.tag}",
                "critical",
                seen.behind,
                0,
                "peers",
                f"{seen.behind} of {seen.wanted} are behind and nothing moves: {seen.words}",
                f"see who is behind and why: aetherfs top --once; then aetherfs status on such a peer, or "
                f"aetherfs rollback {seen.dataset}:{seen.tag}",
                seen.dataset,
            )


def _copies(picture: Picture) -> Iterator[Found]:
    for seen in picture.rollouts:
        if seen.copies is not None and seen.copies < COPIES_LEAST and seen.wanted >= COPIES_FOLLOWERS_LEAST:
            yield Found(
                "AetherfsCopiesUnderTwo",
                "rollout",
                f"{seen.dataset}:{seen.tag}",
                "critical",
                seen.copies,
                COPIES_LEAST,
                "copies",
                f"some block has {seen.copies} {'copy' if seen.copies == 1 else 'copies'}, the origin's included",
                "keep a seed running, or let one more peer subscribe; aetherfs store check says whether the store is "
                "whole",
                seen.dataset,
            )


def _offload(picture: Picture) -> Iterator[Found]:
    target = picture.offload_target
    for seen in picture.rollouts:
        if not target or seen.wanted < OFFLOAD_PEERS_LEAST or seen.fetched_bytes < OFFLOAD_BYTES_LEAST:
            continue
        offload = 1 - seen.origin_bytes / seen.fetched_bytes
        if offload < target + OFFLOAD_SLACK:
            yield Found(
                "AetherfsOffloadUnderTarget",
                "rollout",
                f"{seen.dataset}:{seen.tag}",
                "warning",
                offload,
                target,
                "ratio",
                f"peers gave each other {offload:.0%} of what they fetched, and {target:.0%} is the target",
                "see whether peers reach one another: aetherfs doctor on some of them (ports, translation, sites)",
                seen.dataset,
                offload < target,
            )


def _hashes(picture: Picture) -> Iterator[Found]:
    for peer in picture.peers:
        if peer.bad_blocks:
            yield Found(
                "AetherfsHashFailures",
                "peer",
                peer.id,
                "critical" if peer.bad_takers > 1 else "warning",
                peer.bad_blocks,
                BAD_BLOCKS,
                "blocks",
                f"it gave {peer.bad_takers} others {peer.bad_blocks} blocks that are not what their signatures say",
                f"check its memory and disk; if it is not yours any more: aetherfs member remove {peer.id}",
                is_over=peer.bad_blocks >= BAD_BLOCKS or peer.bad_takers > 1,
            )


def _papers(picture: Picture) -> Iterator[Found]:
    for paper in picture.papers:
        left_s = paper.expires - picture.wall_now
        if left_s < paper.warn_s:
            yield _expiring("swarm", paper.name, left_s, paper.warn_s, paper.remedy)
    for peer in picture.peers:
        left_s = peer.certificate_expires - picture.wall_now
        if peer.certificate_expires and left_s < PEER_PAPERS_S:
            remedy = "see why it does not renew: aetherfs doctor on it, and whether it is a member still"
            yield _expiring("peer", peer.id, left_s, PEER_PAPERS_S, remedy)


def _expiring(kind: Kind, subject: str, left_s: float, limit_s: float, remedy: str) -> Found:
    told = f"its certificate ends in {left_s / DAY_S:.1f} days" if left_s > 0 else "its certificate has expired"
    severity: Severity = "critical" if left_s < limit_s / 4 else "warning"
    return Found("AetherfsCertificateExpires", kind, subject, severity, left_s, limit_s, "s", told, remedy)


def _clocks(picture: Picture) -> Iterator[Found]:
    for peer in picture.peers:
        skew_s = abs(peer.clock_offset_s or 0.0)
        if skew_s > SKEW_CLEAR_S:
            yield Found(
                "AetherfsClockSkew",
                "peer",
                peer.id,
                "critical" if skew_s > CLOCK_SKEW_S * 0.8 else "warning",
                skew_s,
                SKEW_S,
                "s",
                f"its clock is {skew_s:.0f} s {'ahead' if (peer.clock_offset_s or 0) > 0 else 'behind'}; beyond "
                f"{CLOCK_SKEW_S} s what it signs is refused",
                "let it take the time from the network: timedatectl set-ntp true",
                is_over=skew_s > SKEW_S,
            )


def _disks(picture: Picture) -> Iterator[Found]:
    for peer in picture.peers:
        if peer.disk_free_bytes is None or not peer.disk_size_bytes:
            continue
        free = peer.disk_free_bytes / peer.disk_size_bytes
        if free < DISK_FREE_CLEAR:
            yield Found(
                "AetherfsDiskNearlyFull",
                "peer",
                peer.id,
                "critical" if free < DISK_CRITICAL else "warning",
                free,
                DISK_FREE,
                "ratio",
                f"{free:.1%} of its home's disk are free ({size(peer.disk_free_bytes)})",
                "free some space, or let it keep less: aetherfs config, disk_bytes",
                is_over=free < DISK_FREE,
            )


def _lags(picture: Picture) -> Iterator[Found]:
    limit_s = LAG_INTERVALS * picture.interval_s
    silent = [peer for peer in picture.peers if picture.wall_now - peer.heard > limit_s]
    yield from (_silent(peer, picture, limit_s) for peer in silent if peer.role == "seed")
    if len(silent) >= LAG_PEERS_LEAST and len(silent) >= LAG_SHARE * len(picture.peers):
        longest_s = max(picture.wall_now - peer.heard for peer in silent)
        yield Found(
            "AetherfsAnnounceLag",
            "swarm",
            "swarm",
            "warning",
            longest_s,
            limit_s,
            "s",
            f"{len(silent)} of {len(picture.peers)} peers are not heard of, for up to {longest_s:.0f} s",
            "see whether they reach this tracker, and whether it is too busy: aetherfs_event_loop_lag_seconds",
        )


def _silent(peer: PeerSeen, picture: Picture, limit_s: float) -> Found:
    silent_s = picture.wall_now - peer.heard
    return Found(
        "AetherfsAnnounceLag",
        "peer",
        peer.id,
        "critical",
        silent_s,
        limit_s,
        "s",
        f"this seed has not announced for {silent_s:.0f} s",
        "see whether its process runs and reaches a tracker: aetherfs doctor on it",
    )


def _trackers(picture: Picture) -> Iterator[Found]:
    for tracker in picture.trackers:
        if tracker.silent_since is not None:
            yield Found(
                "AetherfsTrackerUnreachable",
                "tracker",
                tracker.address,
                "critical" if len(picture.trackers) == 1 else "warning",
                picture.wall_now - tracker.silent_since,
                0,
                "s",
                f"it has been away from the other trackers for {picture.wall_now - tracker.silent_since:.0f} s: "
                f"{tracker.why or 'silence'}",
                "see whether it runs: aetherfs status --home DIR on its machine, and its log",
            )


def _store(picture: Picture) -> Iterator[Found]:
    if picture.store_away_since is not None:
        yield Found(
            "AetherfsStoreUnreachable",
            "store",
            "store",
            "critical",
            max(0.0, picture.wall_now - picture.store_away_since),
            0,
            "s",
            f"the object store does not answer: {picture.store_why}",
            "aetherfs doctor says what it answers; publishes and joins fail until it is back, reading goes on",
        )


_RULES: Final[tuple[Callable[[Picture], Iterable[Found]], ...]] = (
    _store,
    _trackers,
    _rollouts,
    _copies,
    _offload,
    _hashes,
    _papers,
    _clocks,
    _disks,
    _lags,
)
