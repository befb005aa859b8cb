"""An analysis that is stopped goes on where it was; what did not change is read no more; encoded sizes are exact."""

from __future__ import annotations

import os
import time
from dataclasses import replace
from pathlib import Path

import pytest
from msgspec import structs

from swarm.analysis.analyze import Request, analyze
from swarm.analysis.changes import Change
from swarm.analysis.page import analysis_page
from swarm.analysis.report import Against, counted, told_of
from swarm.analysis.sizes import EncodedSizes
from swarm.cli.analyze import analysis_lines
from swarm.encoding import encode_block
from swarm.errors import IncompleteError
from swarm.scan import scan
from swarm.scan_cache import TICK_NS, ScanCache
from tests.datasets import seeded, write_files
from tests.unit.analysis.samples import rows, table


@pytest.fixture
def request_of(tmp_path: Path) -> Request:
    root = tmp_path / "set"
    write_files(root, {f"{n}.bin": seeded(f"{n}", 300_000) for n in range(8)} | {"t.csv": table(rows())})
    time.sleep(3 * TICK_NS / 1e9)  # so that their times are no racy ones
    return Request(root, tmp_path / "scan", tmp_path / "sizes", budget_bytes=0)


def test_a_stopped_one_goes_on(request_of: Request) -> None:
    done: list[int] = []

    def stops() -> bool:
        return bool(done) and done[-1] > 1_200_000

    with pytest.raises(IncompleteError, match="repeat the command"):
        analyze(replace(request_of, progress=lambda report: done.append(report["done_bytes"]), should_stop=stops))
    analysis = analyze(request_of)
    assert 0 < analysis.read_bytes < analysis.facts.bytes - 1_000_000
    assert analyze(request_of).read_bytes == 0


def test_only_what_changed_is_read(request_of: Request) -> None:
    analyze(request_of)
    os.truncate(request_of.root / "3.bin", 200_000)
    assert analyze(request_of).read_bytes == 200_000


def test_what_a_publish_has_read_is_read_for_its_compression_alone(request_of: Request) -> None:
    cache = ScanCache()
    scan(request_of.root, cache=cache)
    cache.save(request_of.scan_path)
    first = analyze(request_of)
    assert first.read_bytes == first.facts.bytes
    request_of.sizes_path.write_bytes(b"damaged")
    assert analyze(request_of).facts == first.facts


def test_sizes_are_those_of_encoded_blocks(request_of: Request) -> None:
    plain = {}
    analysis = analyze(request_of)
    manifest = scan(request_of.root, cut=lambda block, view: plain.update({block.signature: bytes(view)})).manifest
    sizes = EncodedSizes.load(request_of.sizes_path)
    assert analysis.facts.encoded_bytes == sum(len(encode_block(data)) for data in plain.values())
    assert {block.signature: sizes.of(block.signature) for block in manifest.unique} == {
        signature: len(encode_block(data)) for signature, data in plain.items()
    }


def test_an_empty_directory_and_a_single_file(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "one.csv").write_bytes(table(rows(100)))
    for name, files in {"empty": 0, "one.csv": 1}.items():
        analysis = analyze(Request(tmp_path / name, tmp_path / "scan", tmp_path / "sizes"))
        assert (analysis.facts.files, analysis.findings) == (files, ())


def test_where_no_findings_are_looked_for_it_says_so(tmp_path: Path) -> None:
    (tmp_path / "one.csv").write_bytes(table(rows(100)))
    request = Request(tmp_path / "one.csv", tmp_path / "scan", tmp_path / "sizes")
    for budget_bytes, is_sought in ((0, False), (1_000_000, True)):
        analysis = analyze(replace(request, budget_bytes=budget_bytes))
        lines = list(analysis_lines(analysis))
        assert ("note: no findings were looked for, as the budget for them is 0" in lines) is not is_sought
        assert any(line.startswith("no findings: nothing that was measured") for line in lines) is is_sought
        assert ("None: nothing that was measured" in analysis_page(analysis)) is is_sought


def test_what_a_share_is_of_is_said(tmp_path: Path) -> None:
    """The amount is compressed where a seed gives it, the share is of plain bytes: here all of the file is fetched."""
    (tmp_path / "one.csv").write_bytes(table(rows(100)))
    request = Request(tmp_path / "one.csv", tmp_path / "scan", tmp_path / "sizes", budget_bytes=0)
    for gives, packed in ((False, ", compressed"), (True, "")):
        analysis = analyze(replace(request, gives=gives))
        line = next(line for line in analysis_lines(analysis) if line.startswith("a new consumer"))
        assert line.endswith(f" from here{packed}: 1 block, 100.0% of the plain bytes")
        assert "100.0% of the plain bytes" in analysis_page(analysis)


def test_of_many_paths_that_are_not_as_before_all_are_counted(tmp_path: Path) -> None:
    (tmp_path / "one.csv").write_bytes(table(rows(100)))
    analysis = analyze(Request(tmp_path / "one.csv", tmp_path / "scan", tmp_path / "sizes", budget_bytes=0))
    near = [Change(f"{n:04}", "touched", "file", 9, 9, 99) for n in range(1000)]
    changed = Change("z", "changed", "file", 9, 9, 9)
    changes = [*near, changed]
    against = Against("maps/roads:v1", "maps/roads", "ab" * 32)
    told = structs.replace(analysis, against=against, changes=told_of(changes), counts=counted(changes))
    lines = list(analysis_lines(told))
    assert len(told.changes) < 1000 and told.changes[0] == changed, "neighbours of what changed come last"
    assert "0 added, 0 removed, 1 changed, 0 renamed, 1000 touched" in lines
    assert any(line.startswith("and 986 more paths not as before") for line in lines)
