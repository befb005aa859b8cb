"""A directory looked at before it is published: scanned as publishing does, compared with what consumers have.

What was read is remembered where publishing remembers it, so an unchanged file is read by neither again, and an
analysis that was stopped goes on where it was. Blocking.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Protocol

from swarm.analysis.archives import OneTar, Times
from swarm.analysis.changes import Change, changes_of
from swarm.analysis.compressed import Gzip, Zstd
from swarm.analysis.crowding import TITLE, crowded
from swarm.analysis.curing import Bench, Candidate, Remedy, examine
from swarm.analysis.facts import facts_of, reuse_of
from swarm.analysis.fetch import Fetch, fetch_of, fetched_by_file
from swarm.analysis.findings import Finding, in_order
from swarm.analysis.media import Recompressed
from swarm.analysis.parquet import Parquet
from swarm.analysis.records import Shuffled
from swarm.analysis.report import UNSOUGHT, Against, Analysis, FetchTold, counted, told_of
from swarm.analysis.sizes import EncodedSizes
from swarm.errors import IncompleteError
from swarm.limits import KIB
from swarm.manifest import Manifest
from swarm.scan import Scan, scan
from swarm.scan_cache import ScanCache
from swarm.segments import FILE
from swarm.walk import Links

# The simplest first: of two that save as much of the same files that is told.
REMEDIES: Final[tuple[Remedy, ...]] = (Times(), Gzip(), Zstd(), Parquet(), Shuffled(), Recompressed(), OneTar())
# Smaller files are not looked into for findings.
CANDIDATE_MIN_BYTES: Final = KIB
# What was learnt is saved so often, in case the process is killed.
SAVE_EVERY_S: Final = 120.0
MIB: Final = KIB * KIB
BUDGET_BYTES: Final = 256 * MIB

Report = Callable[[dict[str, Any]], None]


class Older(Protocol):
    """The version that consumers have, and others of its dataset."""

    ref: str
    dataset: str
    manifest: Manifest

    def tags(self) -> Mapping[str, Manifest]:
        """The manifests that tags of the dataset point to now."""

    def copy(self, path: str, target: Path, limit: int) -> None:
        """Write the beginning of a file, at most so many bytes."""


@dataclass(frozen=True, slots=True)
class Request:
    """What to look at. ``scans``: where it is remembered what was read; ``gives``: whether blocks are given out of the
    directory once it is published. ``budget_bytes``: what each remedy may treat, none for 0.
    """

    root: Path
    scan_path: Path
    sizes_path: Path
    links: Links = "refuse"
    older: Older | None = None
    gives: bool = False
    budget_bytes: int = BUDGET_BYTES
    progress: Report = field(default=lambda report: None)
    should_stop: Callable[[], bool] = field(default=lambda: False)


def analyze(request: Request) -> Analysis:
    """Look at a directory or file. Raises what ``swarm.scan`` does; IncompleteError when told to stop."""
    began = time.monotonic()
    with EncodedSizes.load(request.sizes_path) as sizes:
        scanned, read_bytes = _read(request, sizes)
        return _compared(request, scanned, sizes, read_bytes, began)


def _read(request: Request, sizes: EncodedSizes) -> tuple[Scan, int]:
    """The manifest, and every block's encoded size."""
    cache = ScanCache.load(request.scan_path)
    saved = time.monotonic()

    def save(wanted: Sequence[bytes] | None = None) -> None:
        nonlocal saved
        cache.save(request.scan_path)
        sizes.save(request.sizes_path, wanted)
        saved = time.monotonic()

    def tell(phase: str) -> Callable[[int, int], None]:
        def told(done: int, total: int) -> None:
            request.progress({"event": "progress", "phase": phase, "done_bytes": done, "total_bytes": total})
            if time.monotonic() - saved > SAVE_EVERY_S:
                save()

        return told

    try:
        scanned = scan(
            request.root,
            links=request.links,
            cache=cache,
            progress=tell("read"),
            made=sizes.take,
            cut=sizes.take,
            should_stop=request.should_stop,
        )
        again = sizes.complete(
            scanned.manifest, scanned.root, progress=tell("compress"), should_stop=request.should_stop
        )
    except IncompleteError as error:
        save()
        raise IncompleteError("the analysis was stopped: repeat the command to go on where it was") from error
    except BaseException:
        save()
        raise
    save([block.signature for block in scanned.manifest.unique])
    return scanned, scanned.read_bytes + again


