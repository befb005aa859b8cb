"""The announce route: a peer's heartbeat in, neighbours and news out.

Only what the caller's grant covers is recorded and answered; the rest of an announce is passed over without a word,
as if those datasets did not exist. The site is the token's or where the peer is seen, never what it says.
"""

from __future__ import annotations

import time

from aiohttp import web

from swarm import canonical
from swarm.errors import NotFoundError, UnreachableError, UsageError
from swarm.http.routes import Route
from swarm.limits import (
    ANNOUNCE_MAX_BYTES,
    ANSWER_MAX_NEIGHBOURS,
    CERTIFICATE_LIFETIME_S,
    HANDOUT_MAX_NEIGHBOURS,
)
from swarm.messages import OUR_VERSIONS, Announce, AnnounceAnswer, Handout, Head, Holding
from swarm.names import check_dataset
from swarm.tracker.handout import neighbours_for, seeds_for
from swarm.tracker.membership import Member
from swarm.tracker.policy import Policy, decide
from swarm.tracker.presence import KEEPER_ROLES, Present, site_seen, usable_addresses
from swarm.tracker.serve_members import trackers_for
from swarm.tracker.state import TrackerState, remote_of

MSGPACK = "application/msgpack"
# A third of their life is when papers are renewed.
RENEWAL_SHARE = 1 / 3
# How old a head may be that an announce is answered with.
HEAD_MAX_AGE_S = 2.0


def announce_routes(state: TrackerState) -> list[Route]:
    """The declaration."""

    async def announce(request: web.Request, member: Member) -> web.Response:
        data = await request.read()
        asked = canonical.decode(data, Announce, limit_bytes=ANNOUNCE_MAX_BYTES)
        answer = await answer_announce(state, asked, member, remote_of(request), time.monotonic(), time.time())
        return web.Response(body=canonical.encode(answer), content_type=MSGPACK)

    return [
        Route(
            "POST",
            "/api/v1/announce",
            state.for_members("announce", announce),
            "member",
            "A heartbeat: where a peer is and what it holds; neighbours, seeds, trackers, heads and fresh papers back",
            request=MSGPACK,
            response=MSGPACK,
        )
    ]


async def answer_announce(
    state: TrackerState, asked: Announce, member: Member, remote: str, now: float, wall_now: float
) -> AnnounceAnswer:
    """Record an announce and answer it. ``now`` is monotonic."""
    version = canonical.agree_version(asked.protocol, OUR_VERSIONS)
    policy = (await state.policy()).policy
    asker = _present(policy, asked, member, remote, now, wall_now)
    if asked.leaving:
        state.presence.forget(asker.peer_id)
    else:
        state.presence.announce(asker)
    state.figures.announced(asker, member, remote, is_leaving=asked.leaving, now=now)
    certificate, credential, grant = await _papers_due(state, policy, asked, member, wall_now)
    return AnnounceAnswer(
        format=1,
        protocol=version,
        interval_s=state.interval_s,
        handouts=_handouts(state, asker, remote, now),
        seeds=seeds_for(state.presence.seeds(now), remote, state.rng),
        trackers=trackers_for(state, remote),
        heads=await state.work(_heads, state, policy, asked, member),
        site=asker.site,
        certificate=certificate,
        credential=credential,
        grant=grant,
        wall_time=int(wall_now),
    )


def _present(policy: Policy, asked: Announce, member: Member, remote: str, now: float, wall_now: float) -> Present:
    holdings: dict[tuple[str, bytes], Holding] = {}
    for holding in asked.versions:
        if _covered(policy, member, holding.dataset):
            holdings[holding.dataset, holding.version] = holding
    return Present(
        public=member.public,
        peer_id=member.peer_id,
        addresses=usable_addresses(asked.addresses, remote),
        role=member.role,
        site=member.site or site_seen(remote),
        holdings=holdings,
        heard=now,
        keeps=asked.keeps and member.role in KEEPER_ROLES,
        # It states whole seconds: half of one is missing on the average.
        clock_offset_s=asked.wall_time + 0.5 - wall_now,
        certificate_expires=asked.certificate_issued + CERTIFICATE_LIFETIME_S,
    )


def _handouts(state: TrackerState, asker: Present, remote: str, now: float) -> tuple[Handout, ...]:
    if not asker.holdings:
        return ()
    seeds = state.presence.seeds(now)
    limit = max(1, min(HANDOUT_MAX_NEIGHBOURS, ANSWER_MAX_NEIGHBOURS // len(asker.holdings)))
    handouts: list[Handout] = []
    for (dataset, version), holding in asker.holdings.items():
        key = (dataset, version)
        holders = state.presence.holders(key, now, complete=False, rng=state.rng)
        if not holding.complete or len(holders) < limit:
            holders += state.presence.holders(key, now, complete=True, rng=state.rng)
        neighbours = neighbours_for(
            asker,
            key,
            remote=remote,
            holders=holders,
            seeds=seeds,
            limit=limit,
            rng=state.rng,
            fetchers=state.presence.count(key, complete=False),
        )
        handouts.append(Handout(dataset, version, neighbours))
    return tuple(handouts)


def _heads(state: TrackerState, policy: Policy, asked: Announce, member: Member) -> tuple[Head, ...]:
    found: list[Head] = []
    for dataset in dict.fromkeys(asked.heads):
        if not _covered(policy, member, dataset):
            continue
        try:
            found.append(Head(dataset, state.catalogue.head(dataset, max_age_s=HEAD_MAX_AGE_S).serial))
        except (NotFoundError, UnreachableError):
            # A dataset that is not known here while the object store is away has no head to tell of.
            continue
    return tuple(found)


def _covered(policy: Policy, member: Member, dataset: str) -> bool:
    try:
        check_dataset(dataset)
    except UsageError:
        return False
    return decide(policy, member.principal, "read", dataset).allowed


async def _papers_due(
    state: TrackerState, policy: Policy, asked: Announce, member: Member, wall_now: float
) -> tuple[bytes, bytes, bytes]:
    """Certificate, credential, grant: those of which a third of life has passed, or all when rights have changed."""
    certificate_due = _is_due(asked.certificate_issued, CERTIFICATE_LIFETIME_S, member.changed, wall_now)
    known = await state.policy()
    not_before = state.rights.not_before(policy, member.public, member.since)
    # While the store is away no grant can be dated later than when it was last there.
    is_newer = max(not_before, int(known.confirmed)) > asked.grant_issued
    grant_due = is_newer and _is_due(asked.grant_issued, policy.grant_lifetime_s, not_before, wall_now)
    if not certificate_due and not grant_due:
        return b"", b"", b""
    papers = await state.work(state.members.renew_known, member, wall_now)
    return (
        papers.certificate if certificate_due else b"",
        papers.credential if certificate_due else b"",
        papers.grant if grant_due else b"",
    )


def _is_due(issued: int, lifetime_s: int, changed: int, wall_now: float) -> bool:
    return issued < changed or wall_now - issued >= lifetime_s * RENEWAL_SHARE
