"""How versions are read at many peers: summed by a tracker, by the words of peers that may read them."""

from __future__ import annotations

from swarm.reports import READS_TOLD_MAX, STRETCHES, ReadTold
from swarm.tracker.figures.heat import VERSIONS_MAX, heat_view
from swarm.tracker.figures.peers import READS_MAX, KnownPeer, readable
from tests.reported import ROADS, V1, V2, report, who


def read(version: bytes = V1, *, size: int = 640, reads: int = 1, at: int = 0, dataset: str = ROADS) -> ReadTold:
    stretches = [0] * STRETCHES
    stretches[at] = 10 * reads
    return ReadTold(dataset, version, size, reads, 10 * reads, tuple(stretches))


def peer(number: int) -> KnownPeer:
    return KnownPeer(who(number), 0.0, 0.0, 10.0)


def heard(known: KnownPeer, sequence: int, *reads: ReadTold, is_full: bool = False) -> KnownPeer:
    list(known.take(report(sequence, reads=reads, is_full=is_full), float(sequence), 0.0))
    return known


def test_peers_are_summed_and_a_report_replaces_the_one_before() -> None:
    one = heard(heard(peer(1), 0, read(at=3)), 1, read(at=3, reads=2))
    other = heard(peer(2), 0, read(at=63), read(V2, reads=9))
    most, least = heat_view([one, other, peer(3)], ROADS, 5.0).versions
    assert (most.version, most.reads, most.peers) == (V2.hex(), 9, 1)
    assert (least.version, least.reads, least.bytes, least.peers) == (V1.hex(), 3, 30, 2)
    assert (least.stretches[3], least.stretches[63], sum(least.stretches)) == (20, 10, 30)
    assert heat_view([one], "maps/other", 5.0).versions == ()


def test_of_two_sizes_of_one_version_that_of_most_counts() -> None:
    peers = [heard(peer(1), 0, read()), heard(peer(2), 0, read()), heard(peer(3), 0, read(size=1, reads=1000))]
    (told,) = heat_view(peers, ROADS, 1.0).versions
    assert (told.size, told.peers, told.reads) == (640, 2, 2)


def test_what_a_peer_may_not_read_it_says_nothing_of() -> None:
    told = readable(report(0, reads=(read(), read(dataset="secret/x"))), lambda dataset: dataset == ROADS)
    assert [each.dataset for each in told.reads] == [ROADS]


def test_a_peer_is_kept_so_many_versions_of_and_so_many_are_told() -> None:
    known = peer(1)
    for number in range(READS_MAX):
        heard(known, number, *(read(bytes([number, at]) * 16) for at in range(READS_TOLD_MAX)))
    assert len(known.reads) == READS_MAX
    assert heard(known, 99, is_full=True).reads == {}
    many = [heard(peer(number), 0, read(bytes([number]) * 32)) for number in range(VERSIONS_MAX + 3)]
    assert len(heat_view(many, ROADS, 1.0).versions) == VERSIONS_MAX
