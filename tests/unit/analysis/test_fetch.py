"""What a pull fetches, told from two manifests: as the staging of a real pull decides it."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from swarm.analysis.changes import SHADES, changes_of, heat_of
from swarm.analysis.facts import ending_of, facts_of, reuse_of
from swarm.analysis.fetch import fetch_of, fetched_by_file
from swarm.encoding import encode_block
from swarm.manifest import Manifest
from tests.datasets import manifest_of, pull, seeded

Files = dict[str, bytes]


def some_files() -> Files:
    files = {f"small/{n:03}": seeded(f"s{n}", 900 + 37 * n) for n in range(180)}
    return {**files, "large.bin": seeded("large", 1_500_000), "middle.bin": seeded("middle", 400_000)}


def edited(files: Files, seed: int) -> Files:
    """A few of the things that happen to a dataset between two versions."""
    rng, result = random.Random(seed), dict(files)
    for _ in range(rng.randint(1, 4)):
        path = rng.choice(sorted(result))
        content = result[path]
        at = rng.randrange(len(content) + 1)
        match rng.randrange(6):
            case 0:
                result[path] = content[:at] + b"new" + content[at:]
            case 1:
                del result[path]
            case 2:
                result[f"moved/{path}"] = result.pop(path)
            case 3:
                result[f"{path}.copy"] = content
            case 4:
                result[f"small/{rng.randrange(180):03}.more"] = seeded(f"{seed}", rng.randrange(5000))
            case _:
                result[path] = content[at:]
    return result


@pytest.mark.parametrize("seed", range(12))
def test_it_is_what_a_pull_has_to_fetch(seed: int, tmp_path: Path) -> None:
    before = some_files()
    old, old_blocks = manifest_of(before)
    new, new_blocks = manifest_of(edited(before, seed))
    pull(tmp_path / "target", old, old_blocks)
    # A pull also asks the stores of its peer, where the older version's directory is one.
    needed = [
        index
        for index in pull(tmp_path / "target", new, new_blocks, old)
        if new.unique[index].signature not in old_blocks
    ]
    fetch = fetch_of(new, old)
    assert list(fetch.blocks) == needed
    assert fetch.raw_bytes() == sum(new.unique[index].size + 1 for index in needed)


def test_kept_files_count_at_other_cuts_too(tmp_path: Path) -> None:
    """A run of small files that now ends earlier is cut otherwise at its end, and its files are all there."""
    before = {f"a{n}": seeded(f"a{n}", 40_000) for n in range(12)}
    old, _ = manifest_of(before)
    new, _ = manifest_of({path: content for path, content in before.items() if path != "a9"})
    cut_otherwise = [b for b in new.unique if b.signature not in old.index_of]
    assert cut_otherwise, "else this shows nothing"
    assert fetch_of(new, old).blocks == ()


def test_of_the_manifest_the_root_moves_and_new_segments() -> None:
    before = {f"f{n:05}": b"%d" % n for n in range(3000)}
    old, _ = manifest_of(before)
    new, _ = manifest_of({**before, "f00000": b"other"})
    fetch = fetch_of(new, old)
    assert fetch.segments[0] == new.root_bytes
    assert {*fetch.segments[1:]} == {*new.segments.values()} - {*old.segments.values()}
    assert 1 < len(fetch.segments) < 1 + len(new.segments)
    assert fetch.manifest_bytes() == sum(len(encode_block(data)) for data in fetch.segments)


def test_with_nothing_there_all_is_fetched() -> None:
    new, blocks = manifest_of(some_files())
    fetch = fetch_of(new, None)
    assert fetch.bytes == sum(len(plain) for plain in blocks.values())
    assert len(fetch.segments) == 1 + len(new.segments)
    assert sum(fetched_by_file(fetch)) == new.total_bytes


def changed(before: Files, after: Files) -> dict[str, str]:
    old, new = manifest_of(before)[0], manifest_of(after)[0]
    fetch = fetch_of(new, old)
    return {c.path: c.what for c in changes_of(new, old, fetch.blocks, fetched_by_file(fetch))}


def test_changes_have_names() -> None:
    before = {"same": b"same", "gone": b"gone", "moved": b"m" * 99, "other": b"1"}
    after = {"same": b"same", "new": b"new", "sub/moved": b"m" * 99, "other": b"2"}
    assert changed(before, after) == {"gone": "removed", "new": "added", "other": "changed", "sub/moved": "renamed"}


def test_two_equal_files_that_went_are_two_sources() -> None:
    assert changed({"a": b"x" * 9, "b": b"x" * 9}, {"c": b"x" * 9, "d": b"x" * 9, "e": b"x" * 9}) == {
        "c": "renamed",
        "d": "renamed",
        "e": "added",
    }


def test_heat_shows_where_a_file_is_new() -> None:
    large = seeded("heat", 6_000_000)
    old, new = manifest_of({"f": large})[0], manifest_of({"f": large[:100] + b"x" + large[100:]})[0]
    fetch = fetch_of(new, old)
    (change,) = changes_of(new, old, fetch.blocks, fetched_by_file(fetch))
    assert change.heat[0] == 1.0
    assert change.heat[-1] == 0.0
    assert change.strip[0] == SHADES[-1]
    assert change.strip[-1] == SHADES[0]
    assert sum(change.heat) / len(change.heat) == pytest.approx(change.fetch_bytes / change.size, abs=0.001)


@pytest.mark.parametrize("size", [1, 47, 48, 49, 1000])
def test_heat_of_short_files(size: int) -> None:
    manifest = manifest_of({"f": b"x" * size})[0]
    heat = heat_of(manifest, 0, {0})
    assert set(heat) == {1.0}
    assert len(heat) == min(size, 48)


def encoded_size(blocks: dict[bytes, bytes]) -> dict[bytes, int]:
    return {signature: len(encode_block(plain)) for signature, plain in blocks.items()}


def test_facts_add_up() -> None:
    manifest, blocks = manifest_of(
        {"a.csv": b"1,2\n" * 50_000, "b.csv": b"1,2\n" * 50_000, "c": seeded("c", 300_000), "d": b"", "e": b"tiny"}
    )
    sizes = encoded_size(blocks)
    facts = facts_of(manifest, sizes.__getitem__, 0)
    assert (facts.files, facts.tiny_files, facts.tiny_bytes) == (5, 1, 4)
    assert (facts.equal_files, facts.equal_bytes) == (1, 200_000)
    assert facts.equal[0].paths == ("a.csv", "b.csv")
    assert facts.repeated_bytes == manifest.total_bytes - sum(map(len, blocks.values()))
    assert facts.encoded_bytes == sum(sizes.values())
    assert sum(step.files for step in facts.sizes) == 5
    by_ending = {kind.ending: kind for kind in facts.kinds}
    assert by_ending[".csv"].encoded_bytes < by_ending[".csv"].bytes / 10
    assert by_ending[""].encoded_bytes >= 300_000


def test_reuse_is_by_tag() -> None:
    new, other = manifest_of({"a": seeded("a", 90_000), "b": seeded("b", 80_000)})[0], one("a")
    (found,) = reuse_of(new, {"v1": other})
    assert (found.tag, found.shared_bytes, found.fetch_bytes) == ("v1", 90_000, 80_000)


def one(name: str) -> Manifest:
    return manifest_of({name: seeded(name, 90_000)})[0]


@pytest.mark.parametrize(
    ("path", "ending"),
    [
        ("a/b.CSV", ".csv"),
        ("x.tar.gz", ".tar.gz"),
        ("v1.2/x", ""),
        (".hidden", ""),
        ("p-1.0.whl", ".whl"),
        ("a.b.c", ".c"),
    ],
)
def test_the_ending_of_a_path(path: str, ending: str) -> None:
    assert ending_of(path) == ending
