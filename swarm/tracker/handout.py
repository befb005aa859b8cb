"""Which neighbours an asker is given for a version. Pure; randomness is an argument.

Who still fetches is given origins first, and then holders and fellow fetchers: some of its own site, some who joined
lately (nobody has chosen them yet), the rest at random; nobody is kept out for where it is. Who has it all is given
fetchers, and a few others for its standing set.

Origins are given to everybody while few fetch. Of many each is given to a share, so that it keeps some tens of
fetching neighbours; the share of an asker is fixed, so asking again gives no more. Seeds are told to everybody beside
the handouts, and a peer that does not get on turns to one by itself (``swarm.peer.mesh``).
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Final

from swarm.limits import HANDOUT_MAX_NEIGHBOURS, HANDOUT_MAX_SEEDS
from swarm.messages import Neighbour
from swarm.records import Address
from swarm.signature import signature_of
from swarm.tracker.presence import Present, Version, addresses_for

# Of the places that are not for origins, at most this share goes to the asker's own site before all others draw.
OWN_SITE_SHARE: Final = 0.5
NEW_PLACES: Final = 4
NEW_S: Final = 60.0
# Places for holders beside fetchers, for who has it all.
STANDING_PLACES: Final = 4
FEW_FETCHERS: Final = 64
# Those who came while they were few keep their origins: of the many that follow, this many have one each.
ORIGIN_FETCHERS: Final = 16


def neighbours_for(
    asker: Present,
    version: Version,
    *,
    remote: str,
    holders: Sequence[Present],
    seeds: Sequence[Present],
    limit: int,
    rng: random.Random,
    fetchers: int = 0,
) -> tuple[Neighbour, ...]:
    """At most ``limit`` neighbours for one version that the asker announced; ``remote`` is where the asker is seen.

    ``holders`` have all of the version or fetch it. ``seeds`` keep every version, also one that they did not announce.
    ``fetchers`` is how many fetch it in all.
    """
    limit = min(limit, HANDOUT_MAX_NEIGHBOURS)
    chosen: list[Neighbour] = []
    others = [peer for peer in holders if peer.peer_id != asker.peer_id]
    if asker.holdings[version].complete:
        fetching = [peer for peer in others if not peer.holdings[version].complete]
        drawn = _drawn(asker, fetching, limit, rng)
        holding = [peer for peer in others if peer.holdings[version].complete and not peer.keeps]
        drawn += _drawn(asker, holding, min(STANDING_PLACES, limit - len(drawn)), rng)
    else:
        keepers = {seed.peer_id for seed in seeds}
        given = [s for s in seeds if s.peer_id != asker.peer_id and _is_given(s, asker, version, fetchers)]
        for seed in rng.sample(given, min(len(given), HANDOUT_MAX_SEEDS)):
            chosen += _neighbour(seed, complete=True, origin=True, remote=remote)
        rest = [peer for peer in others if peer.peer_id not in keepers]
        origins = [p for p in rest if p.holdings[version].origin and _is_given(p, asker, version, fetchers)]
        drawn = rng.sample(origins, min(len(origins), HANDOUT_MAX_SEEDS))
        plain = [peer for peer in rest if not peer.holdings[version].origin]
        drawn += _drawn(asker, plain, limit - len(chosen) - len(drawn), rng)
    for peer in drawn:
        holds = peer.holdings[version]
        chosen += _neighbour(peer, complete=holds.complete, origin=holds.origin, remote=remote)
    return tuple(chosen[:limit])


def seeds_for(seeds: Sequence[Present], remote: str, rng: random.Random) -> tuple[Neighbour, ...]:
    """Seeds whatever they hold, for uploads and backfill."""
    found: list[Neighbour] = []
    for seed in rng.sample(list(seeds), min(len(seeds), HANDOUT_MAX_NEIGHBOURS)):
        found += _neighbour(seed, complete=True, origin=True, remote=remote)
    return tuple(found)


def _is_given(origin: Present, asker: Present, version: Version, fetchers: int) -> bool:
    """Whether the asker has a share in an origin: the same answer for the same number of fetchers."""
    if fetchers <= FEW_FETCHERS:
        return True
    drawn = signature_of(origin.public + asker.public + version[1])
    return int.from_bytes(drawn[:8], "big") * fetchers < ORIGIN_FETCHERS << 64


def _drawn(asker: Present, candidates: list[Present], places: int, rng: random.Random) -> list[Present]:
    if places <= 0:
        return []
    if len(candidates) <= places:
        rng.shuffle(candidates)
        return candidates
    new = [peer for peer in candidates if asker.heard - peer.since <= NEW_S]
    first = sorted(new, key=lambda peer: peer.since)[-NEW_PLACES:] if places > 2 * NEW_PLACES else []
    taken = {peer.peer_id for peer in first}
    own = [peer for peer in candidates if asker.site and peer.site == asker.site and peer.peer_id not in taken]
    first += rng.sample(own, min(len(own), int(places * OWN_SITE_SHARE)))
    taken = {peer.peer_id for peer in first}
    rest = [peer for peer in candidates if peer.peer_id not in taken]
    return first + rng.sample(rest, min(len(rest), places - len(first)))


def _neighbour(peer: Present, *, complete: bool, origin: bool, remote: str) -> list[Neighbour]:
    """The peer as the asker is told of it; nothing when the asker could not dial it."""
    addresses: tuple[Address, ...] = addresses_for(peer.addresses, remote)
    if not addresses:
        return []
    return [Neighbour(peer.public, addresses, peer.role, peer.site, complete, origin)]
