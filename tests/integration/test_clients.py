"""Clients that people have already, unmodified: pandas, pyarrow, polars, duckdb, huggingface_hub, oras, skopeo."""

from __future__ import annotations

import hashlib
import json
import os
import random
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from bench.debian import missing_program
from tests.integration.client_packages import missing_clients, run_with_clients
from tests.integration.swarm_thread import SwarmThread, swarm_thread

LARGE = random.Random(11).randbytes(3_000_000)
ROWS = "".join(f"{n},{n * n}\n" for n in range(1000))


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SwarmThread]:
    with swarm_thread(tmp_path_factory.mktemp("clients")) as running:
        source = running.folder / "source"
        (source / "sub").mkdir(parents=True)
        (source / "table.csv").write_text("n,square\n" + ROWS)
        (source / "sub" / "large.bin").write_bytes(LARGE)
        (source / "sub" / "same.bin").write_bytes(LARGE)
        (source / "empty").write_bytes(b"")
        os.symlink("sub/large.bin", source / "link")
        os.symlink("sub", source / "way")
        os.symlink("..", source / "sub" / "up")
        running.publish(source, "maps/roads:v1", "maps/roads:latest")
        yield running


@pytest.fixture
def clients() -> None:
    why = missing_clients()
    if why is not None:
        pytest.skip(why)


TABLES = """
import json, sys
import duckdb, fsspec, pandas, polars, pyarrow.csv, pyarrow.dataset
agent, folder = sys.argv[1:]
url = "aetherfs://maps/roads:v1/table.csv"
options = {"agent": agent}
frame = pandas.read_csv(url, storage_options=options)
files = fsspec.filesystem("aetherfs", **options)
with fsspec.open(url, **options) as file:
    arrow = pyarrow.csv.read_csv(file)
with files.open(url) as file:
    frames = polars.read_csv(file)
through = pyarrow.dataset.dataset("maps/roads:v1/table.csv", filesystem=files, format="csv")
duckdb.register_filesystem(files)
answer = duckdb.sql(f"select count(*), sum(square) from '{url}'").fetchall()[0]
frame.to_parquet(folder + "/table.parquet")
rows = [len(frame), arrow.num_rows, len(frames), through.count_rows()]
print(json.dumps([rows, int(frame.square.sum()), *map(int, answer)]))
"""
PARQUET = """
import json, sys
import pandas, polars
url, options = "aetherfs://maps/tables:v1/table.parquet", {"agent": sys.argv[1]}
frame = pandas.read_parquet(url, storage_options=options, columns=["square"])
frames = polars.read_parquet(url, use_pyarrow=True, storage_options=options)
print(json.dumps([int(frame.square.sum()), len(frames)]))
"""


@pytest.mark.usefixtures("clients")
def test_tables_are_read_by_what_reads_tables(running: SwarmThread, tmp_path: Path) -> None:
    total = sum(n * n for n in range(1000))
    printed = json.loads(run_with_clients(TABLES, running.agent, str(tmp_path)))
    assert printed == [[1000] * 4, total, 1000, total]
    running.publish(tmp_path, "maps/tables:v1")
    assert json.loads(run_with_clients(PARQUET, running.agent)) == [total, 1000]


HUB = """
import hashlib, json, os, sys
import huggingface_hub as hub
from huggingface_hub import errors
folder = hub.snapshot_download("maps/roads", repo_type="dataset")
found = {}
for root, _, names in os.walk(folder):
    for name in names:
        path = os.path.join(root, name)
        with open(path, "rb") as file:
            found[os.path.relpath(path, folder)] = hashlib.sha256(file.read()).hexdigest()
one = hub.hf_hub_download("maps/roads", "table.csv", revision="v1", repo_type="model")
files = hub.HfFileSystem()
listed = sorted(files.find("datasets/maps/roads@v1"))
with files.open("datasets/maps/roads@v1/sub/large.bin", "rb") as file:
    file.seek(1_000_000)
    part = file.read(10).hex()
refusals = []
for repository, name, revision in (("maps/no", "x", "v1"), ("maps/roads", "x", "v9"), ("maps/roads", "x", "v1")):
    try:
        hub.hf_hub_download(repository, name, revision=revision, repo_type="dataset")
    except (errors.RepositoryNotFoundError, errors.RevisionNotFoundError, errors.EntryNotFoundError) as error:
        refusals.append(type(error).__name__)
print(json.dumps([os.path.basename(folder), found, os.path.getsize(one), listed, part, refusals]))
"""


