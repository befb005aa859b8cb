"""A store restored from a backup that is older than what the swarm knows: the swarm goes on, and gives it back."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from seed.backup import Copy
from seed.node import start_seed
from swarm.errors import NotFoundError
from swarm.home import Home
from swarm.identity import PeerKey
from swarm.objects.folder import FolderObjectStore
from swarm.peer.node import PeerNode
from swarm.tracker.members import MEMBERS
from swarm.tracker.server import Tracker
from tests.integration.swarm_rig import Swarm, contents, make_tree, run
from tests.integration.test_rotation import until

KEY = PeerKey(os.urandom(32))


class Restored(Swarm):
    """A swarm whose tracker keeps its key and port, so that peers find it again over another store."""

    port = 0

    async def start_tracker(self) -> None:
        self.tracker = await Tracker.start(self.objects, self._store_key, KEY, "127.0.0.1", self.port)
        self.port = self.tracker.port
        self._stack.push_async_callback(self.stop, self.tracker)

    async def move_to(self, objects: FolderObjectStore) -> None:
        """The old store is lost; tracker and seed go on over another one."""
        await self.stop(self.seed)
        await self.stop(self.tracker)
        # At once, so that nothing that is still written comes into the way.
        (self.folder / "objects").rename(self.folder / "lost")
        self.objects = objects
        await self.start_tracker()
        self.seed = await start_seed(self.settings(Home(self.folder / "seed")), objects)
        self._stack.push_async_callback(self.stop, self.seed)


@asynccontextmanager
async def restored(folder: Path) -> AsyncIterator[tuple[Restored, PeerNode, PeerNode]]:
    """A swarm over a backup that knows ``roads:v1``; its peers know ``roads:v2`` and more."""
    one, two = make_tree(folder / "one", 1), make_tree(folder / "two", 2)
    backup = FolderObjectStore(folder / "backup")
    async with Restored(folder) as swarm:
        producer, peer = await swarm.peer("producer"), await swarm.peer("peer")
        await swarm.publish(producer, one, "roads:v1", "roads:latest")
        Copy(swarm.objects, backup).run(verify=True)
        await swarm.publish(producer, two, "roads:v2", "roads:latest")
        await swarm.publish(producer, one, "rivers:v1")
        await swarm.pull(peer, "roads:latest", folder / "before")
        await until(
            "the peer knows all", lambda: peer.ledger.heads() == {"library/roads": 2, "library/rivers": 1}, peer
        )
        assert [len(backup.list(f"datasets/library/{name}/log/")) for name in ("roads", "rivers")] == [1, 0]
        await swarm.move_to(backup)
        yield swarm, producer, peer


def test_the_swarm_goes_on_and_the_logs_get_back_what_they_lack(tmp_path: Path) -> None:
    async def main() -> None:
        async with restored(tmp_path) as (swarm, producer, peer):
            found = await swarm.pull(peer, "roads:latest", tmp_path / "after")
            assert found["serial"] == 2, "what it asks for is mended at once"
            catalogue = swarm.tracker.state.catalogue
            assert catalogue.head("library/roads").serial == 2

            def has_rivers() -> bool:
                try:
                    return catalogue.head("library/rivers").serial == 1
                except NotFoundError:
                    return False

            await until("a heartbeat mends the rest", has_rivers, producer, peer)
            late = await swarm.peer("late")
            await swarm.pull(late, "roads:v2", tmp_path / "late-out")
            assert contents(tmp_path / "late-out") == contents(tmp_path / "two"), "the seed lacks it, and peers hold it"
            published = await swarm.publish(late, tmp_path / "one", "roads:v3")
            assert published["serial"] == 3
            await swarm.pull(peer, "roads:v3", tmp_path / "peer-v3")
            await swarm.pull(producer, "roads:v1", tmp_path / "producer-v1")

    asyncio.run(main())


def test_who_publishes_first_does_not_part_the_log_from_its_peers(tmp_path: Path) -> None:
    async def main() -> None:
        async with restored(tmp_path) as (swarm, producer, peer):
            published = await swarm.publish(producer, tmp_path / "one", "roads:v3")
            assert published["serial"] == 3
            moved = await run(peer, "tag", ref="roads:v2", names=["roads:stable"])
            assert moved["serial"] == 4
            entries = await producer.tracker.log("library/roads")
            assert [sorted(move.tag for move in entry.moves) for _, entry in entries] == [
                ["latest", "v1"],
                ["latest", "v2"],
                ["v3"],
                ["stable"],
            ]

    asyncio.run(main())


@pytest.mark.parametrize("is_removed", [False, True])
def test_who_joined_after_the_backup_is_still_a_member_unless_removed(tmp_path: Path, is_removed: bool) -> None:
    async def main() -> None:
        backup = FolderObjectStore(tmp_path / "backup")
        async with Restored(tmp_path) as swarm:
            Copy(swarm.objects, backup).run()
            member = await swarm.peer("member", datasets=["maps/*"])
            record = MEMBERS + member.key.peer_id
            with pytest.raises(NotFoundError):
                backup.get(record)
            if is_removed:
                backup.put_if_absent(f"swarm/removed/{member.key.peer_id}", b"")
            await swarm.move_to(backup)
            if is_removed:
                member.announcer.wake()
                await until("it is refused", lambda: "not a member" in member.announcer.tracker_state, member)
                with pytest.raises(NotFoundError):
                    backup.get(record)
                return
            before = swarm.tracker.state.members
            await until("it is known", lambda: before.member(member.key.peer_id) is not None, member)
            known = before.member(member.key.peer_id)
            assert known is not None and known.datasets == ("maps/*",)
            await until("it is answered", lambda: member.announcer.tracker_state == "answers", member)

    asyncio.run(main())
