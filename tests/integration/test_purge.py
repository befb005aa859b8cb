"""Purging: a version goes from the object store, from seeds and from peers, for good, and who has obeyed is told."""

from __future__ import annotations

import asyncio
import shutil
import threading
import time
from pathlib import Path

import pytest

from seed.check import Checker
from seed.histories import collector
from swarm import names
from swarm.cli.roles import take_orders
from swarm.encoding import Encoded, encode_block
from swarm.errors import ConflictError, NotAllowedError, RemoteProtocolError
from swarm.identity import PeerKey
from swarm.manifest import Manifest
from swarm.peer import look_verbs, purging
from swarm.peer.agent import start_peer
from swarm.peer.channels import Channel
from swarm.peer.node import PeerNode
from swarm.peer.pull import manifest_of
from swarm.peer.wire import Message, Ordered
from swarm.roster import OnlineKey, appointed
from swarm.signature import signature_of
from swarm.tracker import custody, forecasts, orders, sealed
from swarm.tracker.figures import keeping
from swarm.tracker.orders import Purge, purge_key
from tests.integration.kept_rollouts import rollout_log, rollouts_kept
from tests.integration.swarm_rig import Swarm, contents, make_tree, run

ROADS = "maps/roads"


def own_blocks(manifest: Manifest, other: Manifest) -> set[bytes]:
    """The blocks that only one of two versions has."""
    return {block.signature for block in manifest.unique} - {block.signature for block in other.unique}


def has_any(node: PeerNode, blocks: set[bytes]) -> bool:
    return any(node.store.has(one) for one in blocks)


async def read(node: PeerNode, ref: str) -> bytes:
    return b"".join([part async for part in look_verbs.cat(node, ref)])


async def manifest(node: PeerNode, ref: str) -> Manifest:
    return (await manifest_of(node, await node.finder.resolve(names.parse(ref))))[0]


async def confirmed(admin: PeerNode, ref: str, everybody: set[str]) -> list[str]:
    """Wait until all of these have confirmed: who has not."""
    async with asyncio.timeout(20):
        while True:
            told = await run(admin, "purge", ref=ref, status=True)
            if everybody <= set(told["confirmed"]):
                return list(told["unconfirmed"])
            await asyncio.sleep(0.1)


async def check_refused(node: PeerNode, ref: str, folder: Path) -> None:
    """Nobody brings a purged version back."""
    for verb, arguments in (
        ("pull", {"ref": ref, "directory": str(folder / "again")}),
        ("tag", {"ref": ref, "names": [f"{ROADS}:again"]}),
        ("rollback", {"name": f"{ROADS}:latest", "to": 1}),
        ("publish", {"path": str(folder / "first"), "names": [f"{ROADS}:again"]}),
    ):
        with pytest.raises(NotAllowedError, match="was purged by order"):
            await run(node, verb, **arguments)


