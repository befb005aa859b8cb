"""What a measured remedy is worth telling. Pure.

A finding says what a change to some files would save every consumer, from the second version with the change on; the
first one has all of these files new, once. It was measured: the files as they are and as they would be, both versions
cut and encoded. Where the change saves little there is no finding, so a set that is right already has none.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec

# Less than a tenth of what the files cost, or less than a hundredth of all, is not worth anybody's afternoon.
SAVED_SHARE_MIN: Final = 0.10
SAVED_OF_FETCH_MIN: Final = 0.01
SAVED_BYTES_MIN: Final = 64 * 1024
FILES_TOLD: Final = 10
# What saves so much less of the same files saves as much.
AS_MUCH_SHARE: Final = 0.02


class Cost(msgspec.Struct, frozen=True):
    """What an update of some files moves: blocks as directories give them, and as a seed does. ``bytes``: their size in
    the new version.
    """

    wire_bytes: int
    encoded_bytes: int
    bytes: int


class Measured(msgspec.Struct, frozen=True):
    """How much of what is concerned was measured. Less than all is a sample: the largest files that fit the budget, or
    the beginning of one.
    """

    files: int
    of_files: int
    bytes: int
    of_bytes: int

    @property
    def is_sample(self) -> bool:
        return self.bytes < self.of_bytes or self.files < self.of_files


class Finding(msgspec.Struct, frozen=True):
    """``saved_share`` is of what these files cost as they are; ``saved_of_fetch`` of what the whole update costs.

    ``once_bytes``: what the first version with the change costs for these files.
    """

    kind: str
    title: str
    change: str
    files: tuple[str, ...]
    file_count: int
    now_bytes: int
    after_bytes: int
    saved_bytes: int
    saved_share: float
    saved_share_from_seed: float
    saved_of_fetch: float
    once_bytes: int
    basis: str
    measured: Measured
    sampled: bool


def finding_of(
    kind: str,
    title: str,
    change: str,
    files: tuple[str, ...],
    now: Cost,
    after: Cost,
    measured: Measured,
    *,
    fetch_bytes: int,
    basis: str,
) -> Finding | None:
    """The finding, None if it is not worth it. ``fetch_bytes`` is the update of all files.

    What a sample saves is told for all that it stands for.
    """
    scale = measured.of_bytes / measured.bytes if measured.bytes else 1.0
    share = _saved(now.wire_bytes, after.wire_bytes)
    saved = round((now.wire_bytes - after.wire_bytes) * scale)
    of_fetch = saved / max(fetch_bytes, saved, 1)
    if share < SAVED_SHARE_MIN or saved < SAVED_BYTES_MIN or of_fetch < SAVED_OF_FETCH_MIN:
        return None
    return Finding(
        kind=kind,
        title=title,
        change=change,
        files=files[:FILES_TOLD],
        file_count=len(files),
        now_bytes=round(now.wire_bytes * scale),
        after_bytes=round(after.wire_bytes * scale),
        saved_bytes=saved,
        saved_share=round(share, 4),
        saved_share_from_seed=round(_saved(now.encoded_bytes, after.encoded_bytes), 4),
        saved_of_fetch=round(of_fetch, 4),
        once_bytes=round(after.bytes * scale),
        basis=basis,
        measured=measured,
        sampled=measured.is_sample,
    )


def _saved(now: int, after: int) -> float:
    return 1 - after / now if now else 0.0


def best_of(found: Sequence[tuple[Finding, frozenset[str]]]) -> list[Finding]:
    """Of findings about the same files, all of which each comes with, that which saves most: who changes them one way
    has nothing of the other. Of those that save as much the first.
    """
    kept: list[Finding] = []
    left = sorted(found, key=lambda each: -each[0].saved_bytes)
    while left:
        most, files = left[0]
        enough = most.saved_bytes - AS_MUCH_SHARE * most.now_bytes
        kept.append(next(each for each, theirs in found if theirs == files and each.saved_bytes >= enough))
        left = [(each, theirs) for each, theirs in left if not theirs <= files]
    return kept


def in_order(findings: list[Finding]) -> list[Finding]:
    """What saves most first."""
    return sorted(findings, key=lambda finding: (-finding.saved_bytes, finding.kind))
