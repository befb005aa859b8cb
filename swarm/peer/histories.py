"""What a log says of one tag beyond its entries: what each move cost those who followed, how soon they had it, and
which moves went back.

Manifests of versions that are not here are fetched, segment by segment; those that are gone are left out. Only the last
moves are looked at, for so long: what is not known by then is told as None.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
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

MOVES_COMPARED: Final = 20
LOOK_S: Final = 30.0


def went_back(versions: Sequence[bytes | None], serials: Sequence[int]) -> list[int | None]:
    """For each move of one tag the last serial before it at which the tag pointed there, if it had left it since."""
    found: list[int | None] = []
    last: dict[bytes, int] = {}
    for at, version in enumerate(versions):
        is_new = not at or versions[at - 1] != version
        found.append(last.get(version) if version is not None and is_new else None)
        if version is not None:
            last[version] = serials[at]
    return found


async def add_figures(
    node: PeerNode, reference: Reference, entries: Sequence[Entry], shown: Sequence[Result], progress: Progress
) -> None:
    """Put ``fetch_bytes``, ``p95_s`` and ``back_to`` into what is shown of the moves of one tag."""
    versions = [_moved(entry, reference.tag or "") for entry in entries]
    backs = went_back(versions, [entry.serial for entry in entries])
    for result, back_to in zip(shown, backs, strict=True):
        result.update(fetch_bytes=None, p95_s=None, back_to=back_to)
    try:
        async with asyncio.timeout(LOOK_S):
            await _add_rollouts(node, reference, shown[-MOVES_COMPARED:])
            await _add_fetches(node, reference, entries, shown, progress)
    except TimeoutError:
        return


def _moved(entry: Entry, tag: str) -> bytes | None:
    return next((move.version for move in entry.moves if move.tag == tag), None)


async def _add_fetches(
    node: PeerNode, reference: Reference, entries: Sequence[Entry], shown: Sequence[Result], progress: Progress
) -> None:
    """What who had the version before fetches: by the manifests. Who goes back may have all of it still, so that is
    what was measured or nothing; and an entry that lets more peers in brings no version.
    """
    tag = reference.tag or ""
    manifests: dict[bytes, Manifest | None] = {}
    first = max(0, len(entries) - MOVES_COMPARED - 1)
    for at in range(first, len(entries)):
        version, before = _moved(entries[at], tag), _before(entries, at, tag)
        for each in (before if at > first else None, version):
            if each is not None and each not in manifests:
                manifests[each] = await _manifest(node, reference, each, progress)
        new, old = manifests.get(version or b""), manifests.get(before or b"")
        if new is not None:
            # Only an entry that published it says so itself.
            shown[at].update(files=new.file_count, bytes=new.total_bytes)
        if new is not None and old is not None and version != before and shown[at]["back_to"] is None:
            shown[at]["fetch_bytes"] = fetch_of(new, old).bytes


def _before(entries: Sequence[Entry], at: int, tag: str) -> bytes | None:
    """What those had to whom an entry brings its version: what was settled, where a rollout begins with it."""
    begun = entries[at].rollout_of(tag)
    if begun is not None and begun.begun == entries[at].serial:
        return begun.settled
    return _moved(entries[at - 1], tag) if at else None


async def _manifest(node: PeerNode, reference: Reference, version: bytes, progress: Progress) -> Manifest | None:
    try:
        resolved = await node.finder.resolve(Reference(reference.scope, reference.name, None, version))
        # Of what the store does not keep, only what lies here is looked at: nobody is waited for.
        if resolved.is_gone:
            return await asyncio.to_thread(node.trees.manifest, version)
        return (await manifest_of(node, resolved, progress))[0]
    except AetherError:
        return None


async def _add_rollouts(node: PeerNode, reference: Reference, shown: Sequence[Result]) -> None:
    """How soon 95% of those who followed had it, and what each that went back fetched, as far as a tracker knows."""
    path = f"figures/rollouts/{reference.dataset}/{reference.tag}"
    for result in reversed(shown):
        try:
            rollout = await node.tracker.order("GET", f"{path}?serial={result['serial']}", Rollout)
        except NotFoundError:
            continue  # it steers a rollout, or nobody followed it; others may have been seen
        except AetherError:
            return
        if rollout.serial == result["serial"]:
            result["p95_s"] = rollout.completion.p95_s
            if result.get("back_to") is not None and rollout.wanted:
                result["fetch_bytes"] = round((rollout.sources.peers + rollout.sources.origin) / rollout.wanted)
