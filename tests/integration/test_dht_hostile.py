"""What a DHT node never believes, never does and never dies of: outsiders, replays, reflections, floods."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable

import pytest

from swarm import authority
from swarm.dht.batch import SignedBatch, sign_batch
from swarm.dht.keys import node_id
from swarm.dht.wire import Contact, FindNode, Found, Message, Ping, Pong, Store, Stored, WhoAreYou
from swarm.identity import PeerKey
from swarm.limits import DHT_PACKET_AGE_MAX_S, DHT_PACKET_MAX_BYTES
from swarm.records import Address
from tests.integration.dht_rig import Network, refused, taken, until

KEY = b"k" * 20
HERE = (Address("192.0.2.66", 666),)


def batch(key: PeerKey, keys: list[bytes], *, lives_s: int = 600, sequence: int = 1) -> SignedBatch:
    return sign_batch(key, HERE, keys, expires=int(time.time()) + lives_s, sequence=sequence)


# ---- who gets in ----------------------------------------------------------------------------------------------------


def test_an_outsider_and_an_invented_member_never_enter() -> None:
    async def main() -> None:
        async with Network(3) as network:
            honest = list(network.nodes)
            other_ca = authority.create(PeerKey(b"x" * 32), time.time())
            outsider, invented = await asyncio.gather(network.add(secret=b"o" * 32), network.add(ca=other_ca))
            assert not any(await asyncio.gather(invented.announce([KEY]), outsider.announce([KEY])))
            assert await honest[1].find_providers(KEY) == []
            for node in honest:
                assert node.status().nodes == 2
                assert node.records.count == 0
                for stranger in (outsider, invented):
                    assert node.table.get(node_id(network.secret, stranger.key.public)) is None
            assert outsider.status().nodes == 0

    asyncio.run(main())


def test_a_member_enters_the_table_only_when_it_answers_from_its_address() -> None:
    async def main() -> None:
        async with Network(1) as network:
            node = network.nodes[0]
            with network.stranger() as stranger:
                body = await stranger.ask(Ping(), node)
                assert isinstance(body.message, Pong)
                assert node.table.get(stranger.id) is None, "who only speaks is not there yet"
                back = stranger.read((await stranger.receive())[0])
                assert isinstance(back.message, Ping)
                assert not back.is_answer
                await until(lambda: not node._verifying)
                assert node.table.get(stranger.id) is None, "nor who does not answer"
                await stranger.enter(node)
                assert node.table.get(stranger.id) == Contact(stranger.key.public, "127.0.0.1", stranger.port)

    asyncio.run(main())


def test_an_answer_from_another_key_or_another_address_proves_nothing() -> None:
    async def main() -> None:
        async with Network(1) as network:
            node = network.nodes[0]
            with network.stranger() as stranger, network.stranger() as other:
                await stranger.ask(Ping(), node)
                back = stranger.read((await stranger.receive())[0])
                assert await refused(node, stranger, other.packet(Pong(), node.id, id=back.id, is_answer=True))
                assert await refused(node, other, stranger.packet(Pong(), node.id, id=back.id, is_answer=True))
                wrong = Found((), ())
                assert await refused(node, stranger, stranger.packet(wrong, node.id, id=back.id, is_answer=True))
                assert node.status().nodes == 0

    asyncio.run(main())


def test_a_member_that_shows_no_credential_is_asked_for_it() -> None:
    async def main() -> None:
        async with Network(1) as network:
            node = network.nodes[0]
            with network.stranger() as stranger:
                body = await stranger.ask(FindNode(KEY, True, bytes(200)), node, credential=b"")
                assert isinstance(body.message, WhoAreYou)
                assert isinstance((await stranger.ask(FindNode(KEY, True, b""), node)).message, Found)
                assert isinstance((await stranger.ask(FindNode(KEY, True, b""), node, credential=b"")).message, Found)
            with network.stranger(ca=authority.create(PeerKey(b"x" * 32), time.time())) as invented:
                assert await refused(node, invented, invented.packet(Ping(), node.id))

    asyncio.run(main())


# ---- replays and garbage --------------------------------------------------------------------------------------------


def test_a_replayed_packet_is_dropped_wherever_it_goes() -> None:
    async def main() -> None:
        async with Network(3) as network:
            one, two, three = network.nodes
            captured: list[bytes] = []
            send = two._transport.send

            def capture(datagram: bytes, peer: tuple[str, int]) -> None:
                if peer[1] == one.port:
                    captured.append(datagram)
                send(datagram, peer)

            two._transport.send = capture  # type: ignore[method-assign]
            await two.announce([KEY])
            await two.find_providers(b"n" * 20)
            await asyncio.sleep(0)
            assert len(captured) >= 3
            with network.stranger() as attacker:
                for datagram in captured:
                    assert await refused(one, attacker, datagram), "taken twice"
                    assert await refused(three, attacker, datagram), "taken by one whom it was not for"
            contact = one.table.get(two.id)
            assert contact is not None
            assert contact.port == two.port

    asyncio.run(main())


def test_a_first_ping_that_is_replayed_to_others_brings_nobody_into_a_table() -> None:
    async def main() -> None:
        async with Network(2) as network:
            one, two = network.nodes
            with network.stranger() as victim, network.stranger() as attacker:
                datagram = victim.packet(Ping(), b"")
                victim.send(datagram, one)
                for _ in range(2):  # the answer, and the question back
                    await victim.receive()
                assert await refused(one, attacker, datagram)
                attacker.send(datagram, two)
                for _ in range(2):
                    await attacker.receive()
                await until(lambda: not two._verifying)
                for node in (one, two):
                    assert node.table.get(victim.id) is None

    asyncio.run(main())


@pytest.mark.parametrize("age_s", [DHT_PACKET_AGE_MAX_S + 5, -DHT_PACKET_AGE_MAX_S - 5])
def test_old_packets_and_those_from_the_future_are_dropped(age_s: float) -> None:
    async def main() -> None:
        async with Network(1) as network:
            with network.stranger() as stranger:
                wall_ms = int((time.time() - age_s) * 1000)
                assert await refused(network.nodes[0], stranger, stranger.packet(Ping(), b"", wall_ms=wall_ms))

    asyncio.run(main())


def test_what_is_no_request_or_not_for_us_is_dropped() -> None:
    async def main() -> None:
        async with Network(1) as network:
            node = network.nodes[0]
            with network.stranger() as stranger:
                for message in (Pong(), Found((), ()), Stored(b"\1"), WhoAreYou()):
                    assert await refused(node, stranger, stranger.packet(message, node.id))
                    assert await refused(node, stranger, stranger.packet(message, node.id, is_answer=True))
                assert await refused(node, stranger, stranger.packet(Ping(), b"\xee" * 20))
                assert await refused(node, stranger, stranger.packet(FindNode(KEY, True, b""), b""))
                assert await refused(node, stranger, stranger.packet(Store(batch(stranger.key, [KEY]), KEY), b""))
                unsigned = network.stranger(key=PeerKey(b"u" * 32))
                with unsigned:
                    forged = stranger.packet(
                        Ping(), node.id, public=unsigned.key.public, credential=unsigned.credential
                    )
                    assert await refused(node, stranger, forged)

    asyncio.run(main())


def test_garbage_is_dropped_and_counted_and_the_node_lives() -> None:
    async def main() -> None:
        async with Network(2) as network:
            node = network.nodes[0]
            rng = random.Random(4)
            with network.stranger() as stranger:
                good = stranger.packet(Ping(), node.id)
                for size in (0, 1, 40, 41, 42, 300, 1200, 1201, 2000):
                    assert await refused(node, stranger, rng.randbytes(size))
                    assert await refused(node, stranger, good[:1] + rng.randbytes(size))
                for cut in range(1, len(good), 37):
                    assert await refused(node, stranger, good[:cut])
                assert await refused(node, stranger, good + b"\0")
                assert isinstance((await stranger.ask(Ping(), node)).message, Pong)
            assert await network.nodes[1].announce([KEY]) == 1

    asyncio.run(main())


# ---- reflections and floods -----------------------------------------------------------------------------------------


def test_what_goes_to_an_unproven_address_is_at_most_three_times_what_came() -> None:
    async def main() -> None:
        async with Network(20) as network:
            node, *others = network.closest(KEY, 9)
            for other in others:
                await other.announce([KEY])
            assert node.status().nodes >= 8
            requests: list[Message] = [Ping(), FindNode(KEY, True, b""), FindNode(KEY, True, bytes(200))]
            for message in requests:
                with network.stranger() as stranger:
                    datagram = stranger.packet(message, node.id)
                    before = node._transport.queued_bytes
                    sent_before = node.status().packets_received
                    stranger.send(datagram, node)
                    await taken(node, sent_before + 1)
                    answer, _ = await stranger.receive()
                    await until(lambda: not node._verifying)  # a question that is repeated would be sent by now
                    sent = node._transport.queued_bytes - before
                    pending = stranger.pending()
                    assert len(answer) + sum(map(len, pending)) <= 3 * len(datagram)
                    assert sent > 0
                    assert len(pending) <= 1, "an address that does not answer is asked back once"

    asyncio.run(main())


def test_a_proven_node_gets_whole_answers() -> None:
    async def main() -> None:
        async with Network(20) as network:
            node, *others = network.closest(KEY, 9)
            for other in others:
                await other.announce([KEY])
            with network.stranger() as stranger:
                await stranger.enter(node)
                body = await stranger.ask(FindNode(KEY, True, b""), node, credential=b"")
                assert isinstance(body.message, Found)
                assert len(body.message.contacts) >= 4
                assert len(body.message.records) >= 3

    asyncio.run(main())


def test_hosts_that_may_not_be_dialled_are_not() -> None:
    async def main() -> None:
        async with Network(3) as network:
            liar, asker = network.nodes[1:]
            sent: list[tuple[str, int]] = []
            send = asker._transport.send

            def sending(datagram: bytes, peer: tuple[str, int]) -> None:
                sent.append(peer)
                send(datagram, peer)

            asker._transport.send = sending  # type: ignore[method-assign]
            hosts = ["224.0.0.1", "0.0.0.0", "255.255.255.255", "::", "ff02::1", "example.org"]
            lies = [(b"", Contact(network.rng.randbytes(32), host, 7071)) for host in hosts]
            liar.table.closest = lambda key, count, doubtful=False: lies  # type: ignore[method-assign, misc]
            assert await asker.find_providers(KEY) == []
            assert {host for host, _ in sent} == {"127.0.0.1"}

    asyncio.run(main())


def test_nodes_that_are_made_up_end_a_lookup_and_enter_no_table() -> None:
    async def main() -> None:
        async with Network(4) as network:
            honest, liar, asker, announcer = network.nodes
            await announcer.announce([KEY])
            asked: set[int] = set()
            send = asker._transport.send

            def sending(datagram: bytes, peer: tuple[str, int]) -> None:
                asked.add(peer[1])
                send(datagram, peer)

            asker._transport.send = sending  # type: ignore[method-assign]

            def invented(key: bytes, count: int, doubtful: bool = False) -> list[tuple[bytes, Contact]]:
                port = network.rng.randrange(20_000, 30_000)
                return [(b"", Contact(network.rng.randbytes(32), "127.0.0.1", port + n)) for n in range(8)]

            liar.table.closest = invented  # type: ignore[method-assign]
            (found,) = await asker.find_providers(KEY, timeout_s=15.0)
            assert found.peer_id == announcer.key.peer_id
            assert asker.status().nodes == 3
            assert len(asked) < 70
            assert honest.status().nodes == 3

    asyncio.run(main())


def test_a_packet_is_never_longer_than_the_limit() -> None:
    async def main() -> None:
        async with Network(12) as network:
            longest = 0
            for node in network.nodes:
                send = node._transport.send

                def sending(datagram: bytes, peer: tuple[str, int], send: Callable[..., None] = send) -> None:
                    nonlocal longest
                    longest = max(longest, len(datagram))
                    send(datagram, peer)

                node._transport.send = sending  # type: ignore[method-assign]
            for node in network.nodes:
                await node.announce([KEY, *(network.rng.randbytes(20) for _ in range(60))])
            await network.nodes[0].find_providers(KEY)
            assert 1000 < longest <= DHT_PACKET_MAX_BYTES

    asyncio.run(main())
