"""The verb explain-version: how files map to blocks, who has these, and where the time of the last pull here went.

What is told is bounded: of a directory the first files, of a file the first blocks.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import islice
from typing import Any, Final

from swarm import names
from swarm.dht.keys import block_key
from swarm.errors import NotFoundError
from swarm.identity import peer_id_of
from swarm.limits import HANDOUT_MAX_NEIGHBOURS
from swarm.manifest import FILE, Manifest
from swarm.peer.holders import Holders, Watching, holders_of
from swarm.peer.node import PeerNode
from swarm.peer.pull import Progress, manifest_of
from swarm.peer.requiring import Reading
from swarm.peer.trace import PullTrace
from swarm.peer.verdict import judge, name_of, notes_of, rate_of
from swarm.peer.waterfall import critical_path, sums
from swarm.peer.wire import SEED

FILES_SHOWN: Final = 200
BLOCKS_SHOWN: Final = 1000
# Blocks that are looked up in the DHT, each some packets.
LOOKED_UP: Final = 8
# So many sets are added up at once: as many as a byte can count.
_SUMMED_MAX: Final = 255
_DIGITS: Final = bytes.maketrans(b"01", b"\0\1")


class ExplainArguments(Reading, frozen=True, forbid_unknown_fields=True):
    ref: str


async def explain(node: PeerNode, arguments: ExplainArguments, progress: Progress) -> dict[str, Any]:
    """Tell how files map to blocks, who has these, and where the time of the last pull went."""
    reference = names.parse(arguments.ref)
    resolved = await node.finder.resolve(reference)
    # Before anything is fetched for the answer itself, which is no pull.
    await node.traces.settled()
    trace = await asyncio.to_thread(node.traces.last, resolved.dataset, resolved.version)
    manifest, _ = await manifest_of(node, resolved, progress)
    files = await asyncio.to_thread(lambda: list(_files(manifest, reference.path)))
    if not files:
        raise NotFoundError(f"{reference} does not exist: see `aetherfs ls {reference.dataset}:{reference.tag or ''}`")
    watching = Watching(resolved.dataset, resolved.version, resolved.entry, len(manifest.unique))
    holders = await holders_of(node, watching)
    # What grows with the version is counted in threads.
    counted = await asyncio.to_thread(_counted, node, resolved.dataset, manifest, holders)
    is_one = reference.path is not None and len(files) == 1 and manifest.files[files[0]].kind == FILE
    shown = await _blocks(node, manifest, files[0], counted, trace) if is_one else []
    return {
        "ref": str(reference),
        "dataset": resolved.dataset,
        "version": manifest.version.hex(),
        "serial": resolved.serial,
        **resolved.freshness,
        "path": reference.path,
        **await asyncio.to_thread(_of_files, manifest, files, counted),
        "holders": _held(node, manifest, counted, holders),
        "block_list": shown,
        "pull": await asyncio.to_thread(told, trace) if trace is not None else None,
    }


def _files(manifest: Manifest, path: str | None) -> Iterator[int]:
    prefix = (path or "").rstrip("/")
    for index, entry in enumerate(manifest.files):
        if not prefix or entry.path == prefix or entry.path.startswith(prefix + "/"):
            yield index


@dataclass(frozen=True, slots=True)
class Counted:
    """Of each block of a version whether it is here (0 or 1), and how many neighbours say that they have it."""

    here: bytes
    copies: Sequence[int]


def _counted(node: PeerNode, dataset: str, manifest: Manifest, holders: Holders) -> Counted:
    said = [each.blocks for each in list(holders.said.values())]
    return Counted(_here(node, dataset, manifest), copies_of(said, len(manifest.unique)))


def copies_of(sets: Sequence[int], blocks: int) -> Sequence[int]:
    """In how many of these sets (a bit a block) each block is. Pure; each set costs about as much as it is long."""
    sums = []
    for start in range(0, len(sets), _SUMMED_MAX):
        # A byte a block, so that numbers as long as the version are added and no count runs into the next.
        rows = (f"{each:0{blocks}b}"[::-1].encode().translate(_DIGITS) for each in sets[start : start + _SUMMED_MAX])
        sums.append(sum(int.from_bytes(row, "little") for row in rows).to_bytes(blocks, "little"))
    return list(map(sum, zip(*sums, strict=True))) if sums else bytes(blocks)


def _here(node: PeerNode, dataset: str, manifest: Manifest) -> bytes:
    """Which blocks of the version this peer has."""
    holding = node.holdings.get(dataset, manifest.version)
    if holding is not None and holding.held is None:
        return b"\1" * len(manifest.unique)
    held = holding.held if holding is not None and holding.held is not None else frozenset[int]()
    return bytes(index in held or node.store.has(block.signature) for index, block in enumerate(manifest.unique))


def _held(node: PeerNode, manifest: Manifest, counted: Counted, holders: Holders) -> dict[str, Any]:
    """Who says what, with counts."""
    everything = (1 << len(manifest.unique)) - 1
    handed = [n for n in holders.tracker or () if peer_id_of(n.public) != node.key.peer_id]
    said = list(holders.said.values())
    return {
        "here": {"blocks": sum(counted.here), "of": len(manifest.unique)},
        "tracker": {
            "answers": holders.tracker is not None,
            "named": len(handed),
            "complete": sum(1 for n in handed if n.complete),
            "or_more": len(handed) >= HANDOUT_MAX_NEIGHBOURS,
        },
        "neighbours": {
            "connected": holders.asked,
            "have_some": len(said),
            "have_all": sum(1 for one in said if one.blocks == everything),
            "of_this_site": sum(1 for one in said if one.near),
        },
        "seeds": {"known": len(holders.seeds), "have_all": sum(1 for one in said if one.origin == SEED)},
        "dht": {"answers": holders.dht is not None, "providers": len(holders.dht or ())},
        "problems": holders.problems,
    }


def _of_files(manifest: Manifest, files: Sequence[int], counted: Counted) -> dict[str, Any]:
    return {
        "files": sum(manifest.files[index].kind == FILE for index in files),
        "paths": len(files),
        "bytes": sum(manifest.files[index].size for index in files),
        "blocks": len({block for index in files for block, _, _ in manifest.blocks_of(index)}),
        "shown": [_file(manifest, index, counted) for index in files[:FILES_SHOWN]],
    }


def _file(manifest: Manifest, index: int, counted: Counted) -> dict[str, Any]:
    entry = manifest.files[index]
    blocks = {block for block, _, _ in manifest.blocks_of(index)}
    return {
        "path": entry.path,
        "bytes": entry.size,
        "blocks": len(blocks),
        "here": sum(counted.here[block] for block in blocks),
        "neighbours_least": min((counted.copies[block] for block in blocks), default=0),
        "neighbours_most": max((counted.copies[block] for block in blocks), default=0),
    }


async def _blocks(
    node: PeerNode, manifest: Manifest, index: int, counted: Counted, trace: PullTrace | None
) -> list[dict[str, Any]]:
    """The blocks of one file, in order."""
    places = list(islice(manifest.blocks_of(index), BLOCKS_SHOWN))
    looked_up = await _looked_up(node, [manifest.unique[block].signature for block, _, _ in places[:LOOKED_UP]])
    came = {}
    if trace is not None and trace.version == manifest.version:
        came = {span.index: span for span in trace.blocks}
    told, at = [], 0
    for number, (block, offset, length) in enumerate(places):
        span = came.get(block)
        told.append(
            {
                "offset": at,
                "bytes": length,
                "signature": manifest.unique[block].signature.hex(),
                "block_bytes": manifest.unique[block].size,
                "block_offset": offset,
                "here": bool(counted.here[block]),
                "neighbours": counted.copies[block],
                "dht": looked_up[number] if number < len(looked_up) else None,
                "came_from": trace.sources[span.source].peer if span is not None and trace is not None else None,
                "asked_s": span.asked if span is not None else None,
                "stored_s": span.stored if span is not None else None,
            }
        )
        at += length
    return told


async def _looked_up(node: PeerNode, signatures: Sequence[bytes]) -> list[int]:
    """How many peers the DHT names for each."""

    async def one(signature: bytes) -> int:
        found = await node.dht.find_providers(lambda secret: block_key(secret, signature))
        return sum(1 for provider in found if provider.peer_id != node.key.peer_id)

    return list(await asyncio.gather(*(one(signature) for signature in signatures)))


def told(trace: PullTrace) -> dict[str, Any]:
    """A pull's waterfall as it is told."""
    steps = critical_path(trace)
    verdict = judge(trace, steps)
    return {
        "ref": trace.ref,
        "version": trace.version.hex(),
        "directory": trace.directory,
        "began": round(trace.began_wall, 3),
        "seconds": round(trace.seconds, 4),
        "problem": trace.problem,
        "bytes": trace.size_bytes,
        "reused": trace.reused_bytes,
        "cause": verdict.cause,
        "cause_s": round(verdict.seconds, 4),
        "cause_peer": verdict.peer,
        "verdict": verdict.sentence,
        "notes": notes_of(trace),
        "causes": {cause: round(seconds, 4) for cause, seconds in sums(steps).items()},
        "critical_path": [{**asdict(step), "start": round(step.start, 4), "end": round(step.end, 4)} for step in steps],
        "phases": [{"name": p.name, "start": p.start, "end": p.end} for p in trace.phases],
        "looks": [{"start": look.start, "end": look.end, "problem": look.problem} for look in trace.looks],
        "sources": [
            {
                "peer": source.peer,
                "name": name_of(source),
                "origin": source.origin,
                "near": source.near,
                "joined": source.joined,
                "left": source.left,
                "blocks": source.blocks,
                "bytes": source.size_bytes,
                "rate_bytes_per_s": round(rate_of(source)),
                "wait_s": round(source.wait_s, 4),
                "transfer_s": round(source.transfer_s, 4),
                "hash_s": round(source.hash_s, 4),
                "disk_s": round(source.disk_s, 4),
                "refused": source.refused,
                "broken": source.broken,
            }
            for source in trace.sources
        ],
        "runs": [
            {
                "source": run.source,
                "asked": run.asked,
                "ended": run.ended,
                "wait_s": round(run.wait_s, 6),
                "transfer_s": round(run.transfer_s, 6),
                "hash_s": round(run.hash_s, 6),
                "disk_s": round(run.disk_s, 6),
                "blocks": run.blocks,
                "bytes": run.size_bytes,
                "ending": run.ending,
            }
            for run in trace.runs
        ],
        "runs_left_out": trace.runs_left_out,
    }
