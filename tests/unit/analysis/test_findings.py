"""Findings: measured on the files, true when they are applied, and none where all is right."""

from __future__ import annotations

import random
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest
import zstandard

from swarm.analysis import compressed
from swarm.analysis.analyze import REMEDIES, candidates_of
from swarm.analysis.changes import changes_of
from swarm.analysis.curing import FOREIGN, Bench, Candidate, Unfit, cost_of, examine
from swarm.analysis.fetch import fetch_of, fetched_by_file
from swarm.analysis.findings import Cost, Finding, Measured, best_of, finding_of
from swarm.analysis.media import is_same_picture
from swarm.errors import IncompleteError, NotFoundError
from swarm.limits import MIB
from swarm.scan import scan
from tests.datasets import seeded
from tests.unit.analysis import samples
from tests.unit.analysis.samples import DAY_S, WALL_S, gzipped, put, rows, table, with_a_row

Files = Mapping[str, bytes]
ROWS = rows()
NEXT = with_a_row(ROWS)
# Large enough for several blocks, compressed.
MANY = rows(100_000)
MORE = with_a_row(MANY)
needs_gzip = pytest.mark.skipif(compressed.program("gzip") is None, reason="this machine's gzip has no --rsyncable")
needs_zstd = pytest.mark.skipif(compressed.program("zstd") is None, reason="this machine has no zstd")


def bench_of(root: Path, old: Path | None, budget_bytes: int = 256 * MIB) -> tuple[list[Candidate], Bench]:
    """What ``analyze`` would look at."""
    new = scan(root).manifest
    if old is None:
        whole = [Candidate(entry.path, entry.size, entry.size) for entry in new.files]
        return whole, Bench(root, None, budget_bytes, new.total_bytes, "")
    older = scan(old).manifest
    fetch = fetch_of(new, older)
    changes = changes_of(new, older, fetch.blocks, fetched_by_file(fetch))

    def copy(path: str, target: Path, limit: int) -> None:
        target.write_bytes((old / path).read_bytes()[:limit])

    bench = Bench(root, copy, budget_bytes, fetch.raw_bytes(), "against the older")
    return candidates_of(changes), bench


def findings(root: Path, old: Path | None = None, budget_bytes: int = 256 * MIB) -> dict[str, Finding]:
    found, _ = examine(*bench_of(root, old, budget_bytes)[:1], REMEDIES, bench_of(root, old, budget_bytes)[1])
    return {finding.kind: finding for finding in found}


def found_in(tmp_path: Path, before: Files | None, after: Files) -> dict[str, Finding]:
    old = put(tmp_path / "old", before) if before is not None else None
    return findings(put(tmp_path / "new", after), old)


def applied(tmp_path: Path, before: Files, after: Files) -> int:
    """What an update of these files moves."""
    return cost_of(put(tmp_path / "after-new", after), put(tmp_path / "after-old", before)).wire_bytes


def rsyncable(content: bytes, program: str = "gzip") -> bytes:
    command = [program, "--rsyncable", *(["-n"] if program == "gzip" else ["-q"]), "-c"]
    return subprocess.run(command, input=content, capture_output=True, check=True).stdout


# ---- gzip and zstd ---------------------------------------------------------------------------------------------------


@needs_gzip
def test_gzip_saves_what_was_estimated(tmp_path: Path) -> None:
    before, after = {"t.csv.gz": gzipped(table(MANY))}, {"t.csv.gz": gzipped(table(MORE))}
    finding = found_in(tmp_path, before, after)["gzip-not-rsyncable"]
    now = cost_of(tmp_path / "new", tmp_path / "old").wire_bytes
    then = applied(tmp_path, {"t.csv.gz": rsyncable(table(MANY))}, {"t.csv.gz": rsyncable(table(MORE))})
    assert finding.saved_share == pytest.approx(1 - then / now, abs=0.1)
    assert finding.saved_share > 0.3
    assert "gzip --rsyncable" in finding.change


@needs_gzip
@pytest.mark.parametrize("has_older", [True, False])
def test_gzip_that_is_right_is_no_finding(tmp_path: Path, has_older: bool) -> None:
    before = {"t.csv.gz": rsyncable(table(ROWS))} if has_older else None
    assert found_in(tmp_path, before, {"t.csv.gz": rsyncable(table(NEXT))}) == {}


def test_gzip_of_a_first_version_is_measured_on_an_edit(tmp_path: Path) -> None:
    finding = found_in(tmp_path, None, {"t.csv.gz": gzipped(table(ROWS * 2))})["gzip-not-rsyncable"]
    assert "one record taken out" in finding.basis
    assert finding.saved_share > 0.3


