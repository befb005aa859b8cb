"""Handouts: seeds first, then a random choice; never the asker, never more than asked for."""

from __future__ import annotations

import random
from dataclasses import replace

from swarm.identity import PeerKey
from swarm.messages import Holding, Neighbour
from swarm.records import Address, Role
from swarm.signature import signature_of
from swarm.tracker.handout import FEW_FETCHERS, NEW_PLACES, ORIGIN_FETCHERS, STANDING_PLACES, neighbours_for, seeds_for
from swarm.tracker.presence import Present

REMOTE = "192.0.2.200"


VERSION = ("library/roads", signature_of(b"1"))


def peer(
    number: int,
    *,
    role: Role = "peer",
    site: str = "",
    host: str = "192.0.2.1",
    complete: bool | None = False,
    origin: bool = False,
) -> Present:
    """A peer; ``complete`` None did not announce the version."""
    key = PeerKey(signature_of(number.to_bytes(4, "big")))
    addresses = (Address(host, 1),) if host else ()
    holdings = {} if complete is None else {VERSION: Holding(*VERSION, complete, origin)}
    return Present(key.public, key.peer_id, addresses, role, site, holdings, 0.0, role == "seed")


def ask(
    asker: Present,
    holders: list[Present],
    seeds: list[Present],
    *,
    limit: int = 30,
    seed: int = 0,
    fetchers: int = 0,
) -> tuple[Neighbour, ...]:
    return neighbours_for(
        asker,
        VERSION,
        remote=REMOTE,
        holders=holders,
        seeds=seeds,
        limit=limit,
        rng=random.Random(seed),
        fetchers=fetchers,
    )


def test_up_to_four_seeds_come_first() -> None:
    silent = [peer(100 + number, role="seed", complete=None) for number in range(3)]
    announced = [peer(110 + number, role="seed") for number in range(3)]
    holders = [peer(number) for number in range(3)]
    found = ask(peer(50), holders + announced, silent + announced)
    assert [neighbour.role for neighbour in found] == ["seed"] * 4 + ["peer"] * 3
    assert all(neighbour.complete and neighbour.origin for neighbour in found[:4])
    assert len({neighbour.public for neighbour in found}) == 7


def test_the_asker_is_never_its_own_neighbour() -> None:
    asker = peer(1, role="seed")
    assert [neighbour.public for neighbour in ask(asker, [asker, peer(2)], [asker])] == [peer(2).public]
    asker = peer(1, complete=True)
    found = ask(asker, [asker, peer(2)], [asker])
    assert [neighbour.public for neighbour in found] == [peer(2).public]


def test_who_has_it_all_is_given_fetchers_and_a_few_others_but_no_seed() -> None:
    holders = [*(peer(number, complete=True) for number in range(10, 20)), peer(2)]
    found = ask(peer(3, complete=True), holders, [peer(4, role="seed")])
    assert found[0].public == peer(2).public
    assert [neighbour.complete for neighbour in found] == [False] + [True] * STANDING_PLACES


def test_of_many_fetchers_each_origin_is_given_to_a_share_that_does_not_change() -> None:
    seeds, producer = [peer(900, role="seed")], peer(901, complete=True, origin=True)
    askers = [peer(number) for number in range(800)]
    given = {
        origin.public: {
            asker.public
            for asker in askers
            if origin.public in {n.public for n in ask(asker, [producer, *askers[:50]], seeds, fetchers=800)}
        }
        for origin in (*seeds, producer)
    }
    assert all(ORIGIN_FETCHERS // 2 <= len(found) <= 2 * ORIGIN_FETCHERS for found in given.values())
    assert given[seeds[0].public] != given[producer.public]
    again = {a.public for a in askers if ask(a, [], seeds, fetchers=800, seed=9)}
    assert again == given[seeds[0].public]
    assert all(len(ask(asker, [producer], seeds, fetchers=FEW_FETCHERS)) == 2 for asker in askers[:20])


def test_who_joined_lately_is_among_those_given() -> None:
    old = [replace(peer(number), since=0.0) for number in range(200)]
    new = [replace(peer(300 + number), since=990.0 + number) for number in range(6)]
    found = {n.public for n in ask(replace(peer(500), heard=1000.0), old + new, [])}
    assert {p.public for p in new[-NEW_PLACES:]} <= found
    later = [{n.public for n in ask(replace(peer(500), heard=2000.0), old + new, [], seed=seed)} for seed in range(20)]
    assert any(new[-1].public not in found for found in later), "it is new for ever"


def test_never_more_than_the_limit() -> None:
    holders = [peer(number) for number in range(100)]
    seeds = [peer(200 + number, role="seed") for number in range(10)]
    assert len(ask(peer(150), holders, seeds)) == 30
    assert len(ask(peer(150), holders, seeds, limit=1000)) == 30
    assert len(ask(peer(150), holders, seeds, limit=7)) == 7
    assert len(ask(peer(150), holders, seeds, limit=1)) == 1


def test_the_choice_is_random_and_repeatable() -> None:
    holders = [peer(number) for number in range(100)]
    assert ask(peer(150), holders, [], seed=1) == ask(peer(150), holders, [], seed=1)
    assert ask(peer(150), holders, [], seed=1) != ask(peer(150), holders, [], seed=2)
    seen = {n.public for seed in range(40) for n in ask(peer(150), holders, [], seed=seed)}
    assert len(seen) == 100


def test_the_own_site_is_preferred_and_nobody_is_kept_out() -> None:
    near = [peer(number, site="lab") for number in range(50)]
    far = [peer(100 + number, site="far") for number in range(200)]
    found = ask(peer(99, site="lab"), near + far, [])
    sites = [neighbour.site for neighbour in found]
    assert sites.count("lab") >= 15
    assert sites.count("far") >= 5
    lonely = ask(peer(99, site="none"), near + far, [])
    assert len(lonely) == 30


def test_who_cannot_be_dialled_from_there_is_left_out() -> None:
    holders = [
        peer(1, host=""),
        peer(2, host="127.0.0.1"),
        peer(3),
    ]
    assert [n.public for n in ask(peer(9), holders, [peer(4, role="seed", host="127.0.0.1")])] == [peer(3).public]


def test_seeds_are_bounded() -> None:
    seeds = [peer(number, role="seed") for number in range(100)]
    assert len(seeds_for(seeds, REMOTE, random.Random(1))) == 30
    assert seeds_for([], REMOTE, random.Random(1)) == ()
