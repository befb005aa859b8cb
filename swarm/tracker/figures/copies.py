"""How many copies of each block peers hold, and what would be lost with the origin. Pure.

Copies are counted for all blocks at once: ``Tally`` keeps one integer a binary digit of the counts, with a bit a block.
So ten thousand bitmaps of ten thousand blocks are counted in a fraction of a second.
"""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final

from swarm.figure_messages import BlockRange, Blocks, FileBlocks, PeerBlocks, Survival
from swarm.reports import BITS_MAX_BYTES
from swarm.tracker.figures.peers import KnownPeer
from swarm.tracker.figures.picture import Picture

RANGES_DEFAULT: Final = 120
RANGES_MAX: Final = 400
PEERS_TOLD_MAX: Final = 100
FILES_TOLD_MAX: Final = 200
LOST_TOLD_MAX: Final = 100
# Files of a version that are looked at: each costs some microseconds at each look, and some hundred bytes.
FILES_MAX: Final = 50_000
# What one peer alone says that a version has, no seed, is believed up to as many as it can tell bit by bit.
LONE_BLOCKS_MAX: Final = 8 * BITS_MAX_BYTES
_DIGITS: Final = "0123456789"


class Tally:
    """Counts of all blocks. ``add`` a set (an integer with a bit a block), then ask."""

    def __init__(self) -> None:
        self._digits: list[int] = []

    def add(self, blocks: int) -> None:
        for place, digit in enumerate(self._digits):
            self._digits[place], blocks = digit ^ blocks, digit & blocks
            if not blocks:
                return
        if blocks:
            self._digits.append(blocks)

    def fewest(self, among: int) -> int:
        """The lowest count of these blocks, of which there is one at least."""
        found = 0
        for place in range(len(self._digits) - 1, -1, -1):
            without = among & ~self._digits[place]
            if without:
                among = without
            else:
                found |= 1 << place
        return found

    def total(self, among: int) -> int:
        """The sum of the counts of these blocks."""
        return sum((digit & among).bit_count() << place for place, digit in enumerate(self._digits))

    def none(self, among: int) -> int:
        """Of these blocks, those with no copy."""
        for digit in self._digits:
            among &= ~digit
        return among

    def cut(self, blocks: int) -> Callable[[int, int], Tally]:
        """Gives the counts of a run of these blocks by themselves, for (first, how many), at the cost of the run."""
        whole = [digit.to_bytes((max(blocks, digit.bit_length()) + 7) // 8, "little") for digit in self._digits]

        def part(first: int, count: int) -> Tally:
            found, start, end, among = Tally(), first // 8, (first + count + 7) // 8, (1 << count) - 1
            found._digits = [int.from_bytes(each[start:end], "little") >> first % 8 & among for each in whole]
            return found

        return part


@dataclass(frozen=True, slots=True)
class FileSpan:
    """A file, and which unique blocks it begins and ends with."""

    path: str
    size: int
    first: int
    count: int


@dataclass(frozen=True, slots=True)
class Layout:
    """What is known of a version's blocks: ``sizes`` of each and ``files``, the first ``FILES_MAX``; both empty where
    nobody has its manifest.
    """

    blocks: int
    size_bytes: int
    sizes: Sequence[int] = ()
    files: Sequence[FileSpan] = ()


@dataclass(slots=True)
class _Holders:
    """``bits`` are of those in ``partial``, in the same order: garbage collections would look at thousands of pairs."""

    complete: list[KnownPeer] = field(default_factory=list)
    partial: list[KnownPeer] = field(default_factory=list)
    bits: list[bytes] = field(default_factory=list)
    vague: list[tuple[KnownPeer, int]] = field(default_factory=list)
    origins: list[KnownPeer] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Seen:
    """Who held what of a version at one moment. Counting it is left to a thread: what peers tell meanwhile is not in
    it.
    """

    at: float
    dataset: str
    version: bytes
    tags: tuple[str, ...]
    blocks: int
    size_bytes: int
    holders: _Holders
    layout: Layout | None


def seen(picture: Picture, dataset: str, version: bytes, layout: Layout | None, now: float) -> Seen | None:
    """None if nobody is known to hold any of the version."""
    alike = _alike(picture, dataset, version)
    blocks, size_bytes = (layout.blocks, layout.size_bytes) if layout is not None else alike
    if not blocks:
        return None
    holders, tags = _holders(picture, dataset, version, blocks), _tags(picture, dataset, version)
    return Seen(picture.wall(now), dataset, version, tags, blocks, size_bytes, holders, layout)


def counted(seen: Seen, ranges: int) -> Blocks:
    """Availability of a version."""
    holders, blocks, everything = seen.holders, seen.blocks, (1 << seen.blocks) - 1
    partial = [int.from_bytes(bits, "little") & everything for bits in holders.bits]
    tally = Tally()
    for bits in partial:
        tally.add(bits)
    complete, part = len(holders.complete), tally.cut(blocks)
    spans = list(_spans(blocks, min(max(1, ranges), RANGES_MAX)))
    return Blocks(
        at=seen.at,
        dataset=seen.dataset,
        version=seen.version.hex(),
        tags=seen.tags,
        blocks=blocks,
        bytes=seen.size_bytes,
        complete_peers=complete,
        partial_peers=len(partial) + len(holders.vague),
        origins=len(holders.origins),
        fewest=complete + tally.fewest(everything),
        mean=round(complete + tally.total(everything) / blocks + sum(n for _, n in holders.vague) / blocks, 2),
        exact=not holders.vague,
        ranges=tuple(_range(part, complete, len(holders.origins), first, count) for first, count in spans),
        files=tuple(_files(part, complete, seen.layout)),
        peers=tuple(_peers(holders, partial, spans, blocks)),
        survival=_survival(tally, seen),
    )


def _alike(picture: Picture, dataset: str, version: bytes) -> tuple[int, int]:
    """How many blocks and bytes a version has by a seed, or else by most holders, the fewest of equally many: each
    look costs as much as there are blocks, so what one says alone is bounded.
    """
    said: Counter[tuple[int, int]] = Counter()
    kept: Counter[tuple[int, int]] = Counter()
    for peer in picture.peers.values():
        held = peer.holdings.get((dataset, version))
        if held is not None:
            said[held.blocks, held.size_bytes] += 1
            kept[held.blocks, held.size_bytes] += peer.keeps
    believed = [each for each in said if said[each] > 1 or kept[each] or each[0] <= LONE_BLOCKS_MAX]
    return min(believed, key=lambda each: (-kept[each], -said[each], each), default=(0, 0))


def _holders(picture: Picture, dataset: str, version: bytes, blocks: int) -> _Holders:
    """Who holds what of it. Whoever says that it has another number of blocks is not believed."""
    found = _Holders()
    for peer in picture.peers.values():
        if peer.health == "gone":
            continue
        held = peer.holdings.get((dataset, version))
        if held is not None and held.blocks != blocks:
            continue
        if peer.keeps or (held is not None and held.is_origin):
            found.origins.append(peer)
        elif held is None:
            continue
        elif held.held >= held.blocks:
            found.complete.append(peer)
        elif held.bits:
            found.partial.append(peer)
            found.bits.append(held.bits)
        elif held.held:
            found.vague.append((peer, held.held))
    return found


def _tags(picture: Picture, dataset: str, version: bytes) -> tuple[str, ...]:
    return tuple(
        tag
        for (name, tag), figures in picture.tags.items()
        if name == dataset and figures.rollout is not None and figures.rollout.version == version
    )


def _spans(blocks: int, ranges: int) -> Iterator[tuple[int, int]]:
    """All blocks in so many ranges, or one a block."""
    ranges = min(ranges, blocks)
    for place in range(ranges):
        first, end = place * blocks // ranges, (place + 1) * blocks // ranges
        yield first, end - first


def _mask(first: int, count: int) -> int:
    return ((1 << count) - 1) << first


def _counted(part: Callable[[int, int], Tally], complete: int, first: int, count: int) -> tuple[int, float]:
    """The fewest copies of a run of blocks, and the mean."""
    tally, among = part(first, count), (1 << count) - 1
    return complete + tally.fewest(among), round(complete + tally.total(among) / count, 2)


def _range(part: Callable[[int, int], Tally], complete: int, origins: int, first: int, count: int) -> BlockRange:
    return BlockRange(first, count, *_counted(part, complete, first, count), origins)


def _files(part: Callable[[int, int], Tally], complete: int, layout: Layout | None) -> list[FileBlocks]:
    found = []
    for span in layout.files if layout is not None else ():
        if not span.count:
            continue
        fewest, mean = _counted(part, complete, span.first, span.count)
        found.append(FileBlocks(span.path, span.size, span.first, span.count, fewest, mean))
    found.sort(key=lambda file: (file.fewest, file.mean, file.path))
    return found[:FILES_TOLD_MAX]


def _peers(
    holders: _Holders, partial: Sequence[int], spans: Sequence[tuple[int, int]], blocks: int
) -> list[PeerBlocks]:
    least = heapq.nsmallest(
        PEERS_TOLD_MAX, zip(holders.partial, partial, strict=True), lambda item: item[1].bit_count()
    )
    told = [_peer(peer, bits.bit_count(), _strip(bits, spans)) for peer, bits in least]
    told += [_peer(peer, count, "") for peer, count in holders.vague]
    told += [_peer(peer, blocks, "x" * len(spans)) for peer in (*holders.complete, *holders.origins)[:PEERS_TOLD_MAX]]
    return told[:PEERS_TOLD_MAX]


def _peer(peer: KnownPeer, held: int, strip: str) -> PeerBlocks:
    who = peer.who
    # A copy: what the peer holds may change while this counts.
    is_origin = peer.keeps or any(each.is_origin for each in list(peer.holdings.values()))
    return PeerBlocks(who.peer_id, who.site, who.role, is_origin, held, strip)


def _strip(bits: int, spans: Sequence[tuple[int, int]]) -> str:
    found = []
    for first, count in spans:
        held = (bits & _mask(first, count)).bit_count()
        found.append("x" if held == count else _DIGITS[held * 10 // count])
    return "".join(found)


def _survival(tally: Tally, seen: Seen) -> Survival:
    holders, blocks = seen.holders, seen.blocks
    if holders.complete:
        others = len(holders.complete)
        words = f"yes: {others} peer{'s hold' if others != 1 else ' holds'} all of it"
        return Survival("yes", words, (), 0, 0)
    lost = tally.none((1 << blocks) - 1)
    count = lost.bit_count()
    if not count:
        return Survival("yes", f"yes: {len(holders.partial)} peers hold all of it together", (), 0, 0)
    runs = list(_runs(lost))
    sizes = seen.layout.sizes if seen.layout is not None else ()
    lost_bytes = sum(sizes[i] for first, n in runs for i in range(first, first + n)) if sizes else 0
    lost_bytes = lost_bytes or seen.size_bytes * count // blocks
    told = tuple(runs[:LOST_TOLD_MAX])
    if holders.vague:
        return Survival("unknown", "some peers told only how much they hold, not what", told, count, lost_bytes)
    return Survival("no", f"no: {count:,} of {blocks:,} blocks are with the origin alone", told, count, lost_bytes)


def _runs(blocks: int) -> Iterator[tuple[int, int]]:
    """The runs of set bits, as (first, how many)."""
    at = 0
    while blocks:
        skip = (blocks & -blocks).bit_length() - 1
        blocks >>= skip
        at += skip
        count = (~blocks & (blocks + 1)).bit_length() - 1
        yield at, count
        blocks >>= count
        at += count