def test_a_version_goes_everywhere_and_does_not_come_back(tmp_path: Path) -> None:
    data = make_tree(tmp_path / "data", 1)
    shutil.copytree(data, tmp_path / "first")

    async def main() -> None:
        async with Swarm(tmp_path / "swarm") as swarm:
            admin = await swarm.peer("admin", role="tracker")
            swarm.tracker.state.on_order = admin.purging.take
            producer, reader, other = [await swarm.peer(name) for name in ("producer", "reader", "other")]
            first = (await swarm.publish(producer, data, f"{ROADS}:latest"))["version"]
            bad = f"{ROADS}@{first}"
            await swarm.pull(reader, bad, tmp_path / "pulled")
            # Without a directory: its blocks lie in its own store.
            await read(other, f"{bad}/large.bin")
            (data / "large.bin").write_bytes(b"harmless" * 400_000)
            await swarm.publish(producer, data, f"{ROADS}:latest")
            own = own_blocks(await manifest(reader, bad), await manifest(reader, f"{ROADS}:latest"))
            assert own and all(has_any(node, own) for node in (reader, other))
            away = await swarm.peer("away")
            await swarm.stop(away)
            logs = rollouts_kept(swarm, first)

            await run(admin, "tag", ref=bad, names=[f"{ROADS}:old"])
            with pytest.raises(ConflictError, match="maps/roads has this version under old: "):
                await run(admin, "purge", ref=bad)
            await run(admin, "rm", names=[f"{ROADS}:old"])
            with pytest.raises(NotAllowedError, match="may not administrate maps/roads"):
                await run(reader, "purge", ref=bad)
            told = await run(admin, "purge", ref=bad, reason="court order 7")
            assert (told["version"], told["reason"]) == (first, "court order 7")
            authority = swarm.tracker.state.keys.authority.trust
            report = await asyncio.to_thread(collector(swarm.objects, authority).purge, time.time())
            assert report.removed_versions == 1
            lying = b"".join(swarm.objects.get(key) for key in swarm.objects.list("packs/"))
            assert (tmp_path / "pulled" / "large.bin").read_bytes()[:4096] not in lying
            await asyncio.to_thread(collector(swarm.objects, authority).run, time.time(), 0)
            assert Checker(swarm.objects, authority).run(time.time()).is_whole
            assert not keeping.write(swarm.objects, rollout_log(3, bytes.fromhex(first)))
            assert (swarm.objects.list(keeping.PREFIX), forecasts.read(swarm.objects, ROADS)) == ([logs[1]], {})

            nodes = (admin, producer, reader, other, swarm.seed)
            left = await confirmed(admin, bad, {node.key.peer_id for node in nodes})
            assert away.key.peer_id in left
            for node in nodes:
                assert not has_any(node, own)
                assert node.holdings.get(ROADS, bytes.fromhex(first)) is None

            await check_refused(reader, bad, tmp_path)
            # Who was away learns it from its neighbours, and says so.
            back = await start_peer(away.settings)
            try:
                await confirmed(admin, bad, {back.key.peer_id})
                assert back.access.is_purged(ROADS, bytes.fromhex(first))
            finally:
                await back.close()
            fresh = await swarm.peer("fresh")
            await swarm.pull(fresh, f"{ROADS}:latest", tmp_path / "latest")
            assert contents(tmp_path / "latest") == contents(data)

    asyncio.run(main())


def test_only_a_tracker_orders(tmp_path: Path) -> None:
    data = make_tree(tmp_path / "data", 1)

    async def main() -> None:
        async with Swarm(tmp_path / "swarm") as swarm:
            producer = await swarm.peer("producer")
            version = bytes.fromhex((await swarm.publish(producer, data, f"{ROADS}:latest"))["version"])
            forged = sealed.seal(PeerKey(b"m" * 32), Purge(1, ROADS, version, b"m" * 32, "", 7))
            with pytest.raises(RemoteProtocolError, match="proves nothing"):
                producer.purging.take(forged)
            assert not producer.access.is_purged(ROADS, version)

    asyncio.run(main())


