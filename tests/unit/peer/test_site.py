"""Peers of one site share what comes from afar; who is stalled is left out; shares are even and move little."""

from __future__ import annotations

import pytest

from swarm.peer.picker import indices_of
from swarm.peer.shares import group_of, shares
from swarm.peer.site import STALLED_S, Site

COUNT = 1000
PEERS = [f"peer-{number}" for number in range(5)]


def sites() -> dict[str, Site]:
    found = {peer: Site(peer, COUNT) for peer in PEERS}
    for peer, site in found.items():
        for other in PEERS:
            if other != peer:
                site.joined(other, 0, 0.0)
    return found


def test_the_shares_of_a_site_are_all_blocks_and_each_is_ones() -> None:
    total = 0
    for site in sites().values():
        assert not total & site.own_share
        total |= site.own_share
        assert 100 < site.own_share.bit_count() < 320
    assert total == (1 << COUNT) - 1


def test_all_begin_at_the_same_block() -> None:
    assert len({site.offset for site in sites().values()}) == 1


def test_when_one_goes_only_its_share_moves() -> None:
    before = shares(PEERS, COUNT)
    after = shares(PEERS[1:], COUNT)
    for peer in PEERS[1:]:
        assert before[peer][0] & after[peer][0] == before[peer][0]
        assert after[peer][0] == before[peer][0] | (before[peer][1] & before[PEERS[0]][0])


def test_a_million_blocks_are_shared_in_groups() -> None:
    found = shares(PEERS, 1_000_000)
    assert sum(first.bit_count() for first, _ in found.values()) == 1_000_000
    assert min(first.bit_count() for first, _ in found.values()) > 150_000


@pytest.mark.parametrize(
    ("count", "group"), [(1, 24), (384, 24), (385, 25), (3000, 128), (100_000, 128), (1_000_000, 245)]
)
def test_neighbouring_blocks_are_asked_of_one_origin(count: int, group: int) -> None:
    """Of the one that reads them together: seeds and peers go by the same groups."""
    assert group_of(count) == group
    found = shares(PEERS[:2], count, group_of(count))
    for number in range(min(count // group, 200)):
        blocks = ((1 << group) - 1) << number * group
        assert [first & blocks for first, _ in found.values()] in ([blocks, 0], [0, blocks])


def test_a_member_that_gets_nothing_of_its_share_is_left_out_until_it_does() -> None:
    site = sites()["peer-0"]
    own = site.own_share
    now = STALLED_S - 0.1
    share = shares(PEERS, COUNT)["peer-1"][0]
    for peer in PEERS[2:]:
        site.has(peer, next(1 << i for i in indices_of(shares(PEERS, COUNT)[peer][0])), now)
    site.tick(now)
    assert site.own_share == own
    site.tick(now + 0.2)
    assert site.own_share.bit_count() > own.bit_count()
    site.has("peer-1", share & -share, now + 1.0)
    assert site.own_share == own


def test_who_is_done_helps_where_he_is_second() -> None:
    site = sites()["peer-0"]
    everything = (1 << COUNT) - 1
    help_with = site.left_by_others(everything)
    assert help_with
    assert not help_with & site.own_share
    assert site.left_by_others(help_with & -help_with) == 0


@pytest.mark.parametrize("members", [["only"], PEERS[:2], PEERS])
def test_who_is_alone_fetches_everything(members: list[str]) -> None:
    site = Site(members[0], COUNT)
    for other in members[1:]:
        site.joined(other, 0, 0.0)
    for other in members[1:]:
        site.left(other)
    assert site.is_alone
    assert site.own_share == (1 << COUNT) - 1
    assert site.held == 0


def test_who_tells_anew_what_it_has_is_as_far_behind_as_before() -> None:
    """Heartbeats tell anew what is held: a member that gets nothing must not look lively by them."""
    site = sites()[PEERS[0]]
    lazy = shares(PEERS, COUNT)[PEERS[1]][0]
    assert not site.own_share & lazy
    now = 0.0
    while now <= 2 * STALLED_S:
        now += 1.0
        for peer in PEERS[1:]:
            site.joined(peer, 0, now)
        site.tick(now)
    assert site.own_share & lazy


def test_what_is_told_anew_is_what_is_held() -> None:
    site = sites()[PEERS[0]]
    site.joined(PEERS[1], 0b110, 1.0)
    assert site.held == 0b110
    site.joined(PEERS[1], 0b100, 2.0)
    assert site.held == 0b100
