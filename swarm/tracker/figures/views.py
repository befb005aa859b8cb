"""The overview and the rollouts, as they are told, made of the picture. Pure: see ``swarm.figure_messages``."""

from __future__ import annotations

import heapq
import statistics
from collections.abc import Callable, Iterable, Sequence
from typing import Final

import msgspec

from swarm.figure_messages import (
    STATES,
    Completion,
    Counts,
    FollowedTag,
    Overview,
    Point,
    Rollout,
    RolloutItem,
    Rollouts,
    SiteProgress,
    Sources,
    Straggler,
    Totals,
    Trend,
)
from swarm.identity import peer_id_of
from swarm.tracker.figures.members import CURRENT, FAILED, FETCHING, Member
from swarm.tracker.figures.peers import KnownPeer
from swarm.tracker.figures.picture import Picture
from swarm.tracker.figures.reasons import reason_of
from swarm.tracker.figures.rollouts import RolloutFigures
from swarm.tracker.figures.steering import Back
from swarm.tracker.figures.verdicts import ORDER, overall, trend_of, verdict_of, worst_of

TAGS_TOLD_MAX: Final = 100
STRAGGLERS_MAX: Final = 50
CURVE_MAX: Final = 200
SITES_MAX: Final = 100
# When more than this share of peers is silent, the picture may be behind.
SILENT_SHARE: Final = 0.05

MayRead = Callable[[str], bool]


def overview(picture: Picture, may_read: MayRead, now: float) -> Overview:
    """All tags that peers follow and the caller may read, those that want to be looked at first."""
    rollouts = [
        figures.rollout
        for (dataset, _), figures in picture.tags.items()
        if figures.rollout is not None and may_read(dataset)
    ]
    rows = [_row(picture, rollout, now) for rollout in rollouts]
    rows.sort(key=lambda row: (ORDER.index(row.trend), -row.since))
    peers = picture.sums.peers
    stale_since, why = _staleness(picture)
    return Overview(
        at=picture.wall(now),
        verdict=overall([(row.trend, row.verdict) for row in rows if row.trend != "idle"], peers),
        trend=worst_of([row.trend for row in rows if row.trend != "idle"]),
        tags=tuple(rows[:TAGS_TOLD_MAX]),
        totals=_totals(picture, len({row.dataset for row in rows})),
        stale_since=stale_since,
        why_stale=why,
    )


def _row(picture: Picture, rollout: RolloutFigures, now: float) -> FollowedTag:
    trend, stalled, eta_s, verdict = judged(rollout, now, picture.wall(now))
    return FollowedTag(
        dataset=rollout.dataset,
        tag=rollout.tag,
        serial=rollout.serial,
        version=rollout.version.hex(),
        since=picture.wall(rollout.started),
        trend=trend,
        verdict=verdict,
        wanted=rollout.wanted,
        current=rollout.counts[CURRENT],
        behind=rollout.behind,
        stalled=stalled,
        failed=rollout.counts[FAILED],
        eta_s=eta_s,
        counts=Counts(*rollout.counts),
        sources=sources_of(rollout.sources()),
        rate_bytes_per_s=rollout.rate_bytes_per_s(now),
        total_bytes=rollout.total_bytes,
        is_paused=rollout.is_paused,
        back=rollout.back.word if rollout.back is not None else "",
    )


def judged(rollout: RolloutFigures, now: float, wall_now: float) -> tuple[Trend, int, float | None, str]:
    """Trend, how many are stalled, seconds that are left, and the sentence."""
    stalled = rollout.stalled(now)
    eta_s = rollout.eta_s(now)
    eta_s = _tenths(eta_s)
    trend = trend_of(rollout, stalled)
    return trend, stalled, eta_s, verdict_of(rollout, trend, stalled, eta_s, wall_now)


