"""What a publish has to pass: of what does not nothing is announced, and nothing stored where that shows early."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from swarm.errors import AetherError
from swarm.peer import operations
from swarm.peer import publish as publishing
from swarm.peer.node import PeerNode
from swarm.peer.stages import last_publish
from swarm.publish_budget import Budget
from tests.integration.swarm_rig import Swarm, make_tree, run

REF = "maps/roads:v1"


def test_gates(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(publishing, "BYTES_LEAST", 1)
    source = make_tree(tmp_path / "source", 7, files=4, large_bytes=1_500_000)

    async def main() -> None:
        async with Swarm(tmp_path) as swarm:
            producer = await swarm.peer("producer")
            await _nothing_by_a_dry_run(swarm, producer, source)
            await _early_limits(swarm, producer, source)
            await _validators(swarm, producer, source)
            (source / "large.bin").write_bytes(b"other" * 300_000)
            await _time(swarm, producer, source)
            await _delta(swarm, producer, source)
            await _copies(swarm, producer, source)

    asyncio.run(main())


def _stages(producer: PeerNode) -> None:
    """What the last publish with anything to read spent, for ``bench``."""
    last = last_publish(producer.home.path)
    assert last is not None
    assert last.dataset == "maps/roads"
    assert {"read", "compress", "send", "store", "commit"} <= set(last.stages)
    assert last.stages["read"].bytes >= 1_500_000
    assert last.stages["compress"].bytes > 0
    assert last.stages["send"].bytes > 0


async def _published(node: PeerNode, source: Path, **more: Any) -> dict[str, Any]:
    return await run(node, "publish", path=str(source), names=[REF], **more)


def _kept(swarm: Swarm) -> dict[str, bytes]:
    """What lies in the object store, but for what a running swarm writes by itself."""
    kept = swarm.objects
    return {key: kept.get(key) for kind in ("packs/", "indexes/", "datasets/", "uploads/") for key in kept.list(kind)}


async def _nothing_by_a_dry_run(swarm: Swarm, producer: PeerNode, source: Path) -> None:
    before = _kept(swarm)
    told = await _published(producer, source, dry_run=True, validate=["false"], budget={"size_bytes": 10})
    assert told["dry_run"]
    assert told["over_budget"]
    assert told["new_blocks"] == told["blocks"] > 0
    assert told["consumers"] == []
    assert told["validate"] == ["false"]
    assert _kept(swarm) == before


async def _early_limits(swarm: Swarm, producer: PeerNode, source: Path) -> None:
    """Size and number of files are known before a byte is read."""
    before, told = _kept(swarm), list[Any]()
    for budget in ({"size_bytes": 1_000_000}, {"files": 2}):
        arguments = {"path": str(source), "names": [REF], "budget": budget}
        with pytest.raises(AetherError, match="over the budget") as caught:
            await operations.run(producer, "publish", arguments, told.append)
        assert caught.value.exit_code == 1
    assert _kept(swarm) == before
    assert not [report for report in told if report["phase"] == "scan"]


async def _validators(swarm: Swarm, producer: PeerNode, source: Path) -> None:
    """They run behind the store, may veto, and must leave alone what they look at."""
    with pytest.raises(AetherError, match="the roads are wrong; nothing was announced"):
        await _published(producer, source, validate=["test -s large.bin", "echo the roads are wrong; exit 3"])
    kept = _kept(swarm)
    assert any(key.startswith("packs") for key in kept)
    assert not any("/log/" in key for key in kept)
    with pytest.raises(AetherError, match="was changed while its validators ran"):
        await _published(producer, source, validate=["echo more > new"])
    assert not any("/log/" in key for key in _kept(swarm))
    (source / "new").unlink()
    told = swarm.folder / "told"
    said = 'echo "$AETHERFS_DATASET $AETHERFS_TAGS $AETHERFS_FILES $AETHERFS_TYPED_IN" > '
    result = await _published(producer, source, validate=[f"{said}{told}"], typed_in="/somewhere")
    assert told.read_text().split() == ["maps/roads", "v1", str(result["files"]), "/somewhere"]
    assert result["serial"] == 1


async def _time(swarm: Swarm, producer: PeerNode, source: Path) -> None:
    """By whoever foretells, of what is really fetched; by the line where nobody does."""
    asked: list[tuple[int, int]] = []

    def foretell(sizes: Sequence[int], budget: Budget) -> float:
        asked.append((sum(sizes), budget.peers))
        return 75.0

    budget = {"time_s": 60, "peers": 4}
    plain = await _published(producer, source, dry_run=True, budget=budget)
    assert plain["budget"][0]["kept"] and "by the line alone" in plain["budget"][0]["words"]
    producer.settings = replace(producer.settings, foretell=foretell)
    told = await _published(producer, source, dry_run=True, budget=budget)
    assert told["over_budget"] and "after 75 s at 100 mbit/s each, as simulated" in told["budget"][0]["words"]
    with pytest.raises(AetherError, match="after 75 s"):
        await _published(producer, source, budget=budget)
    ((size, peers), again) = asked
    assert told["consumers"][0]["fetch_bytes"] < size and peers == 4 and again == (size, peers)


async def _delta(swarm: Swarm, producer: PeerNode, source: Path) -> None:
    """What a consumer fetches is known once all is cut, and before anything is sent."""
    before = _kept(swarm)
    budget = {"delta_share": 0.1, "delta_floor_bytes": 1000}
    with pytest.raises(AetherError, match="a consumer of the version before fetches"):
        await _published(producer, source, budget=budget)
    assert _kept(swarm) == before
    told = await _published(producer, source, budget=budget, dry_run=True)
    assert _kept(swarm) == before
    result = await _published(producer, source, budget={"delta_share": 1.0})
    assert [line["kept"] for line in result["budget"]] == [True]
    assert result["new_blocks"] == told["new_blocks"]
    taker = await swarm.peer("first")
    await run(taker, "pull", ref=f"maps/roads@{await _first(taker)}", directory=str(swarm.folder / "taken"))
    pulled = await run(taker, "pull", ref=REF, directory=str(swarm.folder / "taken"))
    assert told["consumers"][0]["fetch_bytes"] == pulled["from"]["peers"] + pulled["from"]["origin"]
    await run(producer, "rollback", name=REF)
    history = (await run(taker, "history", ref=REF, figures=True))["entries"]
    assert [entry["back_to"] for entry in history] == [None, None, 1]
    assert history[0]["fetch_bytes"] is None
    assert history[1]["fetch_bytes"] == told["consumers"][0]["fetch_bytes"]
    assert history[2]["bytes"] == history[0]["bytes"]
    whole = await run(taker, "history", ref="maps/roads", figures=True, last=2)
    assert whole["entries"][0]["fetch_bytes"] == history[1]["fetch_bytes"] and whole["has_earlier"]
    await swarm.stop(taker)


async def _first(node: PeerNode) -> str:
    history = await run(node, "history", ref="maps/roads")
    return str(history["entries"][0]["moves"][0]["version"])


async def _copies(swarm: Swarm, producer: PeerNode, source: Path) -> None:
    """Seeds and the producer are none."""
    (source / "large.bin").write_bytes(b"third" * 300_000)
    alone = await _published(producer, source, copies=1, within_s=0)
    assert (alone["copies"], alone["copies_wanted"]) == (0, 1)
    _stages(producer)
    takers = [await swarm.peer(f"taker{number}") for number in range(2)]
    waiting = asyncio.create_task(_published(producer, source, copies=2, within_s=60))
    await asyncio.gather(*(swarm.pull(node, REF, swarm.folder / node.key.peer_id) for node in takers))
    assert (await waiting)["copies"] == 2
    more = await _published(producer, source, copies=3, within_s=1)
    assert more["copies"] <= 2
