"""Small files that change among others: what laying them apart saves, applied for real; and none where they lie so."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from swarm.analysis.changes import changes_of
from swarm.analysis.crowding import crowded
from swarm.analysis.fetch import Fetch, fetch_of, fetched_by_file
from swarm.analysis.findings import Finding
from swarm.analysis.sizes import EncodedSizes
from swarm.errors import IncompleteError
from swarm.scan import scan
from tests.datasets import seeded
from tests.unit.analysis.samples import put

Files = Mapping[str, bytes]
CALM = {f"{n // 100:02}/{n:04}.json": seeded(f"calm{n}", 8000) for n in range(800)}
BUSY = [f"{n // 100:02}/{n:04}.json" for n in range(40, 800, 79)]


def versions(lay: str) -> tuple[dict[str, bytes], dict[str, bytes]]:
    """Two versions of which few small files change; ``lay`` is put before the paths of these."""
    calm = {path: content for path, content in CALM.items() if path not in BUSY}
    old, new = ({lay + path: seeded(f"{version}{path}", 8000) for path in BUSY} for version in (1, 2))
    return {**calm, **old}, {**calm, **new}


def looked_at(folder: Path, before: Files, after: Files, **more: object) -> tuple[Finding | None, list[str], Fetch]:
    root = put(folder / "new", after)
    with EncodedSizes() as sizes:
        older, newer = scan(put(folder / "old", before)).manifest, scan(root, made=sizes.take).manifest
        fetch = fetch_of(newer, older)
        changes = changes_of(newer, older, fetch.blocks, fetched_by_file(fetch))
        given = {"budget_bytes": 1 << 28, "fetch_bytes": fetch.raw_bytes(), "basis": "b", **more}
        return *crowded(fetch, changes, root, sizes, **given), fetch  # type: ignore[arg-type]


def test_small_files_laid_apart_save_what_was_measured(tmp_path: Path) -> None:
    found, notes, _ = looked_at(tmp_path / "mixed", *versions(""))
    assert found is not None and notes == []
    assert (found.file_count, found.files[0]) == (len(BUSY), BUSY[0])
    right, _, fetch = looked_at(tmp_path / "apart", *versions("busy/"))
    assert right is None, "who has done it is told nothing"
    saved = 1 - fetch.raw_bytes() / found.now_bytes
    assert found.saved_share > 0.5 and found.saved_share == pytest.approx(saved, abs=0.1)


def test_where_all_of_them_change_or_none_is_small_nothing_is_told(tmp_path: Path) -> None:
    old, new = ({path: seeded(f"{version}{path}", 8000) for path in BUSY} for version in (1, 2))
    assert looked_at(tmp_path / "all", old, new)[:2] == (None, [])
    large = [{"a": seeded(f"a{version}", 100_000), "b": seeded("b", 2_000_000)} for version in (1, 2)]
    assert looked_at(tmp_path / "large", *large)[:2] == (None, [])


def test_too_many_are_said_to_be_not_measured_and_it_can_be_stopped(tmp_path: Path) -> None:
    found, notes, _ = looked_at(tmp_path / "many", *versions(""), budget_bytes=1000)
    assert found is None and "not measured" in notes[0]
    with pytest.raises(IncompleteError):
        looked_at(tmp_path / "stopped", *versions(""), should_stop=lambda: True)
