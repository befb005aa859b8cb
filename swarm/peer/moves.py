"""What a request for a file of a tag may take for the same: a tag moves, and a URL of it then gives other bytes.

A date is a publisher's word, in whole seconds for HTTP: two versions may give one path different bytes of one date
(files made with a fixed time, say). It counts where it is later than the move before the tag's last one: what that move
made the tag give was there by then, and cannot have had it.

Who resumes without a word of what it has (``Range: bytes=N-`` alone, as ``curl -C -`` sends) is given the rest only if
the tag gave the same bytes there for a day; else it is refused (409). The whole file (200) would do by the
specification, and curl then keeps its part; but rclone takes it for the rest.
"""

from __future__ import annotations

import re
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from aiohttp import web

from swarm.errors import AetherError
from swarm.log import Entry
from swarm.names import Reference
from swarm.peer.snapshot import File, Snapshot

if TYPE_CHECKING:
    from swarm.peer.node import PeerNode

# Entries before the last move that are looked at.
LOOKED_AT: Final = 64
# For how long a download may have been broken off, and versions of that time that are compared.
RESUMED_S: Final = 86_400
COMPARED_MAX: Final = 4
_REST: Final = re.compile(r"bytes=0*[1-9]\d*-")


@dataclass(frozen=True, slots=True)
class Terms:
    """``is_dated``: the file's date names its bytes. ``is_resumable``: a part without a name is of them."""

    is_dated: bool
    is_resumable: bool


FIXED: Final = Terms(is_dated=True, is_resumable=True)


async def terms_of(node: PeerNode, request: web.Request, snapshot: Snapshot, path: str, file: File) -> Terms:
    """The terms for a file that a path of a tag leads to. The log is looked at only where they matter."""
    headers = request.headers
    by_date = "If-Modified-Since" in headers or '"' not in headers.get("If-Range", '"')
    is_blind = "If-Range" not in headers and "If-Match" not in headers
    resumes = is_blind and _REST.fullmatch(headers.get("Range", "").strip()) is not None
    if not by_date and not resumes:
        return Terms(is_dated=False, is_resumable=True)
    earlier = await _earlier(node, snapshot)
    if earlier is None:
        return Terms(is_dated=False, is_resumable=not resumes)
    is_dated = by_date and file.entry.mtime_ns // 10**9 > _fixed_at(earlier, snapshot)
    return Terms(is_dated, not resumes or await _is_unmoved(node, snapshot, path, file, _moves(earlier, snapshot)))


async def _earlier(node: PeerNode, snapshot: Snapshot) -> list[Entry] | None:
    """The entries before the one that made the tag what it is, as far as they are looked at. None if nobody knows."""
    serial = snapshot.resolved.serial
    try:
        after = max(0, serial - 1 - LOOKED_AT)
        page = await node.tracker.log(snapshot.dataset, after=after, limit=LOOKED_AT) if serial > 1 else []
    except AetherError:
        return None
    return [entry for _, entry in page if entry.serial < serial]


def _moves(entries: list[Entry], snapshot: Snapshot) -> list[Entry]:
    return [entry for entry in entries if any(move.tag == snapshot.resolved.tag for move in entry.moves)]


def _fixed_at(earlier: list[Entry], snapshot: Snapshot) -> float:
    """When what the tag gave before was there at the latest; -inf if it never gave anything."""
    moves = _moves(earlier, snapshot)
    if moves:
        return moves[-1].wall_time
    return earlier[0].wall_time if earlier and earlier[0].serial > 1 else float("-inf")


async def _is_unmoved(node: PeerNode, snapshot: Snapshot, path: str, file: File, moves: list[Entry]) -> bool:
    """Whether all that the tag meant in the last day gave these bytes under this path."""
    until = float(node.access.learn(snapshot.resolved.entry).wall_time)
    for count, move in enumerate(reversed(moves)):
        if until < time.time() - RESUMED_S:
            return True
        if count == COMPARED_MAX or not await _is_same(node, snapshot, path, file, move):
            return False
        until = move.wall_time
    return True


async def _is_same(node: PeerNode, snapshot: Snapshot, path: str, file: File, move: Entry) -> bool:
    version, _ = node.admitted.meaning(move, snapshot.resolved.tag or "")
    if version is None:
        return True  # the tag was removed then, and gave nothing
    scope, _, name = snapshot.dataset.partition("/")
    try:
        other = await node.snapshots.open(Reference(scope, name, None, version))
        found = await other.look(path)
    except AetherError:
        return False
    return found is not None and found.entry.sha256 == file.entry.sha256
