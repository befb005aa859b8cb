"""Files behind links, for clients that know no links: in order, from any place on, and with an end."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

from swarm.peer.linked import files_of
from tests.integration.swarm_rig import Swarm
from tests.integration.test_reading import all_of, opened

FILES = ("a-b/1", "dir/deep/x", "dir/f", "dir/f-1", "z")
LINKS = {
    "a": "dir",
    "a-": "dir/deep",
    "dir/self": ".",
    "dir/up": "..",
    "dir/other": "../a-b",
    "f": "dir/f",
    "nowhere": "nothing",
    "out": "a",
}
BELOW = ("deep/x", "f", "f-1")
SHOWN = {
    **{path: path for path in FILES},
    **{f"{link}/{path}": f"dir/{path}" for link in ("a", "out") for path in BELOW},
    "a-/x": "dir/deep/x",
    "dir/other/1": "a-b/1",
    "f": "dir/f",
}


def test_files_behind_links_show_once_in_order_from_any_place_on(tmp_path: Path) -> None:
    async def main() -> None:
        source = tmp_path / "source"
        for path in FILES:
            (source / path).parent.mkdir(parents=True, exist_ok=True)
            (source / path).write_text(path)
        for link, target in LINKS.items():
            os.symlink(target, source / link)
        async with Swarm(tmp_path) as swarm:
            peer = await swarm.peer("peer")
            await swarm.publish(peer, source, "maps/roads:latest")
            snapshot = await opened(peer, "maps/roads:latest")
            expected = sorted(SHOWN)
            found = [(path, file) async for path, file in files_of(snapshot)]
            assert [path for path, _ in found] == expected
            for path, file in found:
                assert await all_of(snapshot.read(file)) == SHOWN[path].encode()
            for after in [*expected, "a", "a-", "a-a", "a0", "out/", "zz"]:
                later = [path async for path, _ in files_of(snapshot, after=after)]
                assert later == [path for path in expected if path > after], after
            for directory in ("a", "dir", "out"):
                below = [path for path in expected if path.startswith(f"{directory}/")]
                assert [path async for path, _ in files_of(snapshot, directory)] == below
                for after in below:
                    later = [path async for path, _ in files_of(snapshot, directory, after)]
                    assert later == [path for path in below if path > after]

    asyncio.run(main())
