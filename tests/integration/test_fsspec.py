"""``aetherfs://`` through fsspec: its own suite where that only reads, snapshots, and ranges like the source's."""

from __future__ import annotations

import os
import pickle
import random
import subprocess
import sys
from collections.abc import Iterator
from hashlib import md5
from pathlib import Path
from typing import Any

import fsspec
import pytest
from fsspec.tests.abstract import AbstractFixtures, AbstractGetTests

from swarm.filesystem import AetherFileSystem
from tests.integration.swarm_thread import SwarmThread, swarm_thread


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SwarmThread]:
    with swarm_thread(tmp_path_factory.mktemp("fsspec")) as running:
        make_scenarios(running.folder / "scenarios")
        running.publish(running.folder / "scenarios", "tests/scenarios:v1")
        yield running


def touch(path: Path, data: bytes = b"") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)


def make_scenarios(root: Path) -> None:
    """What the suite would write, in a folder each."""
    for subdir in ("subdir0", "subdir1", "subdir"):
        source = root / ("bulk" if subdir == "subdir" else "glob") / "source"
        for path in ("file1", "file2"):
            touch(source / path)
        for path in ("subfile1", "subfile2", "nesteddir/nestedfile"):
            touch(source / subdir / path)
    touch(root / "src" / "file")
    touch(root / "prefix" / "source" / "subdir.txt")
    touch(root / "prefix" / "source" / "subdir" / "subfile.txt")
    for number in range(10):
        touch(root / "hashed" / "source" / f"{md5(str(number).encode()).hexdigest()}.txt", str(number).encode())


class Prepared(AetherFileSystem):
    """For a test that first writes what is there already."""

    def mkdir(self, path: str, create_parents: bool = True, **_options: Any) -> None:
        assert self.isdir(path)

    def touch(self, path: str, truncate: bool = True, **_options: Any) -> None:
        assert self.isfile(path)


class TestGet(AbstractFixtures, AbstractGetTests):  # type: ignore[misc]
    """fsspec's suite for reading; what else it has writes."""

    @pytest.fixture
    def fs(self, running: SwarmThread) -> AetherFileSystem:
        return Prepared(agent=running.agent)

    @pytest.fixture
    def fs_path(self) -> str:
        return "tests/scenarios:v1"

    @pytest.fixture
    def fs_bulk_operations_scenario_0(self, fs_path: str) -> str:
        return f"{fs_path}/bulk/source"

    @pytest.fixture
    def fs_glob_edge_cases_files(self, fs_path: str) -> str:
        return f"{fs_path}/glob/source"

    @pytest.fixture
    def fs_dir_and_file_with_same_name_prefix(self, fs_path: str) -> str:
        return f"{fs_path}/prefix/source"

    @pytest.fixture
    def fs_10_files_with_hashed_names(self, fs_path: str) -> str:
        return f"{fs_path}/hashed/source"


def test_ranges_in_every_form(running: SwarmThread, tmp_path: Path) -> None:
    data = random.Random(9).randbytes(1_500_000)
    touch(tmp_path / "data.bin", data)
    running.publish(tmp_path, "tests/ranges:v1")
    fs = AetherFileSystem(agent=running.agent)
    path = "tests/ranges:v1/data.bin"
    assert fs.cat_file(path, -10) == data[-10:]
    assert fs.cat_file(path, 5, -5) == data[5:-5]
    assert fs.cat_file(path) == data
    assert fs.cat_ranges([path, path], [0, 7], [3, 9]) == [data[:3], data[7:9]]
    assert fs.head(path, 4) == data[:4]


def test_an_instance_is_a_snapshot_also_when_it_is_copied_and_a_new_one_sees_what_is_new(
    running: SwarmThread, tmp_path: Path
) -> None:
    url = "aetherfs://tests/moving:latest/table.csv"
    touch(tmp_path / "table.csv", b"old")
    running.publish(tmp_path, "tests/moving:latest")
    first = fsspec.filesystem("aetherfs", agent=running.agent)
    assert first.cat_file(url) == b"old"
    touch(tmp_path / "table.csv", b"newer")
    running.publish(tmp_path, "tests/moving:latest")
    assert first.cat_file(url) == b"old"
    assert pickle.loads(pickle.dumps(first)).cat_file(url) == b"old"
    assert fsspec.filesystem("aetherfs", agent=running.agent).cat_file(url) == b"newer"
    with fsspec.open(url, "rt", agent=running.agent) as file:
        assert file.read() == "newer"


def test_names_above_versions_and_refusals(running: SwarmThread) -> None:
    fs = AetherFileSystem(agent=running.agent)
    assert "tests/scenarios" in fs.ls("", detail=False)
    assert "tests/scenarios:v1" in fs.ls("tests/scenarios", detail=False)
    top = fs.ls("tests/scenarios:v1")
    assert [entry["name"].rpartition("/")[2] for entry in top] == ["bulk", "glob", "hashed", "prefix", "src"]
    assert {entry["type"] for entry in top} == {"directory"}
    assert fs.isdir("tests/scenarios:v1/bulk")
    assert fs.exists("tests/scenarios:v1/bulk/source/file1")
    assert len(fs.find("tests/scenarios:v1")) == 5 + 8 + 2 + 10 + 1
    version = fs.info("tests/scenarios:v1/bulk/source/file1")
    assert version["sha256"] == fs.ukey("tests/scenarios:v1/bulk/source/file1")
    for path in ("tests/scenarios:v1/nothing", "tests/scenarios:v2/bulk", "tests/nothing:v1/x", "tests/scenarios/bulk"):
        with pytest.raises(FileNotFoundError):
            fs.cat_file(path)
    with pytest.raises(IsADirectoryError):
        fs.cat_file("tests/scenarios:v1/bulk")
    with pytest.raises(OSError, match="publish a directory"):
        fs.open("tests/scenarios:v1/new", "wb")


ALONE = """
import fsspec, sys
with fsspec.open("aetherfs://tests/scenarios:v1/hashed/source/cfcd208495d565ef66e7dff9f98764da.txt") as file:
    print(file.read().decode(), flush=True)
print([process.pid for process in sys.modules["swarm.reader_calls"]._started.values()][0])
"""


def test_where_no_agent_runs_a_peer_reads_and_ends_with_the_program(running: SwarmThread) -> None:
    home = running.do(lambda: running.swarm.enrol("alone"))
    environment = {**os.environ, "AETHERFS_HOME": str(home.path)}
    done = subprocess.run(
        [sys.executable, "-c", ALONE], env=environment, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    data, pid = done.stdout.split()
    assert data == "0"
    assert not Path(f"/proc/{pid}").exists()
    assert home.agent() is None
    nobody = {**environment, "AETHERFS_HOME": str(home.path / "nothing")}
    refused = subprocess.run(
        [sys.executable, "-c", ALONE], env=nobody, capture_output=True, text=True, timeout=60, check=False
    )
    assert "PermissionError" in refused.stderr
    assert "is not enrolled in a swarm" in refused.stderr
