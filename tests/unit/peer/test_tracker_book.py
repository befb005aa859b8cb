"""Which listings of trackers a peer believes, keeps and passes on."""

from __future__ import annotations

import pytest

from swarm.errors import RemoteProtocolError
from swarm.identity import PeerKey
from swarm.limits import TRACKERS_MAX
from swarm.peer.tracker_book import TrackerBook
from swarm.records import Address
from swarm.tracker.listing import FRESH_S, Listing, seal_listing
from swarm.trust import Trust
from tests.unit.log_samples import CA_KEY

NOW = 1_800_000_000


def listing(number: int, *, wall: int = NOW, port: int = 7070) -> Listing:
    return Listing(2, PeerKey(bytes([number]) * 32).public, (Address("192.0.2.1", port),), (), NOW, wall)


def sealed(*args: int, **kwargs: int) -> bytes:
    return seal_listing(CA_KEY, listing(*args, **kwargs))


def test_only_what_the_swarm_has_sealed_counts() -> None:
    book = TrackerBook(Trust(CA_KEY.public))
    with pytest.raises(RemoteProtocolError):
        book.learn(seal_listing(PeerKey(bytes(32)), listing(1)))
    with pytest.raises(RemoteProtocolError):
        book.learn(b"garbage")
    assert book.told() == ()


def test_news_is_what_is_new_elsewhere_or_back_after_a_time() -> None:
    book = TrackerBook(Trust(CA_KEY.public))
    assert book.learn(sealed(1)) == listing(1)
    assert book.learn(sealed(1)) is None
    assert book.learn(sealed(1, wall=NOW + 60)) is None
    assert book.told() == (sealed(1, wall=NOW + 60),)
    assert book.learn(sealed(1, wall=NOW + 61, port=7080)) == listing(1, wall=NOW + 61, port=7080)
    back = NOW + 61 + int(FRESH_S)
    assert book.learn(sealed(1, wall=back, port=7080)) == listing(1, wall=back, port=7080)
    assert book.learn(sealed(2)) == listing(2)


def test_an_old_listing_that_is_replayed_changes_nothing() -> None:
    book = TrackerBook(Trust(CA_KEY.public))
    book.learn(sealed(1, wall=NOW + 1, port=7080))
    assert book.learn(sealed(1)) is None
    assert book.told() == (sealed(1, wall=NOW + 1, port=7080),)


def test_the_youngest_are_kept() -> None:
    book = TrackerBook(Trust(CA_KEY.public))
    for number in range(1, 2 * TRACKERS_MAX + 1):
        assert book.learn(sealed(number, wall=NOW + number)) is not None
    assert len(book.told()) == TRACKERS_MAX
    assert sealed(TRACKERS_MAX, wall=NOW + TRACKERS_MAX) not in book.told()
    assert book.learn(sealed(200, wall=NOW)) is None
    assert sealed(200, wall=NOW) not in book.told()
