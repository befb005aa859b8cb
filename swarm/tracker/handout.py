"""Which neighbours an asker is given for a version. Pure; randomness is an argument.

Up to four seeds first, then a random choice of the others: for who still fetches, holders and fellow fetchers alike;
for who has it all, fetchers only. Who shares the asker's site comes in a little more often; nobody is kept out for
where it is.
"""

from __future__ import annotations

import random
from collections.abc import Sequence

from swarm.limits import HANDOUT_MAX_NEIGHBOURS, HANDOUT_MAX_SEEDS
from swarm.messages import Neighbour
from swarm.records import Address
from swarm.tracker.presence import Present, Version, addresses_for

# Of the places that are not for seeds, at most this share goes to the asker's own site before all others draw.
OWN_SITE_SHARE = 0.5


def neighbours_for(
    asker: Present,
    version: Version,
    *,
    remote: str,
    holders: Sequence[Present],
    seeds: Sequence[Present],
    limit: int,
    rng: random.Random,
) -> tuple[Neighbour, ...]:
    """At most ``limit`` neighbours for one version that the asker announced; ``remote`` is where the asker is seen.

    ``holders`` have all of the version or fetch it. ``seeds`` keep every version, also one that they did not announce.
    """
    limit = min(limit, HANDOUT_MAX_NEIGHBOURS)
    chosen: list[Neighbour] = []
    keepers = {seed.peer_id for seed in seeds} | {asker.peer_id}
    if asker.holdings[version].complete:
        candidates = [peer for peer in holders if not peer.holdings[version].complete and peer.peer_id != asker.peer_id]
    else:
        others = [seed for seed in seeds if seed.peer_id != asker.peer_id]
        for seed in rng.sample(others, min(len(others), HANDOUT_MAX_SEEDS)):
            chosen += _neighbour(seed, complete=True, origin=True, remote=remote)
        candidates = [peer for peer in holders if peer.peer_id not in keepers]
    for peer in _drawn(asker.site, candidates, limit - len(chosen), rng):
        holding = peer.holdings[version]
        chosen += _neighbour(peer, complete=holding.complete, origin=holding.origin, remote=remote)
    return tuple(chosen[:limit])


def seeds_for(seeds: Sequence[Present], remote: str, rng: random.Random) -> tuple[Neighbour, ...]:
    """Seeds whatever they hold, for uploads and backfill."""
    found: list[Neighbour] = []
    for seed in rng.sample(list(seeds), min(len(seeds), HANDOUT_MAX_NEIGHBOURS)):
        found += _neighbour(seed, complete=True, origin=True, remote=remote)
    return tuple(found)


def _drawn(site: str, candidates: list[Present], places: int, rng: random.Random) -> list[Present]:
    if places <= 0:
        return []
    if len(candidates) <= places:
        rng.shuffle(candidates)
        return candidates
    own = [candidate for candidate in candidates if site and candidate.site == site]
    first = rng.sample(own, min(len(own), int(places * OWN_SITE_SHARE)))
    taken = {peer.peer_id for peer in first}
    rest = [candidate for candidate in candidates if candidate.peer_id not in taken]
    return first + rng.sample(rest, min(len(rest), places - len(first)))


def _neighbour(peer: Present, *, complete: bool, origin: bool, remote: str) -> list[Neighbour]:
    """The peer as the asker is told of it; nothing when the asker could not dial it."""
    addresses: tuple[Address, ...] = addresses_for(peer.addresses, remote)
    if not addresses:
        return []
    return [Neighbour(peer.public, addresses, peer.role, peer.site, complete, origin)]