def test_without_the_program_boundaries_of_our_own_are_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compressed, "program", lambda name: None)
    before, after = table(ROWS * 2), table(with_a_row(ROWS * 2))
    gz = found_in(tmp_path / "gz", {"t.csv.gz": gzipped(before)}, {"t.csv.gz": gzipped(after)})["gzip-not-rsyncable"]
    assert gz.saved_share > 0.3
    assert "boundaries of our own" in gz.change
    packed = [{"t.zst": zstandard.ZstdCompressor().compress(content)} for content in (before, after)]
    assert found_in(tmp_path / "zst", *packed)["zstd-not-rsyncable"].saved_share > 0.3


@pytest.mark.parametrize("kind", [compressed.Gzip, compressed.Zstd])
def test_what_we_compress_is_what_it_was(
    kind: type[compressed.Gzip] | type[compressed.Zstd], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(compressed, "program", lambda name: None)
    packed, plain = kind(), tmp_path / "plain"
    plain.write_bytes(table(ROWS))
    packed.pack(plain, tmp_path / "packed", 6, rsyncable=True)
    packed.unpack(tmp_path / "packed", tmp_path / "again")
    assert (tmp_path / "again").read_bytes() == table(ROWS)


@needs_zstd
def test_zstd_that_is_right_is_no_finding(tmp_path: Path) -> None:
    right = rsyncable(table(rows(120_000)), "zstd")
    assert found_in(tmp_path, None, {"t.csv.zst": right}) == {}


def test_a_sample_is_said_to_be_one(tmp_path: Path) -> None:
    new = put(tmp_path / "new", {"a.gz": gzipped(table(MORE)), "b.gz": gzipped(table(NEXT))})
    old = put(tmp_path / "old", {"a.gz": gzipped(table(MANY)), "b.gz": gzipped(table(ROWS))})
    finding = findings(new, old, budget_bytes=(new / "a.gz").stat().st_size + 1000)["gzip-not-rsyncable"]
    assert finding.sampled
    assert finding.measured.files == 1
    assert finding.file_count == 2
    beginning = findings(new, old, budget_bytes=1_200_000)["gzip-not-rsyncable"]
    assert beginning.sampled
    assert beginning.measured.bytes == 1_200_000


# ---- records ---------------------------------------------------------------------------------------------------------


def shuffled(lines: list[bytes], seed: int) -> list[bytes]:
    lines = list(lines)
    random.Random(seed).shuffle(lines)
    return lines


def test_records_in_another_order(tmp_path: Path) -> None:
    before, after = shuffled(ROWS, 1), shuffled(NEXT, 2)
    finding = found_in(tmp_path, {"t.csv": table(before)}, {"t.csv": table(after)})["shuffled-records"]
    then = applied(tmp_path, {"t.csv": table(sorted(before))}, {"t.csv": table(sorted(after))})
    now = cost_of(tmp_path / "new", tmp_path / "old").wire_bytes
    assert finding.saved_share == pytest.approx(1 - then / now, abs=0.1)
    assert finding.saved_share > 0.5


def test_records_spread_over_files_otherwise(tmp_path: Path) -> None:
    def spread(lines: list[bytes], seed: int) -> dict[str, bytes]:
        mixed = shuffled(lines, seed)
        return {f"part-{n}.jsonl": b"".join(mixed[n::3]) for n in range(3)}

    finding = found_in(tmp_path, spread(ROWS, 1), spread(NEXT, 2))["shuffled-records"]
    assert finding.file_count == 3
    assert finding.saved_share > 0.3


@pytest.mark.parametrize("after", [NEXT, ROWS[5000:], [b"0" + line for line in ROWS]])
def test_records_that_keep_their_order_are_no_finding(tmp_path: Path, after: list[bytes]) -> None:
    assert found_in(tmp_path, {"t.csv": table(ROWS)}, {"t.csv": table(after)}) == {}


# ---- archives --------------------------------------------------------------------------------------------------------


def test_times_in_a_tar_and_a_zip(tmp_path: Path) -> None:
    files = samples.members()
    tars = [{"a.tar": samples.tar_of(files, at)} for at in (WALL_S, WALL_S + DAY_S)]
    zips = [{"a.whl": samples.zip_of(files, (2025, 1, day, 1, 2, 4))} for day in (1, 2)]
    for name, (before, after) in {"tar": tars, "zip": zips}.items():
        finding = found_in(tmp_path / name, before, after)["embedded-times"]
        assert finding.saved_share > 0.95, "with the same times they are the same bytes"


@needs_gzip
def test_of_two_ways_to_save_the_same_the_simpler_is_told(tmp_path: Path) -> None:
    """A .gz whose time alone changed could be compressed otherwise too; of what also changed that is the better way."""
    packed = [gzipped(table(ROWS), WALL_S + at) for at in (0, DAY_S)]
    assert list(found_in(tmp_path / "time", {"t.csv.gz": packed[0]}, {"t.csv.gz": packed[1]})) == ["embedded-times"]
    tars = [samples.tar_of({f"{n}": seeded(f"{at}{n}", 150_000) for n in range(40)}, at) for at in (0, 1)]
    mixed = [{"t.csv.gz": gz, "other.tar": tar} for gz, tar in zip(packed, tars, strict=True)]
    found = found_in(tmp_path / "mixed", *mixed)
    assert found["embedded-times"].files == ("t.csv.gz",), "whatever an archive beside it costs"
    assert "gzip-not-rsyncable" not in found
    changed = {"t.csv.gz": gzipped(table(MORE), WALL_S + DAY_S)}
    found = found_in(tmp_path / "both", {"t.csv.gz": gzipped(table(MANY), WALL_S)}, changed)
    assert list(found) == ["gzip-not-rsyncable"]


def test_of_findings_about_the_same_files_the_best_is_told() -> None:
    def finding(kind: str, saved: int) -> Finding:
        cost = Cost(10_000_000, 1, 1), Cost(10_000_000 - saved, 1, 1)
        told = finding_of(kind, "t", "c", (), *cost, Measured(1, 1, 1, 1), fetch_bytes=0, basis="b")
        assert told is not None
        return told

    a, ab, c = frozenset("a"), frozenset("ab"), frozenset("c")
    simple, better, near, wide = (
        finding(n, s) for n, s in (("s", 2**21), ("b", 2**22), ("n", 2**22 - 9), ("w", 2**23))
    )
    assert best_of([(simple, a), (better, a)]) == [better]
    assert best_of([(near, a), (better, a), (simple, c)]) == [near, simple]
    assert best_of([(simple, a), (wide, ab), (better, c)]) == [wide, better]
    assert best_of([(better, a), (simple, ab)]) == [better, simple], "of what the better does not do the other is told"


def test_times_that_stay_are_no_finding(tmp_path: Path) -> None:
    files = samples.members()
    both = files, {**files, "member-003.txt": b"changed" * 1000}
    tars = [{"a.tar": samples.tar_of(each, 0)} for each in both]
    zips = [{"a.zip": samples.zip_of(each, (1980, 1, 1, 0, 0, 0))} for each in both]
    for number, (before, after) in enumerate((tars, zips)):
        assert "embedded-times" not in found_in(tmp_path / f"{number}", before, after)
        assert "embedded-times" not in found_in(tmp_path / f"{number}-first", None, after)


def test_times_of_a_build_are_seen_in_one_version(tmp_path: Path) -> None:
    new = put(tmp_path / "new", {"a.tar": b""})
    now = (new / "a.tar").stat().st_mtime
    put(new, {"a.tar": samples.tar_of(samples.members(), int(now) - 60)})
    assert findings(new)["embedded-times"].saved_share > 0.9


def test_one_giant_tar(tmp_path: Path) -> None:
    files = samples.members(60, 200_000)
    other = {**files, "member-030.txt": files["member-030.txt"][:50_000] + b"x" + files["member-030.txt"][50_000:]}
    before, after = gzipped(samples.tar_of(files, 0)), gzipped(samples.tar_of(other, 0))
    finding = found_in(tmp_path, {"all.tar.gz": before}, {"all.tar.gz": after})["one-giant-tar"]
    then = applied(tmp_path, files, other)
    now = cost_of(tmp_path / "new", tmp_path / "old").wire_bytes
    assert finding.saved_share == pytest.approx(1 - then / now, abs=0.1)
    assert finding.saved_share > 0.3


# ---- media -----------------------------------------------------------------------------------------------------------


def test_pictures_with_the_same_pixels(tmp_path: Path) -> None:
    before = {
        **{f"{n}.png": samples.png_of(f"{n}", 6, b"one") for n in range(6)},
        "j.jpg": samples.jpeg_of("j", b"one"),
    }
    after = {**{f"{n}.png": samples.png_of(f"{n}", 9, b"two") for n in range(6)}, "j.jpg": samples.jpeg_of("j", b"two")}
    after["5.png"] = samples.png_of("other", 6, b"one")
    finding = found_in(tmp_path, before, after)["recompressed-media"]
    assert finding.file_count == 6, "one of them is another picture"
    assert finding.saved_share > 0.95


def test_other_pixels_are_another_picture(tmp_path: Path) -> None:
    put(
        tmp_path,
        {"a.png": samples.png_of("a", 6, b""), "b.png": samples.png_of("b", 6, b""), "c.png": b"\x89PNG\r\n\x1a\n"},
    )
    assert not is_same_picture(tmp_path / "a.png", tmp_path / "b.png")
    assert not is_same_picture(tmp_path / "a.png", tmp_path / "c.png")


# ---- what goes wrong, and the judgement ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name", ["a.gz", "a.tar.gz", "a.zst", "a.tar", "a.zip", "a.png", "a.jpg", "a.parquet", "a.csv"]
)
def test_garbage_is_left_out_with_a_word(tmp_path: Path, name: str) -> None:
    heads = {
        "gz": b"\x1f\x8b\x08\0\1\1\1\1\0\3", "zst": b"\x28\xb5\x2f\xfd", "zip": b"PK\x03\x04",
        "png": b"\x89PNG\r\n\x1a\n", "jpg": b"\xff\xd8\xff", "parquet": b"PAR1", "tar": b"x" * 257 + b"ustar\x00",
        "csv": b"",
    }  # fmt: skip
    head = heads[name.rpartition(".")[2]]
    before, after = (head + seeded(f"{name}{n}", 5_000_000) for n in (1, 2))
    assert found_in(tmp_path, {name: before}, {name: after}) == {}
    assert found_in(tmp_path / "first", None, {name: after}) == {}


