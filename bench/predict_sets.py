"""Real data in two versions, from packages: a time-zone database, a dictionary, tables of both, releases of a wheel.

What a registry or Debian does not give is told as missing. Nothing is installed but into the bench's own environment.
"""

from __future__ import annotations

import json
import random
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from bench.packages import environment_python, missing_module
from bench.processes import BenchError, run_plain

ZONES: Final = ("tzdata==2024.1", "tzdata==2025.1")
WHEELS: Final = ("pygments==2.18.0", "pygments==2.19.1")
DICTIONARY: Final = "wamerican"
ROWS: Final = 400_000
# Where the row is inserted, and the option that FACTS names.
AT: Final = 1000
PARQUET: Final = """
import json, sys
import pyarrow, pyarrow.csv, pyarrow.parquet
for source, target, defined in json.loads(sys.argv[1]):
    read = pyarrow.parquet.read_table if source.endswith(".parquet") else pyarrow.csv.read_csv
    pyarrow.parquet.write_table(read(source), target, use_content_defined_chunking=defined)
"""


@dataclass(frozen=True, slots=True)
class Pair:
    """A dataset in two versions, each a directory."""

    name: str
    before: Path
    after: Path


def pairs(folder: Path, missing: Callable[[str], None]) -> Iterator[Pair]:
    """All that can be had; ``missing`` is told what cannot."""
    words: list[str] = []
    zones: list[str] = []
    for make in (_zones, _wheels, _built, lambda at: _words(at, words)):
        try:
            pair = make(folder)
            zones = zones or [p.name for p in pair.before.rglob("*") if p.is_file()]
            yield pair
        except BenchError as error:
            missing(str(error))
    if words and zones:
        yield from _tables(folder, words, zones, missing)


def _pair(folder: Path, name: str) -> Pair:
    pair = Pair(name, folder / f"{name}-v1", folder / f"{name}-v2")
    pair.before.mkdir(parents=True)
    pair.after.mkdir()
    return pair


def _downloaded(requirement: str, folder: Path) -> Path:
    """A wheel from the package index."""
    folder.mkdir(parents=True, exist_ok=True)
    options = ["--no-deps", "--quiet", "--disable-pip-version-check", "--dest", str(folder)]
    run_plain([sys.executable, "-m", "pip", "download", *options, requirement])
    return next(folder.glob(f"{requirement.partition('==')[0]}-*{requirement.partition('==')[2]}*.whl"))


def _zones(folder: Path) -> Pair:
    """Two releases of the time-zone database, as files."""
    pair = _pair(folder, "zones")
    for requirement, target in zip(ZONES, (pair.before, pair.after), strict=True):
        with zipfile.ZipFile(_downloaded(requirement, folder / "wheels")) as wheel:
            wheel.extractall(target)
    return pair


def _wheels(folder: Path) -> Pair:
    """Two releases of one wheel, under its own names."""
    pair = _pair(folder, "wheel")
    for requirement, target in zip(WHEELS, (pair.before, pair.after), strict=True):
        shutil.copy2(_downloaded(requirement, folder / "wheels"), target)
    return pair


def _built(folder: Path) -> Pair:
    """One tar of the same files, built twice, as a build that checks them out does."""
    pair = _pair(folder, "built")
    for day, target in ((1, pair.before), (2, pair.after)):
        with zipfile.ZipFile(next((folder / "wheels").glob("pygments-2.18*"))) as wheel:
            wheel.extractall(folder / "checkout")
        packed = ["tar", "--sort=name", f"--mtime=2026-01-0{day}", "-C", str(folder / "checkout"), "-cf"]
        run_plain([*packed, str(target / "pygments.tar"), "."])
    return pair


def _words(folder: Path, words: list[str]) -> Pair:
    """A dictionary, and the same with three words more."""
    unpacked = folder / "debian"
    unpacked.mkdir()
    done = subprocess.run(["apt-get", "download", "-qq", DICTIONARY], cwd=unpacked, capture_output=True, text=True)
    package = next(unpacked.glob("*.deb"), None)
    if done.returncode or package is None:
        raise BenchError(f"apt-get does not give {DICTIONARY}: {done.stderr.strip()[-200:]}")
    run_plain(["dpkg", "-x", str(package), str(unpacked)])
    words += (unpacked / "usr/share/dict/american-english").read_text().splitlines()
    pair = _pair(folder, "words")
    (pair.before / "words").write_text("\n".join(words) + "\n")
    more = sorted([*words, "aetherfs", "blockwise", "zzz"])
    (pair.after / "words").write_text("\n".join(more) + "\n")
    (pair.before / "words").write_text("\n".join(sorted(words)) + "\n")
    return pair


def _tables(folder: Path, words: list[str], zones: list[str], missing: Callable[[str], None]) -> Iterator[Pair]:
    """One table as it is kept in many ways: plain, compressed, shuffled, as parquet; one row more in the second."""
    rng = random.Random(1)
    lines = [f"{n},{rng.choice(words)},{rng.choice(zones)},{rng.random():.6f}" for n in range(ROWS)]
    more = [*lines[:AT], "999999,new,UTC,0.5", *lines[AT:]]
    plain = _pair(folder, "csv")
    for rows, target in ((lines, plain.before), (more, plain.after)):
        (target / "table.csv").write_text("\n".join(["id,word,zone,value", *rows]) + "\n")
    yield plain
    yield _packed(folder, plain, "csv-gz", ".gz", ["gzip", "-nc"])
    yield _packed(folder, plain, "csv-gz-rsyncable", ".gz", ["gzip", "--rsyncable", "-nc"])
    if shutil.which("zstd"):
        yield _packed(folder, plain, "csv-zst", ".zst", ["zstd", "-qc"])
    else:
        missing("there is no zstd")
    shuffled = _pair(folder, "csv-shuffled")
    for seed, (rows, target) in enumerate(((lines, shuffled.before), (more, shuffled.after))):
        mixed = random.Random(seed).sample(rows, len(rows))
        (target / "table.csv").write_text("\n".join(["id,word,zone,value", *mixed]) + "\n")
    yield shuffled
    if why := missing_module("pyarrow", "pyarrow"):
        missing(why)
        return
    for name, defined in (("parquet", False), ("parquet-content-defined", True)):
        pair = _pair(folder, name)
        jobs = [
            (str(source / "table.csv"), str(target / "table.parquet"), defined)
            for source, target in ((plain.before, pair.before), (plain.after, pair.after))
        ]
        write_parquet(jobs)
        yield pair


def write_parquet(jobs: list[tuple[str, str, bool]]) -> None:
    """Write tables as parquet: (CSV or parquet, target, with content-defined pages)."""
    run_plain([environment_python(), "-c", PARQUET, json.dumps(jobs)])


def _packed(folder: Path, plain: Pair, name: str, ending: str, command: list[str]) -> Pair:
    pair = _pair(folder, name)
    for source, target in ((plain.before, pair.before), (plain.after, pair.after)):
        pack(source / "table.csv", target / f"table.csv{ending}", command)
    return pair


def pack(source: Path, target: Path, command: list[str]) -> None:
    """Let a program write a file from another."""
    with source.open("rb") as data, target.open("wb") as sink:
        done = subprocess.run(command, stdin=data, stdout=sink, stderr=subprocess.PIPE, check=False)
    if done.returncode:
        raise BenchError(f"{command[0]} failed: {done.stderr.decode(errors='replace')[-200:]}")
