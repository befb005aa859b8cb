"""What a publish would do, with nothing sent and nothing committed."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from swarm.analysis.fetch import fetch_of
from swarm.manifest import Manifest
from swarm.peer.gates import Before, Gates, befores_of, told_lines
from swarm.peer.node import PeerNode
from swarm.peer.publish import Wanted, check_may, scanned_alone
from swarm.peer.pull import Progress
from swarm.peer.unchanged import standing
from swarm.walk import Links


async def rehearse(
    node: PeerNode, path: Path, wanted: Wanted, links: Links, progress: Progress, gates: Gates
) -> dict[str, Any]:
    """What ``publish`` would tell, as far as it can be known."""
    started = time.monotonic()
    await check_may(node, wanted)
    scanned = await scanned_alone(node, wanted.dataset, Path(path).absolute(), links, progress)
    manifest = scanned.manifest
    befores = await befores_of(node, wanted.dataset, wanted.tags, progress)
    lines = await gates.judge(node, manifest, befores)
    new = _new_blocks(manifest, befores)
    found = await standing(
        node.tracker, wanted.dataset, wanted.tags, manifest.version, wanted.message, wanted.if_serial
    )
    return {
        "dry_run": True,
        "version": manifest.version.hex(),
        "serial": 0,
        "uploaded": 0,
        "files": manifest.file_count,
        "bytes": manifest.total_bytes,
        "blocks": len(manifest.unique),
        "new_blocks": len(new),
        "new_bytes": sum(manifest.unique[index].size for index in new),
        "read": scanned.read_bytes,
        "seconds": round(time.monotonic() - started, 3),
        "tags": wanted.tags,
        "unchanged": found is not None,
        "consumers": [_consumer(manifest, before) for before in befores],
        "budget": told_lines(lines),
        "over_budget": any(not line.is_kept for line in lines),
        "validate": list(gates.validate),
    }


def _new_blocks(manifest: Manifest, befores: Sequence[Before]) -> list[int]:
    """The blocks that no version before has: what is uploaded, if no other version of the dataset has them either."""
    return [
        index
        for index, block in enumerate(manifest.unique)
        if not any(block.signature in before.manifest.index_of for before in befores)
    ]


def _consumer(manifest: Manifest, before: Before) -> dict[str, Any]:
    fetch = fetch_of(manifest, before.manifest)
    share = fetch.bytes / manifest.total_bytes if manifest.total_bytes else 0.0
    return {
        "tag": before.tag,
        "version": before.manifest.version.hex(),
        "fetch_bytes": fetch.bytes,
        "fetch_blocks": len(fetch.blocks),
        "manifest_bytes": fetch.manifest_bytes(),
        "share": round(share, 6),
    }
