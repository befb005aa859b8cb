"""Lies about who has what: providers that are made up, records that are old, batches that nobody signed so."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

import pytest

from swarm.dht.batch import Record, SignedBatch, path_of, sign_batch, tree_of
from swarm.dht.wire import Message, Ping, Store, Stored
from swarm.identity import PeerKey
from swarm.limits import DHT_RECORD_LIFETIME_S
from swarm.records import Address
from tests.integration.dht_rig import Network, refused

KEY = b"k" * 20
HERE = (Address("192.0.2.66", 666),)


def batch(key: PeerKey, keys: list[bytes], *, lives_s: int = 600, sequence: int = 1) -> SignedBatch:
    return sign_batch(key, HERE, keys, expires=int(time.time()) + lives_s, sequence=sequence)


def _invented(network: Network, liar: PeerKey) -> list[Record]:
    """Records that no provider signed for KEY now."""
    honest = PeerKey(b"h" * 32)
    other = batch(honest, [b"o" * 20, b"p" * 20])
    ours = batch(liar, [KEY])
    tampered = batch(honest, [KEY])
    return [
        Record(other, 0, path_of(tree_of([b"o" * 20, b"p" * 20]), 0)),  # moved from another key
        Record(SignedBatch(tampered.body, ours.seal), 0, ()),  # another's seal
        Record(SignedBatch(tampered.body, bytes(64)), 0, ()),  # no seal
        Record(SignedBatch(tampered.body.replace(b"192.0.2.66", b"192.0.2.99"), tampered.seal), 0, ()),  # altered
        Record(batch(honest, [KEY], lives_s=-10), 0, ()),  # run out
        Record(batch(honest, [KEY], lives_s=DHT_RECORD_LIFETIME_S + 3600), 0, ()),  # far in the future
        Record(SignedBatch(b"garbage", bytes(64)), 0, ()),
    ]


def test_a_lying_node_cannot_make_a_provider_up() -> None:
    async def main() -> None:
        async with Network(3) as network:
            liar, asker = network.nodes[1:]
            lies = _invented(network, liar.key)
            for start in range(0, len(lies), 2):
                told = lies[start : start + 2]
                liar.records.find = lambda key, wall_now, rng, limit, told=told: told  # type: ignore[method-assign, misc]
                before = asker.status().dropped
                assert await asker.find_providers(KEY) == []
                assert asker.status().dropped >= before + len(told)
            honest = Record(batch(PeerKey(b"h" * 32), [KEY]), 0, ())
            liar.records.find = lambda key, wall_now, rng, limit: [honest]  # type: ignore[method-assign]
            assert len(await asker.find_providers(KEY)) == 1, "the same, signed and in force, is believed"

    asyncio.run(main())


def test_an_old_record_does_not_take_the_place_of_a_newer_one() -> None:
    async def main() -> None:
        async with Network(4) as network:
            provider = PeerKey(b"h" * 32)
            old = sign_batch(provider, HERE, [KEY], expires=int(time.time()) + 600, sequence=1)
            new = sign_batch(provider, (Address("192.0.2.1", 1),), [KEY], expires=int(time.time()) + 600, sequence=2)
            tell: list[Callable[..., list[Record]]] = [
                lambda key, wall_now, rng, limit: [Record(old, 0, ())],
                lambda key, wall_now, rng, limit: [Record(new, 0, ())],
                lambda key, wall_now, rng, limit: [Record(old, 0, ())],
            ]
            for node, told in zip(network.nodes[:3], tell, strict=True):
                node.records.find = told  # type: ignore[method-assign]
            (found,) = await network.nodes[3].find_providers(KEY)
            assert found.addresses == (Address("192.0.2.1", 1),)

    asyncio.run(main())


@pytest.mark.parametrize(
    "make",
    [
        lambda me, other: Store(batch(other, [KEY]), KEY),
        lambda me, other: Store(batch(me, [KEY]), b"o" * 20),
        lambda me, other: Store(batch(me, [KEY]), KEY + b"o" * 20),
        lambda me, other: Store(batch(me, [KEY]), KEY + b"odd"),
        lambda me, other: Store(SignedBatch(batch(me, [KEY]).body, bytes(64)), KEY),
        lambda me, other: Store(batch(me, [KEY], lives_s=-1), KEY),
        lambda me, other: Store(batch(me, [KEY], lives_s=DHT_RECORD_LIFETIME_S + 3600), KEY),
        lambda me, other: Store(SignedBatch(b"garbage", bytes(64)), KEY),
    ],
    ids=["another's", "other keys", "more keys", "odd keys", "unsigned", "run out", "from the future", "garbage"],
)
def test_a_batch_that_its_sender_did_not_sign_as_it_is_is_not_kept(make: Callable[..., Message]) -> None:
    async def main() -> None:
        async with Network(1) as network:
            node = network.nodes[0]
            with network.stranger() as stranger:
                await stranger.ask(Ping(), node)
                await stranger.receive()  # it asks back
                assert await refused(node, stranger, stranger.packet(make(stranger.key, PeerKey(b"p" * 32)), node.id))
                assert node.records.count == 0
                body = await stranger.ask(Store(batch(stranger.key, [KEY]), KEY), node, credential=b"")
                assert body.message == Stored(b"\1")

    asyncio.run(main())
