"""How a dataset performs: its moves with what was foreseen of them, who has which version, what is read, what caches
had. Pure but for ``PastMoves``, which reads what is kept in the object store, in a thread.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Collection, Iterable, Mapping, Sequence
from itertools import islice
from typing import Final

import msgspec

from swarm.claims import keys_below
from swarm.errors import NotFoundError
from swarm.figure_performance import Caches, Foreseen, MovePerformance, Performance, VersionHolders
from swarm.objects import ObjectStore
from swarm.reports import Room
from swarm.tracker.figures import keeping
from swarm.tracker.figures.heat import heat_view
from swarm.tracker.figures.members import CURRENT, FAILED
from swarm.tracker.figures.peers import KnownPeer
from swarm.tracker.figures.picture import Picture
from swarm.tracker.figures.rollouts import RolloutFigures
from swarm.tracker.figures.views import completion_of, sources_of

MOVES_MAX: Final = 8
VERSIONS_MAX: Final = 16
REMEMBERED_MAX: Final = 128
# Keys that are listed for the latest moves: 256 tags with all that is kept of each, in nine calls.
LISTED_MAX: Final = 256 * keeping.KEPT_MAX
# A forecast may be told in the second in which the move is committed.
CLOCK_STEP_S: Final = 1.0

Move = tuple[str, int]


def move_of(rollout: RolloutFigures, offset: float) -> MovePerformance:
    """One rollout as it went, or goes. ``offset``: wall clock minus that of the picture."""
    sources, ended, away = sources_of(rollout.sources()), rollout.ended, len(rollout.away_current)
    return MovePerformance(
        serial=rollout.serial,
        tag=rollout.tag,
        version=rollout.version.hex(),
        previous_version=rollout.previous.hex(),
        message=rollout.message,
        started=round(rollout.started + offset, 3),
        ended=round(ended + offset, 3) if ended is not None else None,
        wanted=rollout.wanted + away,
        current=rollout.counts[CURRENT] + away,
        failed=rollout.counts[FAILED],
        bytes=rollout.total_bytes,
        completion=completion_of(rollout),
        sources=sources,
        offload=round(1 - sources.share_origin, 5) if sources.share_origin is not None else None,
    )


def moves_of(picture: Picture, dataset: str) -> dict[Move, MovePerformance]:
    """Those that this tracker has seen."""
    return {
        (rollout.tag, rollout.serial): move_of(rollout, picture.offset)
        for rollout in picture.rollouts.values()
        if rollout.dataset == dataset and (rollout.wanted or rollout.away_current)
    }


class PastMoves:
    """Those that lie in the object store, replayed once each. For threads."""

    def __init__(self) -> None:
        self._moves: OrderedDict[str, MovePerformance] = OrderedDict()

    def of(self, objects: ObjectStore, dataset: str, known: Collection[Move], offset: float) -> list[MovePerformance]:
        """The latest of a dataset that are not ``known``."""
        prefix = f"{keeping.PREFIX}{dataset}/"
        # They are in the order of tags, so all are looked at to find the latest.
        keys = islice(keys_below(objects, prefix), LISTED_MAX)
        there = [key.removeprefix(prefix).partition("/") for key in keys]
        wanted = {(tag, int(serial)) for tag, _, serial in there if serial.isdigit()} - set(known)
        latest = sorted(wanted, key=lambda move: move[1], reverse=True)[:MOVES_MAX]
        found = [self._read(objects, dataset, *move, offset) for move in latest]
        return [move for move in found if move is not None]

    def _read(self, objects: ObjectStore, dataset: str, tag: str, serial: int, offset: float) -> MovePerformance | None:
        key = keeping.key_of(dataset, tag, serial)
        if (move := self._moves.get(key)) is None:
            try:
                move = move_of(keeping.replayed(keeping.read(objects, dataset, tag, serial), offset), offset)
            except NotFoundError:
                return None
            self._moves[key] = move
            while len(self._moves) > REMEMBERED_MAX:
                self._moves.pop(next(iter(self._moves)), None)
        return move


def performance_view(
    picture: Picture,
    dataset: str,
    moves: Iterable[MovePerformance],
    foreseen: Mapping[str, Sequence[Foreseen]],
    now: float,
    named: Mapping[str, bytes],
) -> Performance:
    """All of it. ``named``: the tags of the dataset that the log has; those that peers follow are known without."""
    moves = list(moves)
    latest = sorted(moves, key=lambda move: move.started, reverse=True)[:MOVES_MAX]
    at = picture.wall(now)
    concerned = [peer for peer in picture.peers.values() if peer.health != "gone" and _concerns(peer, dataset)]
    return Performance(
        at=at,
        dataset=dataset,
        moves=tuple(_with_forecast(move, foreseen.get(move.version, ())) for move in latest),
        versions=tuple(_holders(picture, concerned, dataset, named, _serials(moves, concerned, dataset))),
        heat=heat_view(picture.peers.values(), dataset, at).versions,
        caches=_caches([peer.room for peer in concerned if peer.room is not None]),
        bad_blocks=sum(peer.totals.bad_blocks for peer in concerned),
        refused=sum(peer.totals.refused for peer in concerned),
    )


def _with_forecast(move: MovePerformance, foreseen: Sequence[Foreseen]) -> MovePerformance:
    """With the last that was made before."""
    before = [each for each in foreseen if each.at <= move.started + CLOCK_STEP_S]
    return msgspec.structs.replace(move, foreseen=before[-1]) if before else move


def _concerns(peer: KnownPeer, dataset: str) -> bool:
    return any(name == dataset for name, _ in (*peer.holdings, *peer.followed, *peer.reads))


def _serials(moves: Iterable[MovePerformance], peers: Iterable[KnownPeer], dataset: str) -> dict[bytes, int]:
    """The last entry by which a version is known to have come, which tells the newer of two."""
    found: dict[bytes, int] = {}
    told = [
        (each.version, each.serial) for peer in peers for (name, _), each in peer.followed.items() if name == dataset
    ]
    for version, serial in (*told, *((bytes.fromhex(move.version), move.serial) for move in moves)):
        found[version] = max(found.get(version, 0), serial)
    return found


def _holders(
    picture: Picture,
    peers: Iterable[KnownPeer],
    dataset: str,
    named: Mapping[str, bytes],
    serials: Mapping[bytes, int],
) -> list[VersionHolders]:
    """Those that most have first. Seeds are origins of all, whatever they hold."""
    counts: dict[bytes, list[int]] = {}
    for peer in peers:
        own: list[tuple[bool, int, bytes]] = []
        for (name, version), held in peer.holdings.items():
            if name == dataset and held.held:
                whole = 2 if peer.keeps or held.is_origin else 0 if held.held >= held.blocks else 1
                counts.setdefault(version, [0, 0, 0, 0])[whole] += 1
                own += [(not whole, serials.get(version, 0), version)] if whole < 2 else []
        if own:
            counts[max(own)[2]][3] += 1
    moved = {
        tag: figures.rollout.version
        for (name, tag), figures in picture.tags.items()
        if name == dataset and figures.rollout is not None
    }
    tags: dict[bytes, list[str]] = {}
    for tag, version in {**named, **moved}.items():
        tags.setdefault(version, []).append(tag)
    order = sorted(counts, key=lambda version: (counts[version], version), reverse=True)
    return [
        VersionHolders(version.hex(), tuple(sorted(tags.get(version, ()))), *counts[version])
        for version in order[:VERSIONS_MAX]
    ]


def _caches(rooms: Collection[Room]) -> Caches:
    return Caches(
        peers=len(rooms),
        hits=sum(room.hits for room in rooms),
        misses=sum(room.misses for room in rooms),
        evicted=sum(room.evicted for room in rooms),
        regretted=sum(room.regretted for room in rooms),
        regretted_bytes=sum(room.regretted_bytes for room in rooms),
    )
