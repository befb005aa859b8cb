"""Trackers and seeds that start from the swarm secret alone, and a swarm whose trackers are replaced under it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from seed import trackers as seed_trackers
from swarm.cli.roles import Running
from swarm.errors import ConflictError, NotAllowedError, NotFoundError, UnreachableError
from swarm.peer.announce import Announcer
from swarm.peer.node import PeerNode
from swarm.peer.tracker_book import TrackerBook
from swarm.secret_text import format_secret
from swarm.tracker import registry
from tests.integration.keepers import Keepers
from tests.integration.swarm_rig import contents, make_tree, run
from tests.integration.tracker_rig import until


def tracker_of(node: PeerNode) -> str:
    """The tracker that answered this peer last."""
    return node.tracker.calls.answered_last


def all_at(nodes: Sequence[PeerNode], at: Running) -> bool:
    """Whether all announce to this tracker, and it knows all of them."""
    assert at.tracker is not None
    known = {peer.peer_id for peer in at.tracker.state.presence.latest(asyncio.get_running_loop().time())}
    here = at.node.key.peer_id
    return all(tracker_of(node) == here and node.announcer.is_answered for node in nodes) and known >= {
        node.key.peer_id for node in nodes
    }


@pytest.mark.parametrize("order", [("seed", "tracker"), ("tracker", "seed")])
def test_there_is_no_order_of_starting(tmp_path: Path, order: tuple[str, str]) -> None:
    async def main() -> None:
        async with Keepers(tmp_path) as keepers:
            for role in order:
                await keepers.start(role, tracker=role == "tracker", seed=role == "seed")
            async with Keepers(tmp_path / "more", keepers.store) as others:
                others.secret = keepers.secret
                both = await others.start("both", tracker=True, seed=True)
                (producer, consumer) = await others.peers(both, 2)
                data = make_tree(tmp_path / "data", 1)
                await run(producer, "publish", path=str(data), names=["maps/roads:v1"])
                await run(consumer, "pull", ref="maps/roads:v1", directory=str(tmp_path / "out"))
                assert contents(tmp_path / "out") == contents(data)

    asyncio.run(main())


def test_all_that_start_at_once_over_nothing_make_one_swarm(tmp_path: Path) -> None:
    async def main() -> None:
        async with Keepers(tmp_path) as keepers:
            trackers, seeds = await asyncio.gather(
                asyncio.gather(*(keepers.tracker(f"tracker {number}") for number in range(3))),
                asyncio.gather(*(keepers.seed(f"seed {number}") for number in range(2))),
            )
            nodes = [*(part.node for part in trackers), *seeds]
            assert len({node.home.papers().root for node in nodes}) == 1
            await until(lambda: all(len(t.tracker.state.trackers) == 3 for t in trackers if t.tracker is not None))
            await until(lambda: len({tracker_of(node) for node in nodes}) == 1)

    asyncio.run(main())


def test_a_secret_that_does_not_fit_is_refused(tmp_path: Path) -> None:
    async def main() -> None:
        async with Keepers(tmp_path) as keepers:
            await keepers.tracker("first")
            own, keepers.secret = keepers.secret, tmp_path / "other"
            for start in (keepers.tracker, keepers.seed):
                with pytest.raises(NotFoundError, match="is not there"):
                    await start("second")
            assert not keepers.secret.exists(), "a secret was made that opens nothing"
            keepers.secret.write_text(format_secret(bytes(32)))
            for start in (keepers.tracker, keepers.seed):
                with pytest.raises(NotAllowedError, match="this secret does not open"):
                    await start("third")
            async with Keepers(tmp_path / "elsewhere") as others:
                await others.tracker("another swarm's")
                home = tmp_path / "elsewhere" / "another swarm's"
                await others.stop("another swarm's")
                keepers.secret, keepers.folder = own, home.parent
                with pytest.raises(ConflictError, match="another swarm"):
                    await keepers.tracker(home.name)

    asyncio.run(main())


def test_a_seeds_home_does_not_keep_the_secret_and_a_tracker_stays_one(tmp_path: Path) -> None:
    async def main() -> None:
        async with Keepers(tmp_path) as keepers:
            seed = await keepers.seed("seed")
            assert seed.swarm.store_key == b""
            assert seed.home.credential(time.time()).role == "seed"
            await keepers.tracker("one")
            await keepers.stop("one")
            again = await keepers.seed("one")
            assert again.swarm.store_key != b""

    asyncio.run(main())


@pytest.mark.parametrize("by", ["seed", "what trackers left in the store"])
def test_a_fresh_tracker_takes_over_when_all_others_are_dead(
    tmp_path: Path, by: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody knows it, and it knows nobody but what is in the store."""
    monkeypatch.setattr("swarm.tracker.tending.TEND_S", 0.05)
    monkeypatch.setattr("swarm.tracker.tending.LEAVE_PEERS_S", 0.05)
    if by == "seed":
        monkeypatch.setattr("swarm.tracker.registry.read_peers", lambda *_: ())

    async def main() -> None:
        async with Keepers(tmp_path) as keepers:
            old = await keepers.tracker("old")
            seed = await keepers.seed("seed")
            peers = await keepers.peers(old, 6)
            assert old.tracker is not None
            data = make_tree(tmp_path / "data", 1)
            await run(peers[0], "publish", path=str(data), names=["maps/roads:v1"])
            await until(lambda: all(node.ledger.head("maps/roads") == 1 for node in peers))
            left = old.tracker
            await until(lambda: len(left.tending.written_peers) >= 7)
            if by != "seed":
                await keepers.stop("seed")
            await keepers.kill("old", old)
            for node in [*peers, seed]:
                node.announcer.wake()
            await until(lambda: not any(node.announcer.is_answered for node in peers))
            await run(peers[1], "pull", ref="maps/roads:v1", directory=str(tmp_path / "meanwhile"))
            assert contents(tmp_path / "meanwhile") == contents(data)
            with pytest.raises(UnreachableError):
                await run(peers[2], "tag", ref="maps/roads:v1", names=["maps/roads:latest"])
            new = await keepers.tracker("new")
            nodes = [*peers, seed] if by == "seed" else peers
            await until(lambda: all_at(nodes, new))
            await run(peers[2], "tag", ref="maps/roads:v1", names=["maps/roads:latest"])
            await until(lambda: all(node.ledger.head("maps/roads") == 2 for node in peers))

    asyncio.run(main())