def _totals(picture: Picture, datasets: int) -> Totals:
    sums = picture.sums
    return Totals(
        peers=sums.peers,
        seeds=sums.seeds,
        trackers=sums.trackers,
        datasets=datasets,
        fetching=sums.fetching,
        sites=sums.sites,
        given_bytes=sums.given_bytes,
        taken_bytes=sums.taken_bytes,
        rate_bytes_per_s=round(sums.rate_bytes_per_s),
        origin_rate_bytes_per_s=round(sums.origin_rate_bytes_per_s),
        bad_blocks=sums.bad_blocks,
    )


def _staleness(picture: Picture) -> tuple[float | None, str]:
    sums = picture.sums
    if sums.silent_since is None or sums.silent <= SILENT_SHARE * sums.peers:
        return None, ""
    return picture.wall(sums.silent_since), f"{sums.silent} of {sums.peers} peers were not heard when they should be"


def sources_of(sums: tuple[int, int, int, int, int]) -> Sources:
    peers, origin, reused, wasted, wire = sums
    share = round(origin / (peers + origin), 5) if peers + origin else None
    return Sources(peers, origin, reused, wasted, wire, share)


# ---- rollouts -------------------------------------------------------------------------------------------------------


def rollouts(picture: Picture, may_read: MayRead, now: float, kept: Iterable[RolloutItem] = ()) -> Rollouts:
    """Those that are known here, and those that lie in the store, latest first."""
    live = [_item(picture, each, now) for each in picture.rollouts.values() if may_read(each.dataset)]
    known = {(item.dataset, item.tag, item.serial) for item in live}
    rest = [item for item in kept if (item.dataset, item.tag, item.serial) not in known and may_read(item.dataset)]
    found = sorted([*live, *rest], key=lambda item: item.started, reverse=True)
    return Rollouts(picture.wall(now), tuple(_with_taken(found)))


def _with_taken(items: Sequence[RolloutItem]) -> list[RolloutItem]:
    """Those from which the next one of their tag brought everybody back say so, also where only a log is left."""
    found: list[RolloutItem] = []
    later: dict[tuple[str, str], RolloutItem] = {}
    for item in items:
        after = later.get((item.dataset, item.tag))
        later[item.dataset, item.tag] = item
        if after is not None and after.back and after.serial > item.serial:
            item = msgspec.structs.replace(item, trend="taken back", back=after.back, by=after.by, why=after.why)
        found.append(item)
    return found


def _item(picture: Picture, rollout: RolloutFigures, now: float) -> RolloutItem:
    ended = rollout.ended
    return RolloutItem(
        dataset=rollout.dataset,
        tag=rollout.tag,
        serial=rollout.serial,
        version=rollout.version.hex(),
        started=picture.wall(rollout.started),
        ended=picture.wall(ended) if ended is not None else None,
        wanted=rollout.wanted,
        current=rollout.counts[CURRENT],
        failed=rollout.counts[FAILED],
        seconds=round((ended if ended is not None else now) - rollout.started, 1),
        is_kept=rollout.is_kept,
        trend=trend_of(rollout, rollout.stalled(now)),
        **_back_told(rollout.back),
    )


def _back_told(back: Back | None) -> dict[str, str]:
    return {} if back is None else {"back": back.word, "by": back.by, "why": back.why}


def rollout_view(picture: Picture, rollout: RolloutFigures, now: float) -> Rollout:
    """One rollout as it stands."""
    trend, _, eta_s, verdict = judged(rollout, now, picture.wall(now))
    ended = rollout.ended
    t_s = (ended if ended is not None else now) - rollout.started
    points = [*rollout.points, (max(t_s, rollout.points[-1][0] if rollout.points else 0.0), tuple(rollout.counts))]
    return Rollout(
        at=picture.wall(now),
        dataset=rollout.dataset,
        tag=rollout.tag,
        serial=rollout.serial,
        version=rollout.version.hex(),
        previous_version=rollout.previous.hex(),
        message=rollout.message,
        started=picture.wall(rollout.started),
        ended=picture.wall(ended) if ended is not None else None,
        verdict=verdict,
        trend=trend,
        wanted=rollout.wanted,
        behind=rollout.behind,
        eta_s=eta_s,
        counts=Counts(*rollout.counts),
        points=tuple(Point(round(at, 1), *counts) for at, counts in points),
        completion=completion_of(rollout),
        stragglers=tuple(_stragglers(picture, rollout, now)),
        sources=sources_of(rollout.sources()),
        rate_bytes_per_s=rollout.rate_bytes_per_s(now),
        total_bytes=rollout.total_bytes,
        sites=tuple(_sites(rollout.members.values())),
        is_paused=rollout.is_paused,
        is_kept=rollout.is_kept,
        **_back_told(rollout.back),
        away=len(rollout.away_current),
    )