def test_an_order_under_a_key_not_heard_of_yet_stops_nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A seed starts over it and over garbage, a neighbour that tells it is not banned, and it counts once the key is
    known.
    """
    monkeypatch.setattr(purging, "AGAIN_S", 0.05)

    async def main() -> None:
        async with Swarm(tmp_path / "swarm") as swarm:
            ca, new = swarm.tracker.state.keys.authority, PeerKey(b"n" * 32)
            now = int(time.time())
            root, roster = custody.root_here(swarm.objects, swarm._store_key), ca.trust.roster
            following = OnlineKey(new.public, b"", now, now + 86_400, now + 86_400, False)
            link = custody.sealed_roster(root, appointed(roster, [following], root.public, now))
            order = sealed.seal(new, Purge(1, ROADS, b"v" * 32, b"m" * 32, "", now))
            swarm.objects.put(purge_key((ROADS, b"v" * 32)), order)
            swarm.objects.put(purge_key((ROADS, b"w" * 32)), b"garbage")
            await swarm.stop(swarm.seed)
            await swarm.start_seed("second")
            teller, seed = await swarm.peer("teller"), swarm.seed
            teller.resolver.learn(seed.key.peer_id, seed.addresses())
            channel = await teller.channels.connect(seed.key.peer_id)
            heard = asyncio.Event()
            take = seed.exchange.on_order
            assert take is not None and channel is not None

            def noted(order: bytes, source: str) -> None:
                heard.set()
                take(order, source)

            seed.exchange.on_order = noted
            channel.send(Ordered(order))
            async with asyncio.timeout(20):
                await heard.wait()
            await asyncio.sleep(0)
            assert not seed.channels.is_banned(teller.key.peer_id)
            assert not seed.access.is_purged(ROADS, b"v" * 32)
            assert seed.access.authority.learn([link])
            async with asyncio.timeout(20):
                while not seed.access.is_purged(ROADS, b"v" * 32):
                    await asyncio.sleep(0.02)

    asyncio.run(main())


def ordered(swarm: Swarm, version: bytes) -> bytes:
    """An order of the swarm's own, as it lies in the object store."""
    order = sealed.seal(swarm.tracker.state.keys.authority.key, Purge(1, ROADS, version, b"m" * 32, "", 7))
    swarm.objects.put(purge_key((ROADS, version)), order)
    return order


def who_confirmed(swarm: Swarm, version: bytes) -> list[str]:
    return orders.confirmed(swarm.objects, (ROADS, version))


async def is_confirmed(swarm: Swarm, node: PeerNode, version: bytes) -> None:
    async with asyncio.timeout(20):
        # The tracker has written it before its answer is here.
        while node.purging._confirmed != {(ROADS, version)}:
            await asyncio.sleep(0.02)
    assert node.key.peer_id in who_confirmed(swarm, version)


def test_a_process_with_a_tracker_obeys_what_was_ordered_while_it_did_not_run(tmp_path: Path) -> None:
    """It reads the store; who has no tracker hears of it from neighbours. What proves nothing stops no start."""

    async def main() -> None:
        async with Swarm(tmp_path / "swarm") as swarm:
            version, block = b"v" * 32, signature_of(b"bad")
            ordered(swarm, version)
            swarm.objects.put(purge_key((ROADS, b"w" * 32)), b"garbage")
            node = await swarm.peer("hub", role="tracker")
            node.blocks.put(block, encode_block(b"bad"))
            assert not node.access.is_purged(ROADS, version)
            await take_orders(node, swarm.tracker)
            assert node.access.is_purged(ROADS, version)
            await is_confirmed(swarm, node, version)
            assert not node.blocks.has(block)

    asyncio.run(main())