@pytest.mark.usefixtures("clients")
def test_hugging_face_clients_download_and_read_a_dataset(running: SwarmThread, tmp_path: Path) -> None:
    printed = run_with_clients(
        HUB,
        HF_ENDPOINT=f"{running.agent}/hf",
        HF_HOME=str(tmp_path),
        HF_HUB_DISABLE_PROGRESS_BARS="1",
        HF_HUB_DISABLE_TELEMETRY="1",
    )
    commit, found, size, listed, part, refusals = json.loads(printed)
    large = hashlib.sha256(LARGE).hexdigest()
    assert len(commit) == 40
    assert {path: found[path] for path in ("link", "sub/large.bin", "sub/same.bin")} == {
        "link": large,
        "sub/large.bin": large,
        "sub/same.bin": large,
    }
    assert set(found) == {
        "empty",
        "link",
        "sub/large.bin",
        "sub/same.bin",
        "table.csv",
        "way/large.bin",
        "way/same.bin",
    }
    assert size == len("n,square\n" + ROWS)
    assert listed == [f"datasets/maps/roads@v1/{path}" for path in sorted(found)]
    assert part == LARGE[1_000_000:1_000_010].hex()
    assert refusals == ["RepositoryNotFoundError", "RevisionNotFoundError", "RemoteEntryNotFoundError"]


ORAS = """
import json, os, sys
import oras.client
registry, folder = sys.argv[1:]
client = oras.client.OrasClient(insecure=True, hostname=registry)
client.pull(target=f"{registry}/maps/roads:v1", outdir=folder)
print(json.dumps(client.get_tags(f"{registry}/maps/roads")))
"""


@pytest.mark.usefixtures("clients")
def test_oras_pulls_a_tag_as_files(running: SwarmThread, tmp_path: Path) -> None:
    printed = run_with_clients(ORAS, running.agent.removeprefix("http://"), str(tmp_path))
    assert json.loads(printed.splitlines()[-1]) == ["latest", "v1"]
    assert (tmp_path / "sub" / "large.bin").read_bytes() == LARGE
    assert (tmp_path / "link").read_bytes() == (tmp_path / "way" / "same.bin").read_bytes() == LARGE
    assert (tmp_path / "table.csv").read_text() == "n,square\n" + ROWS


@pytest.mark.root
def test_skopeo_copies_a_tag_by_its_digest_and_lists_tags(running: SwarmThread, tmp_path: Path) -> None:
    why = missing_program("skopeo", "skopeo", is_root=True)
    if why is not None:
        pytest.skip(why)

    def skopeo(*arguments: str) -> bytes:
        done = subprocess.run(["skopeo", *arguments], capture_output=True, timeout=60, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout

    name = f"docker://{running.agent.removeprefix('http://')}/maps/roads"
    raw = skopeo("inspect", "--raw", "--tls-verify=false", f"{name}:v1")
    digest = hashlib.sha256(raw).hexdigest()
    assert json.loads(skopeo("list-tags", "--tls-verify=false", name))["Tags"] == ["latest", "v1"]
    for reference in (f"{name}:v1", f"{name}@sha256:{digest}"):
        into = tmp_path / str(len(reference))
        skopeo("copy", "--src-tls-verify=false", reference, f"dir:{into}")
        assert (into / "manifest.json").read_bytes() == raw
        assert (into / hashlib.sha256(LARGE).hexdigest()).read_bytes() == LARGE
    titles = [layer["annotations"]["org.opencontainers.image.title"] for layer in json.loads(raw)["layers"]]
    assert titles == ["empty", "link", "sub/large.bin", "sub/same.bin", "table.csv", "way/large.bin", "way/same.bin"]