def completion_of(rollout: RolloutFigures) -> Completion:
    """Percentiles of all wanted peers, and the curve: also of those that had it and are not there now."""
    p50, p95, p99 = (_rounded(rollout.percentile_s(share)) for share in (0.5, 0.95, 0.99))
    arrivals = rollout.arrivals()
    last = arrivals[-1] if arrivals and not rollout.behind else None
    return Completion(p50, p95, p99, _rounded(last), curve_of(arrivals))


def curve_of(done: Sequence[float]) -> tuple[tuple[float, int], ...]:
    """Seconds, and how many were current by then; thinned, with the first and the last."""
    if not done:
        return ()
    step = max(1, -(-len(done) // (CURVE_MAX - 1)))
    places = [*range(0, len(done), step)]
    if places[-1] != len(done) - 1:
        places.append(len(done) - 1)
    return tuple((round(done[place], 2), place + 1) for place in places)


def _stragglers(picture: Picture, rollout: RolloutFigures, now: float) -> list[Straggler]:
    behind = (item for item in rollout.members.items() if item[1].state != CURRENT)
    worst = heapq.nsmallest(STRAGGLERS_MAX, behind, key=lambda item: item[1].order)
    usual = usual_rate(rollout)
    return [
        straggler(member, public, picture.peers.get(public), rollout, usual, picture, now) for public, member in worst
    ]


def usual_rate(rollout: RolloutFigures) -> float:
    """The median rate of those that fetch, or have: the last that fetches is slow beside those that are done. Found out
    once for all that is told between two words of members, as it is a look at every member.
    """
    if rollout.usual[0] != rollout.number:
        rates = [rate for member in rollout.members.values() if (rate := member.usual_rate) is not None]
        rollout.usual = rollout.number, statistics.median(rates) if rates else 0.0
    return rollout.usual[1]


def straggler(
    member: Member,
    public: bytes,
    peer: KnownPeer | None,
    rollout: RolloutFigures,
    usual: float,
    picture: Picture,
    now: float,
) -> Straggler:
    """A peer that is behind, with the reason."""
    told = member.told or (peer.followed.get((rollout.dataset, rollout.tag)) if peer is not None else None)
    cause, reason = reason_of(member, peer, told, usual, now)
    rate = told.rate_bytes_per_s if told is not None and member.state == FETCHING else 0
    total = member.told.total_bytes if member.told is not None else rollout.total_bytes
    done = member.told.done_bytes if member.told is not None else 0
    return Straggler(
        peer=peer.who.peer_id if peer is not None else peer_id_of(public),
        site=member.site,
        labels=peer.who.labels if peer is not None else (),
        state=STATES[member.state],
        since=picture.wall(member.since),
        cause=cause,
        reason=reason,
        done_bytes=done,
        total_bytes=total,
        rate_bytes_per_s=rate,
        eta_s=_tenths(member.left_s(now)),
    )


def _sites(members: Iterable[Member]) -> list[SiteProgress]:
    sums: dict[str, list[int]] = {}
    for member in members:
        found = sums.setdefault(member.site, [0, 0, 0])
        found[0] += 1
        found[1] += member.state == CURRENT
        found[2] += member.state == FAILED
    worst = sorted(sums.items(), key=lambda item: (item[1][1] - item[1][0], item[0]))
    return [SiteProgress(site, *counts) for site, counts in worst[:SITES_MAX]]


def _tenths(seconds: float | None) -> float | None:
    return round(seconds, 1) if seconds is not None else None


def _rounded(seconds: float | None) -> float | None:
    return round(seconds, 2) if seconds is not None else None