def test_a_purge_survives_the_end_of_the_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ended before it was obeyed: that is done at the next start; and once it is confirmed, no more after that."""

    async def main() -> None:
        async with Swarm(tmp_path / "swarm") as swarm:
            node = await swarm.peer("peer")
            version, block = b"v" * 32, signature_of(b"bad")
            node.blocks.put(block, encode_block(b"bad"))
            with monkeypatch.context() as stopped:
                stopped.setattr(node.purging, "_remove", lambda blocks: time.sleep(0.2))
                stopped.setattr(node.tracker, "tell", never)
                node.purging.take(ordered(swarm, version))
                await asyncio.sleep(0)
                await swarm.stop(node)
            assert node.key.peer_id not in who_confirmed(swarm, version)
            back = await start_peer(node.settings)
            try:
                assert back.access.is_purged(ROADS, version)
                await is_confirmed(swarm, back, version)
                assert not back.blocks.has(block), "no manifest says whose block it is: it goes"
            finally:
                await back.close()
            again = await start_peer(node.settings)
            try:
                assert again.purging._confirmed == {(ROADS, version)}
            finally:
                await again.close()

    asyncio.run(main())


async def never(*_: object) -> None:
    await asyncio.Event().wait()


def test_known_orders_cost_no_news_and_a_neighbour_is_told_some(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def main() -> None:
        async with Swarm(tmp_path / "swarm") as swarm:
            node, other = await swarm.peer("peer"), await swarm.peer("other")
            known = [ordered(swarm, bytes([n // 256, n % 256]) * 16) for n in range(300)]
            node.purging.take_all(known)
            node.resolver.learn(other.key.peer_id, other.addresses())
            channel = await node.channels.connect(other.key.peer_id)
            assert channel is not None
            told: list[Message] = []
            with monkeypatch.context() as caught:
                caught.setattr(Channel, "send", lambda _, message: told.append(message))
                node.purging.opened(channel)
            assert len(told) == purging.TOLD_MAX
            for order in known:
                node.exchange.received(channel, Ordered(order))
            fresh = ordered(swarm, b"f" * 32)
            node.exchange.received(channel, Ordered(fresh))
            assert node.access.is_purged(ROADS, b"f" * 32)

    asyncio.run(main())


def test_who_reads_a_version_while_it_is_purged_is_refused_and_leaves_nothing_of_it(tmp_path: Path) -> None:
    """Confirmed is what stays true: a reader in mid-file, as one over HTTP is, brings nothing back."""
    data = make_tree(tmp_path / "data", 1, large_bytes=24_000_000)

    async def main() -> None:
        async with Swarm(tmp_path / "swarm") as swarm:
            producer, reader = await swarm.peer("producer"), await swarm.peer("reader")
            version = bytes.fromhex((await swarm.publish(producer, data, f"{ROADS}:latest"))["version"])
            bad = await manifest(producer, f"{ROADS}:latest")
            snapshot = await reader.snapshots.open(names.parse(f"{ROADS}:latest"))
            file = await snapshot.look("large.bin")
            assert file is not None
            parts = snapshot.read(file)
            await anext(parts)
            reader.purging.take(ordered(swarm, version))
            await is_confirmed(swarm, reader, version)
            with pytest.raises(NotAllowedError, match="was purged"):
                await anext(parts)
            with pytest.raises(NotAllowedError, match="was purged"):
                await anext(snapshot.read(file, 20_000_000))
            with pytest.raises(NotAllowedError, match="was purged"):
                await snapshot.look("t.csv")
            await asyncio.sleep(0.3)  # for what would be on its way behind our back
            assert not has_any(reader, {bad.version, *bad.segments, *(block.signature for block in bad.unique)})

    asyncio.run(main())


def test_nothing_is_confirmed_while_a_reader_still_keeps_a_block(tmp_path: Path) -> None:
    data = make_tree(tmp_path / "data", 1)

    async def main() -> None:
        async with Swarm(tmp_path / "swarm") as swarm:
            producer, reader = await swarm.peer("producer"), await swarm.peer("reader")
            version = bytes.fromhex((await swarm.publish(producer, data, f"{ROADS}:latest"))["version"])
            bad = await manifest(producer, f"{ROADS}:latest")
            snapshot = await reader.snapshots.open(names.parse(f"{ROADS}:latest"))
            file = await snapshot.look("large.bin")
            assert file is not None
            put, begun, may_go_on = reader.store.put, threading.Event(), threading.Event()

            def slow(signature: bytes, encoded: Encoded) -> None:
                begun.set()
                may_go_on.wait()
                put(signature, encoded)

            reader.store.put = slow  # type: ignore[method-assign]
            # The block that is held up may come before the one that is read first.
            parts = snapshot.read(file)
            reading = asyncio.ensure_future(anext(parts))
            await asyncio.to_thread(begun.wait)
            reader.purging.take(ordered(swarm, version))
            await asyncio.sleep(0.3)
            is_early = bool(reader.purging._confirmed)
            may_go_on.set()
            await asyncio.gather(reading, return_exceptions=True)
            await is_confirmed(swarm, reader, version)
            assert not is_early
            assert not has_any(reader, {bad.version, *bad.segments, *(block.signature for block in bad.unique)})

    asyncio.run(main())
