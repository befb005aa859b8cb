"""The installed program with its object store on a real S3 server."""

from __future__ import annotations

import os

import pytest

from swarm.cli.demo.place import free_ports
from tests.e2e.harness import DEADLINE_S, Bench
from tests.s3_server import S3Server

NOT_FOUND = 3
NOT_ALLOWED = 4
USAGE = 2


def test_publish_pull_restart_and_pull_again(bench: Bench, s3: S3Server) -> None:
    """Tracker and seed are processes of their own; after the restart nothing of theirs is left but bucket and keys."""
    url = s3.url("swarm")
    data = bench.folder / "data"
    data.mkdir()
    (data / "large.bin").write_bytes(os.urandom(3_000_000))
    (data / "small.txt").write_text("small\n", encoding="ascii")

    base = free_ports()
    tracker = bench.start("tracker", "tracker", "--store", url, port_base=base)
    bench.enrol("seed", hub="tracker", options=["--role", "seed"])
    bench.enrol("producer", "one", "two", hub="tracker")
    seed = bench.start("seed", "seed", "--store", url)
    bench.ok("producer", "publish", str(data), "maps/roads:v1")
    bench.ok("one", "pull", "maps/roads:v1", str(bench.folder / "one"))
    assert not (bench.home("seed") / "store").exists()
    assert not (bench.home("tracker") / "store").exists()

    for process in (seed, tracker):
        process.terminate()
        assert process.wait(DEADLINE_S) == 0
    bench.start("tracker", "tracker", "--store", url, port_base=base)
    bench.start("seed", "seed", "--store", url)
    bench.ok("two", "pull", "maps/roads:v1", str(bench.folder / "two"))
    for name in ("large.bin", "small.txt"):
        assert (bench.folder / "two" / name).read_bytes() == (data / name).read_bytes()


def test_a_store_that_cannot_be_is_told_in_one_line(bench: Bench, s3: S3Server) -> None:
    start = ("up", "--port-base", "0", "--store")
    assert "make it" in bench.refused(NOT_FOUND, "a", *start, f"s3://nosuch/x?endpoint={s3.endpoint}")
    assert "sse=none" in bench.refused(USAGE, "a", *start, s3.url(sse="aws:kms"))
    assert "option" in bench.refused(USAGE, "a", *start, s3.url(colour="red"))


def test_wrong_credentials(bench: Bench, s3: S3Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "mistyped")
    said = bench.refused(NOT_ALLOWED, "a", "up", "--port-base", "0", "--store", s3.url())
    assert "AWS_SECRET_ACCESS_KEY" in said
    assert "mistyped" not in said
