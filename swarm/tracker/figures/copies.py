"""How many copies of each block peers hold, and what would be lost with the origin. Pure.

Copies are counted for all blocks at once: ``Tally`` keeps one integer a binary digit of the counts, with a bit a block.
So ten thousand bitmaps of ten thousand blocks are counted in a fraction of a second.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
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
    """What is known of a version's blocks: ``sizes`` of each and ``files``, empty where nobody has its manifest."""

    blocks: int
    size_bytes: int
    sizes: Sequence[int] = ()
    files: Sequence[FileSpan] = ()


@dataclass(slots=True)
class _Holders:
    complete: list[KnownPeer]
    partial: list[tuple[KnownPeer, int]]
    vague: list[tuple[KnownPeer, int]]
    origins: list[KnownPeer]


def blocks_view(
    picture: Picture, dataset: str, version: bytes, layout: Layout | None, ranges: int, now: float
) -> Blocks | None:
    """Availability of a version; None if nobody is known to hold any of it."""
    alike = _alike(picture, dataset, version)
    blocks, size_bytes = (layout.blocks, layout.size_bytes) if layout is not None else alike
    if not blocks:
        return None
    holders = _holders(picture, dataset, version, blocks)
    everything = (1 << blocks) - 1
    tally = Tally()
    for _, bits in holders.partial:
        tally.add(bits & everything)
    complete, part = len(holders.complete), tally.cut(blocks)
    spans = list(_spans(blocks, min(max(1, ranges), RANGES_MAX)))
    exact = not holders.vague
    return Blocks(
        at=picture.wall(now),
        dataset=dataset,
        version=version.hex(),
        tags=_tags(picture, dataset, version),
        blocks=blocks,
        bytes=size_bytes,
        complete_peers=complete,
        partial_peers=len(holders.partial) + len(holders.vague),
        origins=len(holders.origins),
        fewest=complete + tally.fewest(everything),
        mean=round(complete + tally.total(everything) / blocks + sum(n for _, n in holders.vague) / blocks, 2),
        exact=exact,
        ranges=tuple(_range(part, complete, len(holders.origins), first, count) for first, count in spans),
        files=tuple(_files(part, complete, layout)),
        peers=tuple(_peers(holders, spans, blocks)),
        survival=_survival(tally, holders, layout, size_bytes, blocks, exact=exact),
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
    found = _Holders([], [], [], [])
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
            found.partial.append((peer, int.from_bytes(held.bits, "little")))
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


def _peers(holders: _Holders, spans: Sequence[tuple[int, int]], blocks: int) -> list[PeerBlocks]:
    partial = sorted(holders.partial, key=lambda item: item[1].bit_count())
    told = [_peer(peer, bits.bit_count(), _strip(bits, spans)) for peer, bits in partial[:PEERS_TOLD_MAX]]
    told += [_peer(peer, count, "") for peer, count in holders.vague]
    told += [_peer(peer, blocks, "x" * len(spans)) for peer in (*holders.complete, *holders.origins)[:PEERS_TOLD_MAX]]
    return told[:PEERS_TOLD_MAX]


def _peer(peer: KnownPeer, held: int, strip: str) -> PeerBlocks:
    who = peer.who
    return PeerBlocks(who.peer_id, who.site, who.role, peer.is_origin, held, strip)


def _strip(bits: int, spans: Sequence[tuple[int, int]]) -> str:
    found = []
    for first, count in spans:
        held = (bits & _mask(first, count)).bit_count()
        found.append("x" if held == count else _DIGITS[held * 10 // count])
    return "".join(found)


def _survival(
    tally: Tally, holders: _Holders, layout: Layout | None, size_bytes: int, blocks: int, *, exact: bool
) -> Survival:
    if holders.complete:
        others = len(holders.complete)
        words = f"yes: {others} peer{'s hold' if others != 1 else ' holds'} all of it"
        return Survival("yes", words, (), 0, 0)
    lost = tally.none((1 << blocks) - 1)
    count = lost.bit_count()
    if not count:
        return Survival("yes", f"yes: {len(holders.partial)} peers hold all of it together", (), 0, 0)
    runs = list(_runs(lost))
    sizes = layout.sizes if layout is not None else ()
    lost_bytes = sum(sizes[i] for first, n in runs for i in range(first, first + n)) if sizes else 0
    lost_bytes = lost_bytes or size_bytes * count // blocks
    told = tuple(runs[:LOST_TOLD_MAX])
    if not exact:
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