async def no_look(_node: PeerNode, _version: bytes) -> None:
    """In place of a look around by who is short of neighbours, which ends in a beat."""


def test_a_new_tracker_beside_an_old_one_is_told_to_all_and_moves_nobody(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At the end the old one dies unnoticed, and no beat is due for a day: a command finds the new one."""
    monkeypatch.setattr(PeerNode, "_look_around", no_look)
    # However slow the machine is, nobody asks the new one beside the old one that is slow to answer.
    for patience in ("FIRST_PATIENCE_S", "PATIENCE_S"):
        monkeypatch.setattr(f"swarm.calls.{patience}", 60.0)

    async def main() -> None:
        async with Keepers(tmp_path) as keepers:
            old = await keepers.tracker("old")
            assert old.tracker is not None
            old.tracker.state.interval_s = 86_400
            seed = await keepers.seed("seed")
            peers = await keepers.peers(old, 3)
            await asyncio.sleep(1.0)  # a tracker's age counts in whole seconds
            new = await keepers.tracker("new")
            assert new.tracker is not None
            told = new.tracker.contact
            await until(lambda: all(told in node.swarm.trackers for node in [*peers, seed]))
            await until(lambda: all(told in node.home.swarm().trackers for node in peers))
            for node in peers:
                await node.announcer.beat()
            assert {tracker_of(node) for node in peers} == {old.node.key.peer_id}
            known = new.tracker.state.presence
            await until(lambda: len(known.seeds(asyncio.get_running_loop().time())) == 1)
            monkeypatch.setattr(Announcer, "wake_soon", lambda _: None)
            for node in peers:
                node.exchange.on_tracker_left = None
            await keepers.kill("old", old)
            await run(peers[0], "ls")
            await until(lambda: all_at(peers[:1], new))

    asyncio.run(main())


def test_whoever_loses_the_channel_of_a_tracker_turns_to_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No beat is due for a day."""
    monkeypatch.setattr(PeerNode, "_look_around", no_look)
    monkeypatch.setattr("swarm.peer.announce.NEWS_SPREAD_S", 0.0)

    async def main() -> None:
        async with Keepers(tmp_path) as keepers:
            old = await keepers.tracker("old")
            assert old.tracker is not None
            old.tracker.state.interval_s = 86_400
            seed = await keepers.seed("seed")
            peers = await keepers.peers(old, 2)
            new = await keepers.tracker("new")
            await until(lambda: all(old.node.key.peer_id in node.channels.open for node in [*peers, seed]))
            await until(lambda: all(len(node.swarm.trackers) == 2 for node in [*peers, seed]))
            await asyncio.sleep(0.5)  # the beats that the new one brought about are over
            await keepers.kill("old", old)
            await until(lambda: all_at([*peers, seed], new))

    asyncio.run(main())


def test_the_secret_outlives_a_rotation_of_the_swarms_keys(tmp_path: Path) -> None:
    """Fresh homes and those of before start over a store whose CA and DHT secret have been followed by others."""

    async def main() -> None:
        async with Keepers(tmp_path) as keepers:
            first = await keepers.tracker("first")
            await keepers.seed("seed")
            await keepers.stop("seed")
            assert first.tracker is not None
            state = first.tracker.state
            for rotate in (state.keys.rotate_ca, state.keys.rotate_secret):
                await state.work(rotate, state.objects, time.time(), 0, 3600)
            state.keys_rotated.set()
            new = await keepers.tracker("new")
            seeds = [await keepers.seed("seed"), await keepers.seed("fresh seed")]
            assert new.tracker is not None
            pushes = new.tracker.state.pushes
            await until(lambda: all(seed.announcer.is_answered for seed in seeds))
            assert {seed.keyring.generation for seed in [*seeds, new.node]} == {2}
            pushes.moved("maps/roads", 1)
            await until(lambda: pushes.sent >= 2 or pushes.lost)
            assert not pushes.lost
            await until(lambda: new.node.key.peer_id in first.node.channels.open)

    asyncio.run(main())


def test_a_peer_finds_a_tracker_by_the_dht_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neighbours pass nothing on here, as those of an older version do not."""

    async def main() -> None:
        async with Keepers(tmp_path) as keepers:
            old = await keepers.tracker("old")
            (peer,) = await keepers.peers(old, 1)
            new = await keepers.tracker("new")
            assert new.tracker is not None
            await until(lambda: peer.dht.status().nodes >= 2)
            found: list[str] = []
            while new.node.key.peer_id not in found:
                found = await peer.finder.trackers()
                await asyncio.sleep(0.05)
            peer.exchange.trackers = TrackerBook(peer.access.authority)
            for channel in list(peer.channels.open.values()):
                await peer.channels.part(channel)
            await peer.announcer._meet_trackers()
            told = new.tracker.contact
            await until(lambda: told in peer.swarm.trackers)

    asyncio.run(main())


def test_a_seed_takes_over_what_another_wrote_and_either_may_die(tmp_path: Path) -> None:
    async def main() -> None:
        async with Keepers(tmp_path) as keepers:
            tracker = await keepers.tracker("tracker")
            one, two = await keepers.seed("one"), await keepers.seed("two")
            producer, consumer = await keepers.peers(tracker, 2)
            data = make_tree(tmp_path / "data", 1)
            done = await run(producer, "publish", path=str(data), names=["maps/roads:v1"])
            version = bytes.fromhex(done["version"])
            await until(lambda: all(seed.holdings.get("maps/roads", version) is not None for seed in (one, two)))
            await keepers.stop(producer.key.peer_id)
            await keepers.stop("one")
            await run(consumer, "pull", ref="maps/roads:v1", directory=str(tmp_path / "out"))
            assert contents(tmp_path / "out") == contents(data)
            (other,) = await keepers.peers(tracker, 1)
            again = await run(other, "publish", path=str(data), names=["maps/roads:v2"])
            assert (again["version"], again["new_blocks"]) == (done["version"], 0)

    asyncio.run(main())


def test_a_seed_looks_into_the_store_only_while_no_tracker_answers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(seed_trackers, "LOOK_FIRST_S", 0.01)
    looks: list[None] = []
    real = registry.read

    def read(*args: Any) -> Any:
        looks.append(None)
        return real(*args)

    monkeypatch.setattr(registry, "read", read)

    async def main() -> None:
        async with Keepers(tmp_path) as keepers:
            seed = await keepers.seed("seed")
            await until(lambda: len(looks) >= 3)
            await keepers.tracker("tracker")
            await until(lambda: seed.announcer.is_answered)
            counted = len(looks)
            await asyncio.sleep(0.2)
            assert len(looks) <= counted + 1

    asyncio.run(main())