def _compared(request: Request, scanned: Scan, sizes: EncodedSizes, read_bytes: int, began: float) -> Analysis:
    new, older = scanned.manifest, request.older
    first = fetch_of(new, None)
    fetch = fetch_of(new, older.manifest) if older is not None else first
    by_file = fetched_by_file(fetch)
    changes = changes_of(new, older.manifest, fetch.blocks, by_file) if older is not None else []
    told = _told(fetch, sizes, gives=request.gives)
    findings, notes = ([], [UNSOUGHT]) if not request.budget_bytes else _examined(request, scanned, changes, told)
    if request.budget_bytes and older is not None:
        found, said = _crowded(request, fetch, changes, scanned, sizes, told)
        findings, notes = [*findings, *found], [*notes, *said]
    return Analysis(
        path=str(request.root),
        version=new.version.hex(),
        against=Against(older.ref, older.dataset, older.manifest.version.hex()) if older is not None else None,
        facts=facts_of(new, sizes.of, first.manifest_bytes()),
        first_fetch=_told(first, sizes, gives=request.gives),
        fetch=told,
        counts=counted(changes),
        changes=told_of(changes),
        reuse=tuple(reuse_of(new, older.tags())) if older is not None else (),
        findings=tuple(in_order(findings)),
        notes=tuple(notes),
        read_bytes=read_bytes,
        seconds=round(time.monotonic() - began, 3),
    )


def _told(fetch: Fetch, sizes: EncodedSizes, *, gives: bool) -> FetchTold:
    manifest_bytes = fetch.manifest_bytes()
    raw, encoded = fetch.raw_bytes() + manifest_bytes, fetch.encoded_bytes(sizes.of) + manifest_bytes
    return FetchTold(
        blocks=len(fetch.blocks),
        bytes=fetch.bytes,
        manifest_bytes=manifest_bytes,
        from_peers_bytes=raw,
        from_seed_bytes=encoded,
        wire_bytes=raw if gives else encoded,
        wire_basis="directory" if gives else "seed",
        share=round(fetch.bytes / max(1, fetch.manifest.total_bytes), 4),
    )


def _examined(
    request: Request, scanned: Scan, changes: Sequence[Change], told: FetchTold
) -> tuple[list[Any], list[str]]:
    older = request.older
    if older is None:
        candidates = [
            Candidate(entry.path, entry.size, entry.size)
            for entry in scanned.manifest.files
            if entry.kind == FILE and entry.size >= CANDIDATE_MIN_BYTES
        ]
    else:
        candidates = candidates_of(changes)
    bench = Bench(
        root=scanned.root,
        older=older.copy if older is not None else None,
        budget_bytes=request.budget_bytes,
        fetch_bytes=told.from_peers_bytes,
        basis=f"against {older.ref}" if older is not None else "",
        should_stop=request.should_stop,
        tell=lambda words: request.progress({"event": "progress", "phase": "measure", "waiting_for": words}),
    )
    return examine(candidates, REMEDIES, bench)


def _crowded(
    request: Request, fetch: Fetch, changes: Sequence[Change], scanned: Scan, sizes: EncodedSizes, told: FetchTold
) -> tuple[list[Finding], list[str]]:
    assert request.older is not None
    request.progress({"event": "progress", "phase": "measure", "waiting_for": TITLE})
    found, notes = crowded(
        fetch,
        changes,
        scanned.root,
        sizes,
        budget_bytes=request.budget_bytes,
        fetch_bytes=told.from_peers_bytes,
        basis=f"against {request.older.ref}",
        should_stop=request.should_stop,
    )
    return [found] if found is not None else [], notes


def candidates_of(changes: Sequence[Change]) -> list[Candidate]:
    """Files whose content is new, each with the path of what it comes after: its own, or of a file that went, whose
    name differs in numbers alone, as of a release.
    """
    gone: dict[str, list[Change]] = {}
    for change in changes:
        if change.what == "removed" and change.kind == "file":
            gone.setdefault(_series(change.path), []).append(change)
    found = []
    for change in changes:
        if change.kind != "file" or change.size < CANDIDATE_MIN_BYTES or not change.fetch_bytes:
            continue
        if change.what == "changed":
            found.append(Candidate(change.path, change.size, change.fetch_bytes, change.path, change.size_before))
        elif change.what == "added" and len(before := gone.get(_series(change.path), [])) == 1:
            was = before[0]
            found.append(Candidate(change.path, change.size, change.fetch_bytes, was.path, was.size_before))
    return found


def _series(path: str) -> str:
    return re.sub(r"\d+", "#", path)
