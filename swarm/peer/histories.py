"""What a log says of moves beyond its entries: what each cost those who followed, how soon they had it, and which went
back. Of an entry that moves several tags the most is told.

Manifests of versions that are not here are fetched, segment by segment; those that are gone are left out. Only the last
entries are looked at, for so long: what is not known by then is told as None.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from swarm.analysis.fetch import fetch_of
from swarm.errors import AetherError, NotFoundError
from swarm.figure_messages import Rollout
from swarm.log import Entry
from swarm.manifest import Manifest
from swarm.names import Reference
from swarm.peer.pull import Progress, manifest_of
from swarm.peer.verb import Result

if TYPE_CHECKING:
    from swarm.peer.node import PeerNode

ENTRIES_COMPARED: Final = 20
# Of one entry: a tracker is asked about each.
TAGS_COMPARED: Final = 8
LOOK_S: Final = 30.0


@dataclass(frozen=True, slots=True)
class Moved:
    """One tag by one entry. ``before``: what those had to whom it brings its version, which is what was settled where a
    rollout begins with it; ``back_to``: the last serial before it at which the tag pointed there, if it had left it
    since.
    """

    serial: int
    tag: str
    version: bytes | None
    before: bytes | None
    back_to: int | None
    is_back: bool


def moves_in(entries: Iterable[Entry], tag: str | None) -> list[Moved]:
    """The moves of one tag, or of all for None, oldest first. What lies before these entries is not known."""
    found: list[Moved] = []
    now: dict[str, bytes | None] = {}
    last: dict[tuple[str, bytes], int] = {}
    for entry in entries:
        for move in entry.moves:
            if tag not in (None, move.tag):
                continue
            version, before = move.version, now.get(move.tag)
            back_to = last.get((move.tag, version)) if version is not None and version != before else None
            begun = entry.rollout_of(move.tag)
            settled = begun.settled if begun is not None and begun.begun == entry.serial else before
            is_back = back_to is not None or entry.kind == "rollback"
            found.append(Moved(entry.serial, move.tag, version, settled, back_to, is_back))
            now[move.tag] = version
            if version is not None:
                last[move.tag, version] = entry.serial
    return found


async def add_figures(
    node: PeerNode, reference: Reference, entries: Sequence[Entry], shown: Sequence[Result], progress: Progress
) -> None:
    """Put ``fetch_bytes``, ``p95_s`` and ``back_to`` into what is shown of moves of one tag, or of all. ``entries`` may
    begin before those that are shown.
    """
    told = {result["serial"]: result for result in shown}
    for result in shown:
        result.update(fetch_bytes=None, p95_s=None, back_to=None)
    moves = [move for move in moves_in(entries, reference.tag) if move.serial in told]
    for move in moves:
        _tell(told[move.serial], "back_to", move.back_to)
    late = compared(moves, [result["serial"] for result in shown[-ENTRIES_COMPARED:]])
    try:
        async with asyncio.timeout(LOOK_S):
            await _add_rollouts(node, reference, late, told)
            await _add_fetches(node, reference, late, told, progress)
    except TimeoutError:
        return


def compared(moves: Iterable[Moved], serials: Iterable[int]) -> list[Moved]:
    """Those of some entries that are looked at, the oldest first."""
    found: dict[int, list[Moved]] = {serial: [] for serial in serials}
    for move in moves:
        if move.serial in found:
            found[move.serial].append(move)
    return [move for of_entry in found.values() for move in of_entry[:TAGS_COMPARED]]


def _tell(result: Result, field: str, value: float | None) -> None:
    """The most of what is known of an entry's moves."""
    if value is not None:
        result[field] = max(value, result[field] or 0)


async def _add_fetches(
    node: PeerNode, reference: Reference, moves: Sequence[Moved], told: Mapping[int, Result], progress: Progress
) -> None:
    """What who had the version before fetches: by the manifests. Who goes back may have all of it still, so that is
    what was measured or nothing; and an entry that lets more peers in brings no version.
    """
    manifests: dict[bytes, Manifest | None] = {}
    for move in moves:
        for each in (move.before, move.version):
            if each is not None and each not in manifests:
                manifests[each] = await _manifest(node, reference, each, progress)
        new, old = manifests.get(move.version or b""), manifests.get(move.before or b"")
        if new is not None:
            # Only an entry that published it says so itself.
            told[move.serial].update(files=new.file_count, bytes=new.total_bytes)
        if new is not None and old is not None and move.version != move.before and not move.is_back:
            _tell(told[move.serial], "fetch_bytes", fetch_of(new, old).bytes)


async def _manifest(node: PeerNode, reference: Reference, version: bytes, progress: Progress) -> Manifest | None:
    try:
        resolved = await node.finder.resolve(Reference(reference.scope, reference.name, None, version))
        # Of what the store does not keep, only what lies here is looked at: nobody is waited for.
        if resolved.is_gone:
            return await asyncio.to_thread(node.trees.manifest, version)
        return (await manifest_of(node, resolved, progress))[0]
    except AetherError:
        return None


async def _add_rollouts(
    node: PeerNode, reference: Reference, moves: Sequence[Moved], told: Mapping[int, Result]
) -> None:
    """How soon 95% of those who followed had it, and what each that went back fetched, as far as a tracker knows."""
    for move in reversed(moves):
        path = f"figures/rollouts/{reference.dataset}/{move.tag}?serial={move.serial}"
        try:
            rollout = await node.tracker.order("GET", path, Rollout)
        except NotFoundError:
            continue  # it steers a rollout, or nobody followed it; others may have been seen
        except AetherError:
            return
        if rollout.serial == move.serial:
            _tell(told[move.serial], "p95_s", rollout.completion.p95_s)
            if move.is_back and (had := rollout.wanted + rollout.away):
                fetched = rollout.sources.peers + rollout.sources.origin
                _tell(told[move.serial], "fetch_bytes", round(fetched / had))
