"""Keep rules, pins and gc over a real swarm: what is kept can be read, the rest is gone, and who comes back is told."""

from __future__ import annotations

import asyncio
import random
import time
from pathlib import Path

import pytest

from seed.collect import Report
from seed.histories import collector
from swarm import claims
from swarm.errors import ConflictError, FullError, NotAllowedError, NotFoundError
from swarm.limits import MIB
from swarm.peer import pull
from swarm.peer.node import PeerNode
from tests.integration.swarm_rig import Swarm, contents, make_tree, run

DAY_S = 86_400.0


async def gc(swarm: Swarm, *, wall_now: float | None = None, grace_s: float = 0.0) -> Report:
    found = collector(swarm.objects, swarm.tracker.state.keys.authority.trust)
    return await asyncio.to_thread(found.run, wall_now or time.time(), grace_s, 64 * MIB)


async def published(swarm: Swarm, producer: PeerNode, root: Path, count: int) -> list[str]:
    """Versions of one dataset under one tag, which share most of their blocks; the first one last but for its own."""
    found = []
    for number in range(count):
        (root / "large.bin").write_bytes(number.to_bytes(4, "big") * 300_000)
        (root / "small").write_text(str(number))
        result = await swarm.publish(producer, root, "maps/roads:latest")
        found.append(result["version"])
    return found


def test_what_the_rule_keeps_is_read_and_the_rest_is_gone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pull, "GONE_STALL_S", 0.5)
    data = make_tree(tmp_path / "data", 1)

    async def main() -> None:
        async with Swarm(tmp_path / "swarm") as swarm:
            producer = await swarm.peer("producer")
            versions = await published(swarm, producer, data, 4)
            await swarm.stop(producer)
            assert (await gc(swarm)).condemned_versions == 0
            other = await swarm.peer("other")
            await run(other, "pin", ref=f"maps/roads@{versions[0]}")
            rule = await run(other, "keep", name="maps/roads", last=2)
            assert (rule["last"], rule["pinned"]) == (2, [versions[0]])
            assert (await run(other, "inspect", ref="maps/roads"))["keep"] == rule
            report = await gc(swarm)
            assert (report.removed_versions, report.live_versions) == (1, 3)
            await swarm.stop(swarm.seed)
            await swarm.start_seed("another seed")
            for number in (0, 2, 3):
                peer = await swarm.peer(f"peer{number}")
                out = tmp_path / f"out{number}"
                await swarm.pull(peer, f"maps/roads@{versions[number]}", out)
                assert contents(out)["small"] == str(number).encode()
                await swarm.stop(peer)
            with pytest.raises(NotFoundError, match=r"is removed, as its keep rule.*no peer that can be reached"):
                await run(other, "ls", ref=f"maps/roads@{versions[1]}")
            for verb, arguments in (
                ("tag", {"ref": f"maps/roads@{versions[1]}", "names": ["maps/roads:old"]}),
                ("rollback", {"name": "maps/roads:latest", "to": 2}),
                ("pin", {"ref": f"maps/roads@{versions[1]}"}),
            ):
                with pytest.raises(ConflictError, match="is removed, as its keep rule does not cover it"):
                    await run(other, verb, **arguments)
            assert swarm.objects.list(claims.LEASES) == []
            await run(other, "tag", ref=f"maps/roads@{versions[2]}", names=["maps/roads:old"])

    asyncio.run(main())


def test_what_is_condemned_waits_for_its_grace(tmp_path: Path) -> None:
    data = make_tree(tmp_path / "data", 1)

    async def main() -> None:
        async with Swarm(tmp_path / "swarm") as swarm:
            producer = await swarm.peer("producer")
            await published(swarm, producer, data, 2)
            await run(producer, "keep", name="maps/roads", last=1)
            now = time.time() + 10 * DAY_S
            packs = set(swarm.objects.list("packs/"))
            first = await gc(swarm, wall_now=now, grace_s=DAY_S)
            assert (first.condemned_versions, first.removed_versions, first.waiting_records) == (1, 0, 1)
            assert set(swarm.objects.list("packs/")) >= packs
            again = await gc(swarm, wall_now=now + DAY_S - 1, grace_s=DAY_S)
            assert (again.condemned_versions, again.removed_versions, again.waiting_records) == (0, 0, 1)
            last = await gc(swarm, wall_now=now + DAY_S, grace_s=DAY_S)
            assert (last.removed_versions, last.waiting_records, last.live_versions) == (1, 0, 1)

    asyncio.run(main())


def test_a_rule_is_cleared_and_needs_a_grant(tmp_path: Path) -> None:
    data = make_tree(tmp_path / "data", 1)

    async def main() -> None:
        async with Swarm(tmp_path / "swarm") as swarm:
            producer = await swarm.peer("producer")
            await swarm.publish(producer, data, "maps/roads:latest")
            assert (await run(producer, "keep", name="maps/roads"))["serial"] == 0
            await run(producer, "keep", name="maps/roads", age_s=60)
            both = await run(producer, "keep", name="maps/roads", last=3)
            assert (both["serial"], both["last"], both["age_s"]) == (2, 3, 60)
            cleared = await run(producer, "keep", name="maps/roads", clear=True)
            assert (cleared["last"], cleared["age_s"]) == (None, None)
            stranger = await swarm.peer("stranger", datasets=["other/*"])
            with pytest.raises(NotAllowedError, match="may not publish to"):
                await run(stranger, "keep", name="maps/roads", last=1)
            with pytest.raises(NotAllowedError, match="may not administrate maps/"):
                await run(producer, "quota", scope="maps", bytes=1)

    asyncio.run(main())


def test_a_publish_over_the_quota_is_refused_and_leaves_nothing(tmp_path: Path) -> None:
    data = make_tree(tmp_path / "data", 1)

    async def main() -> None:
        async with Swarm(tmp_path / "swarm") as swarm:
            producer = await swarm.peer("producer")
            admin = await swarm.peer("admin", role="tracker")
            await swarm.publish(producer, data, "maps/roads:latest")
            assert await run(admin, "quota", scope="maps", bytes=4_000_000) == {"scope": "maps", "bytes": 4_000_000}
            (data / "small").write_text("fits")
            await swarm.publish(producer, data, "maps/roads:latest")
            (data / "large2").write_bytes(random.Random(2).randbytes(3_000_000))
            for name in ("maps/roads:latest", "maps/other:latest"):
                with pytest.raises(FullError, match=r"quota.*aetherfs keep.*aetherfs quota"):
                    await swarm.publish(producer, data, name)
            assert len((await run(producer, "history", ref="maps/roads:latest"))["entries"]) == 2
            assert (await gc(swarm, wall_now=time.time() + 2 * DAY_S)).live_versions == 2
            await swarm.publish(producer, data, "free/roads:latest")
            await run(admin, "quota", scope="maps", clear=True)
            await swarm.publish(producer, data, "maps/roads:latest")

    asyncio.run(main())