def test_an_older_version_that_nobody_has_is_said(tmp_path: Path) -> None:
    new, old = (
        put(tmp_path / "new", {"a.gz": gzipped(table(NEXT))}),
        put(tmp_path / "old", {"a.gz": gzipped(table(ROWS))}),
    )
    candidates, bench = bench_of(new, old)

    def gone(path: str, target: Path, limit: int) -> None:
        raise NotFoundError("it is gone")

    found, notes = examine(candidates, REMEDIES, Bench(new, gone, bench.budget_bytes, bench.fetch_bytes, ""))
    assert not found
    assert any("it is gone" in note for note in notes)


def test_it_can_be_stopped(tmp_path: Path) -> None:
    new = put(tmp_path / "new", {"a.gz": gzipped(table(NEXT))})
    candidates, bench = bench_of(new, None)
    with pytest.raises(IncompleteError):
        examine(candidates, REMEDIES, Bench(new, None, bench.budget_bytes, 1, "", should_stop=lambda: True))


def test_a_release_comes_after_the_one_before_it(tmp_path: Path) -> None:
    old = put(tmp_path / "old", {"roads-1.0.tar.gz": gzipped(table(ROWS))})
    new = put(tmp_path / "new", {"roads-1.1.tar.gz": gzipped(table(NEXT))})
    (candidate,), _ = bench_of(new, old)
    assert candidate.before == "roads-1.0.tar.gz"


