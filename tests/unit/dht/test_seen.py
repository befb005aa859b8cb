"""Replay protection."""

from __future__ import annotations

from swarm.dht.seen import Seen, is_timely
from swarm.limits import DHT_PACKET_AGE_MAX_S
from tests.unit.dht.samples import NOW


def test_a_request_is_taken_once() -> None:
    seen = Seen()
    assert seen.is_new(b"s", b"a", NOW)
    assert seen.is_new(b"s", b"a", NOW), "nothing is remembered before its signature is checked"
    seen.remember(b"s", b"a", NOW)
    assert not seen.is_new(b"s", b"a", NOW)
    assert seen.is_new(b"s", b"b", NOW)


def test_it_is_remembered_until_its_age_alone_refuses_it() -> None:
    seen = Seen()
    made = NOW + DHT_PACKET_AGE_MAX_S  # by a clock that is fast
    seen.remember(b"s", b"a", NOW)
    for later in range(0, 3 * DHT_PACKET_AGE_MAX_S, 7):
        assert not (is_timely(int(made * 1000), NOW + later) and seen.is_new(b"s", b"a", NOW + later))
    assert seen.is_new(b"s", b"a", NOW + 3 * DHT_PACKET_AGE_MAX_S)
    assert len(seen) == 0


def test_a_full_memory_refuses_rather_than_forgets() -> None:
    seen = Seen(limit=4)
    for sender in (b"s", b"t", b"u", b"v"):
        seen.remember(sender, b"a", NOW)
    assert not seen.is_new(b"w", b"d", NOW)
    assert not seen.is_new(b"s", b"a", NOW)
    assert seen.is_new(b"w", b"d", NOW + 2 * DHT_PACKET_AGE_MAX_S + 1)


def test_a_flood_of_one_member_does_not_silence_the_others() -> None:
    seen = Seen(limit=40)
    taken = 0
    for number in range(100):
        if seen.is_new(b"s", bytes([number]), NOW):
            seen.remember(b"s", bytes([number]), NOW)
            taken += 1
    assert taken == 10
    assert seen.is_new(b"t", b"a", NOW)
    assert seen.is_new(b"s", b"a", NOW + 2 * DHT_PACKET_AGE_MAX_S + 1)
    assert not seen._by_sender


def test_old_packets_and_those_from_the_future_are_not_timely() -> None:
    assert is_timely(int(NOW * 1000), NOW)
    assert not is_timely(int((NOW - DHT_PACKET_AGE_MAX_S - 1) * 1000), NOW)
    assert not is_timely(int((NOW + DHT_PACKET_AGE_MAX_S + 1) * 1000), NOW)
