"""The verb ``stats``: how a dataset performs, from its log, a tracker's figures, and what this peer counts itself."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Sequence
from typing import Annotated, Final, TypeVar
from urllib.parse import urlencode

import msgspec

from swarm import names
from swarm.errors import AetherError, NotFoundError
from swarm.figure_messages import Blocks, Heat, Overview, Rollout, VersionHeat
from swarm.log import Entry, Totals
from swarm.names import Reference
from swarm.peer.log_tail import log_tail
from swarm.peer.node import PeerNode
from swarm.peer.pull import Progress
from swarm.peer.verb import Result
from swarm.stats_messages import PublishTold, RefusedTold, RolloutTold, Stats, TierTold, VersionTold
from swarm.store.disk import DiskStore
from swarm.store.memory import MemoryStore

# Of many moves and versions the latest are asked about: one call each.
PUBLISHES_MAX: Final = 20
VERSIONS_MAX: Final = 8
SINCE_MAX_S: Final = 36_500 * 86_400
REASON_CHARS: Final = 300

GONE: Final = {
    "rollouts": "no tracker saw peers follow that move, or what it saw is not kept any more",
    "versions": "of a version that is not listed no peer is known to have anything",
}

T = TypeVar("T")
# An entry, the tag that it moves, and to which version.
Move = tuple[Entry, str, bytes]


class StatsArguments(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """``since_s``: how far back."""

    ref: str
    since_s: Annotated[int, msgspec.Meta(ge=0, le=SINCE_MAX_S)] = 30 * 86_400


async def stats(node: PeerNode, arguments: StatsArguments, progress: Progress) -> Result:
    """Show how a dataset performs: rollouts, who runs what, what is read, caches, refused blocks."""
    reference = names.parse(arguments.ref, default_tag=None)
    told = _Telling(node, reference.dataset, reference.tag)
    now = time.time()
    moves = await told.moves(now - arguments.since_s)
    version = reference.signature.hex() if reference.signature is not None else None
    stats = Stats(
        ref=str(reference),
        dataset=reference.dataset,
        tag=reference.tag,
        at=round(now, 3),
        since=round(now - arguments.since_s, 3),
        publishes=tuple([await told.publish(*move) for move in brought(moves)[-PUBLISHES_MAX:]]),
        versions=tuple(await told.versions(moves)),
        reads=tuple(node.read_counts.reads.told(reference.dataset, version)),
        heat=await told.heat(version),
        tiers=(_tier("memory", node.memory), _tier("disk", node.blocks)),
        refused=RefusedTold(node.traffic.bad_blocks, node.traffic.refused, await told.bad_blocks()),
        uptime_s=round(time.monotonic() - node.started, 1),
        reasons=told.reasons,
        has_earlier=told.has_earlier,
    )
    built: Result = msgspec.to_builtins(stats)
    return built


class _Telling:
    """Asks a tracker; what it does not tell goes into ``reasons``."""

    def __init__(self, node: PeerNode, dataset: str, tag: str | None) -> None:
        self._node = node
        self._dataset = dataset
        self._tag = tag
        self.reasons: dict[str, str] = {}
        # Whether more moves lie in that time than are told.
        self.has_earlier = False
        # What a version comes to, by the entries that published it: those that move it again do not say.
        self._totals: dict[bytes, Totals | None] = {}
        # What each tag points to, by the log: trackers know those alone that moved, or are followed, since they began.
        self._tags: dict[str, bytes] = {}

    async def _figures(self, field: str, what: str, kind: type[T], **query: object) -> T | None:
        """One of a tracker's figures; None, and why, where there is none."""
        tail = f"?{urlencode(query)}" if query else ""
        try:
            return await self._node.tracker.order("GET", f"figures/{what}{tail}", kind)
        except AetherError as error:
            self.reasons.setdefault(field, reason_of(field, error))
            return None

    async def moves(self, since: float) -> list[Move]:
        """What moved the tag (any tag for None) since a moment, oldest first: the latest of it, as much as is told.
        NotFoundError where nothing did, and there is no such tag.
        """
        _, tags = await self._node.tracker.snapshot(self._dataset)
        self._tags = {state.tag: state.version for state in tags.tags}
        at = tags.find(self._tag) if self._tag is not None else None
        entries, is_all = await log_tail(
            self._read, at.serial if at is not None else tags.serial, since, lambda found: self._is_enough(found, since)
        )
        for entry in entries:
            self._totals |= {move.version: entry.totals for move in entry.moves if entry.totals and move.version}
        late = self._moves_in(entries, since)
        self.has_earlier = not is_all or len(brought(late)) > PUBLISHES_MAX
        if not late and (at is None if self._tag is not None else not self._tags):
            raise NotFoundError(
                f"{self._dataset}:{self._tag or '*'} is not there, nor was it in that time: see `aetherfs ls`"
            )
        if not late:
            self.reasons["publishes"] = "nothing was published in that time: look further back with --since"
        return late

    async def _read(self, after: int, limit: int) -> list[Entry]:
        return [entry for _, entry in await self._node.tracker.log(self._dataset, after=after, limit=limit)]

    def _is_enough(self, entries: Sequence[Entry], since: float) -> bool:
        return len(brought(self._moves_in(entries, since))) > PUBLISHES_MAX

    def _moves_in(self, entries: Sequence[Entry], since: float) -> list[Move]:
        return [
            (entry, move.tag, move.version)
            for entry in entries
            for move in entry.moves
            if move.version is not None and self._tag in (None, move.tag) and entry.wall_time >= since
        ]

    async def _totals_of(self, version: bytes) -> Totals | None:
        """What a version comes to. None where nobody says."""
        if version not in self._totals:
            scope, _, name = self._dataset.partition("/")
            self._totals[version] = None
            with contextlib.suppress(AetherError):
                found = await self._node.tracker.lookup(Reference(scope, name, None, version))
                self._totals[version] = found.entry.totals
        return self._totals[version]

    async def publish(self, entry: Entry, tag: str, version: bytes) -> PublishTold:
        """How one move went."""
        found = await self._figures("rollouts", f"rollouts/{self._dataset}/{tag}", Rollout, serial=entry.serial)
        if found is not None and found.serial != entry.serial:
            found = None
        totals = await self._totals_of(version)
        return PublishTold(
            serial=entry.serial,
            tag=tag,
            version=version.hex(),
            at=float(entry.wall_time),
            kind=entry.kind,
            message=entry.message,
            bytes=totals.bytes if totals is not None else None,
            files=totals.files if totals is not None else None,
            rollout=rollout_told(found) if found is not None else None,
        )

    async def versions(self, moves: Sequence[Move]) -> list[VersionTold]:
        found = []
        for version in list(dict.fromkeys(version.hex() for _, _, version in reversed(moves)))[:VERSIONS_MAX]:
            told = await self._figures("versions", f"blocks/{self._dataset}", Blocks, version=version, ranges=1)
            if told is not None:
                tags = tuple(sorted(tag for tag, at in self._tags.items() if at.hex() == version))
                found.append(VersionTold(version, tags, told.complete_peers, told.partial_peers, told.origins))
        return found

    async def heat(self, version: str | None) -> tuple[VersionHeat, ...]:
        told = await self._figures("heat", f"heat/{self._dataset}", Heat)
        return tuple(each for each in told.versions if version in (None, each.version)) if told is not None else ()

    async def bad_blocks(self) -> int | None:
        told = await self._figures("refused", "overview", Overview)
        return told.totals.bad_blocks if told is not None else None


def brought(moves: Sequence[Move]) -> list[Move]:
    """The moves without those that only steer a rollout: they are of the move that began it."""
    return [move for move in moves if move[0].kind != "rollout" or any(one.is_taken_back for one in move[0].rollouts)]


def reason_of(field: str, error: AetherError) -> str:
    """Why there is nothing, in words."""
    if isinstance(error, NotFoundError) and field in GONE and not str(error).startswith("404:"):
        return GONE[field]
    if str(error).startswith("404:"):  # no answer of ours: the tracker has no such route
        return "the tracker is of an older program, which tells no figures: update it"
    return str(error)[:REASON_CHARS]


def rollout_told(found: Rollout) -> RolloutTold:
    """What is told of a rollout."""
    share = found.sources.share_origin
    return RolloutTold(
        ended=found.ended,
        wanted=found.wanted + found.away,
        current=found.counts.current + found.away,
        failed=found.counts.failed,
        completion=found.completion,
        sources=found.sources,
        offload=round(1 - share, 4) if share is not None else None,
    )


def _tier(name: str, store: MemoryStore | DiskStore) -> TierTold:
    regret = store.regret
    return TierTold(name, store.hits, store.misses, regret.evicted, regret.blocks, regret.bytes)