def judged(now: int, after: int, fetch_bytes: int, measured: Measured | None = None) -> Finding | None:
    return finding_of(
        "k", "t", "c", ("f",), Cost(now, now, now), Cost(after, after, after),
        measured or Measured(1, 1, now, now), fetch_bytes=fetch_bytes, basis="b",
    )  # fmt: skip


def test_what_saves_little_is_not_told() -> None:
    assert judged(10 * MIB, 9 * MIB + MIB // 2, 10 * MIB) is None, "less than a tenth"
    assert judged(100_000, 50_000, 100_000) is None, "less than 64 KiB"
    assert judged(10 * MIB, 5 * MIB, 1000 * MIB) is None, "less than a hundredth of the update"
    assert judged(10 * MIB, 5 * MIB, 20 * MIB) is not None


def test_a_sample_stands_for_all() -> None:
    finding = judged(10 * MIB, 5 * MIB, 100 * MIB, Measured(1, 4, 10 * MIB, 40 * MIB))
    assert finding is not None
    assert finding.saved_bytes == 20 * MIB
    assert finding.saved_share == 0.5
    assert finding.sampled


def test_foreign_errors_are_ours() -> None:
    assert issubclass(UnicodeDecodeError, FOREIGN)
    assert not issubclass(Unfit, FOREIGN)
    assert shutil.which("sort")
