"""Neighbour exchange passes on only what members have signed; older peers are not sent what they do not know."""

from __future__ import annotations

import asyncio
import random
import sys
import time
from types import SimpleNamespace
from typing import Any, cast

import pytest

from swarm import clock
from swarm.errors import RemoteProtocolError
from swarm.http.resolver import PeerResolver
from swarm.identity import PeerKey
from swarm.peer import channels, meeting
from swarm.peer.access import Access, Caller
from swarm.peer.channels import TOLD_BURST, Channel, Channels
from swarm.peer.meeting import Meeting
from swarm.peer.mesh import Mesh
from swarm.peer.sites import Sites
from swarm.peer.steps import ANY
from swarm.peer.tasks import Tasks
from swarm.peer.traffic import Traffic
from swarm.peer.wire import Heads, Here, Indifferent, Message, Neighbours, WhoElse
from swarm.records import Address, Credential, Location, seal, seal_location
from swarm.trust import Trust

AUTHORITY, STRANGER = PeerKey(b"a" * 32), PeerKey(b"s" * 32)
KEYS = [PeerKey(bytes([number]) * 32) for number in range(1, 40)]
WALL = 0  # of each test, when it begins


@pytest.fixture(autouse=True)
def wall(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is signed in a test is as old as the test, however long others took before it."""
    monkeypatch.setattr(sys.modules[__name__], "WALL", int(time.time()))


@pytest.fixture(autouse=True)
def standing_clocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is the time of when this file was read, however long ago that is, and no time passes: none that would let more
    in than a burst.
    """
    now = time.monotonic()
    monkeypatch.setattr(clock, "wall_now", lambda: WALL + 0.5)
    for module in (meeting, channels):
        monkeypatch.setattr(module, "time", SimpleNamespace(monotonic=lambda: now))


def location_of(
    key: PeerKey,
    *,
    signer: PeerKey | None = None,
    authority: PeerKey = AUTHORITY,
    age_s: int = 0,
    life_s: int = 900,
) -> bytes:
    issued = WALL - age_s
    credential = seal(authority, Credential(1, key.public, "peer", "", WALL - 10, WALL + 3600))
    where = Location(1, (Address("192.0.2.1", 7071),), issued, issued + life_s)
    return seal_location(signer or key, credential, where)


class Rig:
    """A meeting without a network: channels are put in by hand."""

    def __init__(self) -> None:
        access, self.resolver, sites = Access(Trust(AUTHORITY.public)), PeerResolver(), Sites("")
        self.channels = Channels(
            KEYS[0].peer_id, cast(Any, None), access, cast(Any, None), self.resolver, cast(Any, None), sites
        )
        self.mesh = Mesh(KEYS[0].peer_id, random.Random(0))

        async def look(version: bytes) -> None:
            pass

        self.meeting = Meeting(
            self.mesh,
            self.channels,
            access,
            sites,
            Traffic(),
            Tasks(),
            lambda: (Address("192.0.2.9", 1),),
            lambda: location_of(KEYS[0]),
            look,
        )

    def open(self, key: PeerKey, *, version: int = 2) -> Channel:
        caller = Caller(key.peer_id, None)
        channel = Channel(key.peer_id, cast(Any, None), False, caller, "peer", version=version)
        self.channels.open[key.peer_id] = channel
        self.meeting.opened(channel)
        return channel


def sent(channel: Channel) -> list[Message | None]:
    return [channel.outbox.get_nowait() for _ in range(channel.outbox.qsize())]


def test_who_asks_is_told_what_others_signed_of_themselves() -> None:
    async def main() -> None:
        rig = Rig()
        asker, other = rig.open(KEYS[1]), rig.open(KEYS[2])
        rig.open(KEYS[3])  # has not said where it is
        rig.meeting.received(other, Here(location_of(KEYS[2])))
        sent(asker)
        rig.meeting.received(asker, WhoElse(ANY))
        assert sent(asker) == [Neighbours(ANY, (location_of(KEYS[2]),))]
        rig.meeting.received(asker, WhoElse(ANY))
        assert sent(asker) == [], "asked again at once"

    asyncio.run(main())


def test_who_holds_a_version_is_told_only_to_who_may_read_it() -> None:
    async def main() -> None:
        rig = Rig()
        version = b"v" * 32
        asker, other = rig.open(KEYS[1]), rig.open(KEYS[2])
        rig.meeting.received(other, Here(location_of(KEYS[2])))
        rig.mesh.needs(KEYS[2].peer_id, version)
        sent(asker)
        rig.meeting.received(asker, WhoElse(version))
        assert sent(asker) == []
        asker.interests[version] = "library/roads"  # the exchange has checked that it may
        rig.meeting.received(asker, WhoElse(version))
        assert sent(asker) == [Neighbours(version, (location_of(KEYS[2]),))]

    asyncio.run(main())


def test_only_what_members_say_of_themselves_is_taken() -> None:
    async def main() -> None:
        rig = Rig()
        teller = rig.open(KEYS[1])
        good = location_of(KEYS[2])
        locations = (
            location_of(KEYS[3], signer=STRANGER),
            location_of(KEYS[4], authority=STRANGER),
            location_of(KEYS[5], age_s=100, life_s=50),
            location_of(KEYS[6], life_s=10**9),
            location_of(KEYS[7], age_s=-10_000),
            b"garbage",
            good,
        )
        rig.meeting.received(teller, Neighbours(ANY, locations))
        assert list(rig.mesh.candidates) == [KEYS[2].peer_id]
        assert rig.resolver.addresses_of(KEYS[2].peer_id) == (Address("192.0.2.1", 7071),)
        for key in KEYS[3:8]:
            assert rig.resolver.addresses_of(key.peer_id) == ()

    asyncio.run(main())


def test_what_one_neighbour_tells_is_looked_at_at_a_bounded_rate() -> None:
    async def main() -> None:
        rig = Rig()
        teller = rig.open(KEYS[1])
        for key in KEYS[2:30]:
            rig.meeting.received(teller, Neighbours(ANY, (location_of(key),)))
        assert len(rig.mesh.candidates) == TOLD_BURST

    asyncio.run(main())


def test_who_says_of_another_where_it_is_is_blamed() -> None:
    async def main() -> None:
        rig = Rig()
        with pytest.raises(RemoteProtocolError):
            rig.meeting.received(rig.open(KEYS[1]), Here(location_of(KEYS[2])))

    asyncio.run(main())


def test_what_a_neighbour_tells_does_not_replace_what_was_heard_later() -> None:
    resolver = PeerResolver()
    old, new = (Address("192.0.2.1", 1),), (Address("192.0.2.2", 2),)
    resolver.learn("p", new)
    resolver.learn("p", old, WALL - 50)
    assert resolver.addresses_of("p") == new
    resolver.learn("q", old, WALL - 50)
    resolver.learn("q", new, WALL - 40)
    assert resolver.addresses_of("q") == new


def test_a_peer_of_version_1_is_not_sent_what_it_does_not_know() -> None:
    async def main() -> None:
        rig = Rig()
        old, new = rig.open(KEYS[1], version=1), rig.open(KEYS[2])
        for channel in (old, new):
            channel.send(Heads((), True))
            channel.send(Indifferent(b"v" * 32))
        assert [type(message) for message in sent(old)] == [Indifferent]
        assert [type(message) for message in sent(new)] == [Here, Heads, Indifferent]

    asyncio.run(main())
