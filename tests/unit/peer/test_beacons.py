"""Beacons on a link: outsiders can neither read nor make them, old ones count for nothing, and a link stays quiet."""

from __future__ import annotations

import random
from collections import Counter

import pytest

from swarm.errors import RemoteProtocolError
from swarm.keyring import NEVER, SwarmSecret
from swarm.limits import BEACON_MAX_BYTES, DHT_PACKET_AGE_MAX_S
from swarm.peer.beacons import PEERS_MAX, Beacons, open_beacon, seal_beacon

OURS = SwarmSecret(0, b"s" * 32, 0, NEVER)
THEIRS = SwarmSecret(0, b"t" * 32, 0, NEVER)
NEXT = SwarmSecret(1, b"u" * 32, 0, NEVER)
NONCE = bytes(24)
NOW = 1_800_000_000.0


def sealed(secret: SwarmSecret = OURS, location: bytes = b"somewhere", wall_now: float = NOW) -> bytes:
    return seal_beacon(secret, location, NONCE, wall_now, asks=True)


def test_a_beacon_is_read_by_who_has_the_secret_also_while_another_takes_its_place() -> None:
    beacon = open_beacon(sealed(), (NEXT, OURS), NOW)
    assert (beacon.location, beacon.asks) == (b"somewhere", True)
    assert open_beacon(sealed(NEXT), (NEXT, OURS), NOW).location == b"somewhere"


def test_no_byte_of_it_can_be_changed_and_no_other_secret_opens_it() -> None:
    datagram = sealed()
    for at in range(len(datagram)):
        changed = datagram[:at] + bytes([datagram[at] ^ 1]) + datagram[at + 1 :]
        with pytest.raises(RemoteProtocolError):
            open_beacon(changed, (OURS,), NOW)
    for other in (datagram[:-1], datagram + b"x", b"", bytes(BEACON_MAX_BYTES + 1)):
        with pytest.raises(RemoteProtocolError):
            open_beacon(other, (OURS,), NOW)
    with pytest.raises(RemoteProtocolError):
        open_beacon(datagram, (THEIRS,), NOW)


def test_one_that_is_repeated_later_is_not_believed() -> None:
    assert open_beacon(sealed(), (OURS,), NOW + DHT_PACKET_AGE_MAX_S - 1).asks
    with pytest.raises(RemoteProtocolError, match="another time"):
        open_beacon(sealed(), (OURS,), NOW + DHT_PACKET_AGE_MAX_S + 1)


def test_its_length_does_not_tell_what_is_in_it_and_fits_a_packet() -> None:
    assert len({len(sealed(location=bytes(size))) for size in range(100, 200, 7)}) == 1
    with pytest.raises(ValueError, match="fits no beacon"):
        sealed(location=bytes(1400))


def said(peers: int, seconds: float, seed: int, starts_s: float = 0.0) -> tuple[list[tuple[float, int]], list[Beacons]]:
    """Who said a beacon when, on one link where all hear all; they start within ``starts_s``."""
    rng = random.Random(seed)
    starts = [rng.uniform(0.0, starts_s) for _ in range(peers)]
    machines = [Beacons(random.Random(seed * 1000 + n), starts[n]) for n in range(peers)]
    log: list[tuple[float, int]] = []
    now = 0.0
    while now < seconds:
        now = max(now, min(max(machine.next_at, starts[n]) for n, machine in enumerate(machines)))
        for n, machine in enumerate(machines):
            is_due, asks = machine.due(now) if starts[n] <= now else (False, False)
            if is_due:
                log.append((now, n))
                for other, hearer in enumerate(machines):
                    if other != n and starts[other] <= now:
                        hearer.heard(f"peer{n}", now, asks=asks)
        now += 0.001
    return log, machines


def test_who_comes_hears_of_others_within_a_second() -> None:
    for seed in range(5):
        _, machines = said(12, 20.0, seed)
        newcomer, heard = Beacons(random.Random(seed), 20.0), set[int]()
        now = 20.0
        while now < 21.0:
            is_due, asks = newcomer.due(now)
            for n, machine in enumerate(machines):
                if is_due:
                    machine.heard("newcomer", now, asks=asks)
                if machine.due(now)[0]:
                    heard.add(n)
                    for other in machines:
                        if other is not machine:
                            other.heard(f"peer{n}", now, asks=False)
            now += 0.01
        assert len(heard) >= 8


@pytest.mark.parametrize("peers", [2, 12, 60])
def test_a_link_carries_few_beacons_however_many_peers(peers: int) -> None:
    log, machines = said(peers, 150.0, peers, starts_s=10.0)
    assert all(len(machine.peers) == peers - 1 for machine in machines)
    late = [n for at, n in log if at > 30.0]
    assert len(late) / 120.0 <= 2.6
    assert set(late) == set(range(peers))
    per_second = Counter((n, int(at)) for at, n in log)
    assert max(per_second.values()) <= 2


def test_a_flood_under_many_names_is_bounded_and_one_name_is_heard_seldom() -> None:
    machine = Beacons(random.Random(1), 0.0)
    assert sum(machine.heard(f"peer{n}", 1.0, asks=True) for n in range(3 * PEERS_MAX)) == PEERS_MAX
    assert not machine.heard("peer0", 1.1, asks=True)
    assert len(machine.peers) == PEERS_MAX


def test_whoever_falls_silent_is_forgotten() -> None:
    machine = Beacons(random.Random(1), 0.0)
    machine.heard("peer", 0.0, asks=False)
    machine.heard("other", 100.0, asks=False)
    assert set(machine.peers) == {"peer", "other"}
    machine.heard("other", 150.0, asks=False)
    assert set(machine.peers) == {"other"}


def test_asking_all_the_time_brings_an_answer_a_second_at_most() -> None:
    machine, said_at = Beacons(random.Random(2), 0.0), list[float]()
    now = 0.0
    while now < 30.0:
        machine.heard("loud", now, asks=True)
        if machine.due(now)[0]:
            said_at.append(now)
        now += 0.05
    assert len(said_at) <= 32
