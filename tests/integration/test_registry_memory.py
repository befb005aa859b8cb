"""What a peer remembers of the images that registry clients asked for is bounded, and so is what it looks through."""

from __future__ import annotations

import asyncio
import hashlib
from pathlib import Path

import aiohttp
import pytest

from swarm.peer import registry_routes
from swarm.peer.node import PeerNode
from swarm.peer.registry_routes import RegistryRoutes
from swarm.peer.snapshot import Snapshot
from tests.integration.swarm_rig import Swarm


def test_images_are_bounded_by_bytes_and_a_search_in_vain_is_not_repeated(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[bytes] = []
    routes: list[RegistryRoutes] = []
    make, init = registry_routes._made, RegistryRoutes.__init__

    async def counted(snapshot: Snapshot) -> registry_routes._Image:
        made.append(snapshot.version)
        return await make(snapshot)

    def kept(self: RegistryRoutes, node: PeerNode) -> None:
        init(self, node)
        routes.append(self)

    monkeypatch.setattr(registry_routes, "_made", counted)
    monkeypatch.setattr(RegistryRoutes, "__init__", kept)

    async def main() -> None:
        source = tmp_path / "source"
        source.mkdir()
        for number in range(40):
            (source / f"{number}.txt").write_text(f"{number}")
        async with Swarm(tmp_path) as swarm:
            producer = await swarm.peer("producer")
            for number in range(4):
                (source / "0.txt").write_text(f"version {number}")
                await swarm.publish(producer, source, f"maps/roads:v{number}")
            own = next(one for one in routes if one._node is producer)
            own._images_most_bytes = 50_000
            url = f"http://{producer.agent_address}/v2/maps/roads"
            async with aiohttp.ClientSession() as session:

                async def ask(path: str) -> tuple[int, bytes]:
                    async with session.get(f"{url}/{path}") as answer:
                        return answer.status, await answer.read()

                for number in range(4):
                    assert (await ask(f"manifests/v{number}"))[0] == 200
                held = own._images.values()
                assert 1 < len(held) < 4
                assert sum(len(one.data) for one in held) <= own._images_bytes <= 50_000
                assert own._images_bytes == sum(one.size_bytes for one in held)
                # What went is found again by any of its digests, as after a start.
                gone = f"blobs/sha256:{hashlib.sha256(b'version 0').hexdigest()}"
                assert await ask(gone) == (200, b"version 0")
                made.clear()
                statuses = {(await ask(f"blobs/sha256:{number:064x}"))[0] for number in range(5)}
                statuses |= {
                    one[0] for one in await asyncio.gather(*(ask(f"manifests/sha256:{'0' * 64}") for _ in "ab"))
                }
                assert statuses == {404}
                assert len(made) <= 4
                # What is remembered is given all the same; a version that is purged is not.
                assert (await ask(f"blobs/sha256:{hashlib.sha256(b'7').hexdigest()}")) == (200, b"7")
                for version in [version for _, version in own._images]:
                    producer.access.purge("maps/roads", version)
                assert (await ask(f"manifests/{next(iter(held)).digest}"))[0] == 404

    asyncio.run(main())
