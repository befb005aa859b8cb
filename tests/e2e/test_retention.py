"""Retention as a user types it: keep, pin, quota, gc, store check, purge; on a folder and on a real S3 server."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.e2e.harness import Bench
from tests.s3_server import S3Server

USAGE, NOT_FOUND, CONFLICT, NOT_ALLOWED, INTEGRITY, UNREACHABLE, QUOTA = 2, 3, 5, 4, 6, 7, 9


def publish(bench: Bench, data: Path, number: int) -> str:
    """A version of which most is its own."""
    data.mkdir(exist_ok=True)
    (data / "large.bin").write_bytes(number.to_bytes(4, "big") * 200_000)
    (data / "small.txt").write_text("small\n", encoding="ascii")
    return str(bench.ok("hub", "publish", str(data), "maps/roads:latest", "--json").json["version"])


@pytest.mark.parametrize("kind", ["folder", "s3"])
def test_versions_that_nobody_keeps_go(bench: Bench, kind: str, request: pytest.FixtureRequest) -> None:
    server: S3Server | None = request.getfixturevalue("s3") if kind == "s3" else None
    store = ["--store", server.url("retention")] if server is not None else []
    bench.ok("hub", "up", "-d", "--port-base", "0", *store)
    versions = [publish(bench, bench.folder / "data", number) for number in range(3)]
    assert "keeps every version" in bench.ok("hub", "keep", "maps/roads").text
    assert bench.ok("hub", "gc", "--grace", "0s", *store, "--json").json["removed_versions"] == 0
    bench.ok("hub", "pin", f"maps/roads@{versions[0]}")
    assert "keeps the last 1, and what tags point to" in bench.ok("hub", "keep", "maps/roads", "--last", "1").text
    dry = bench.ok("hub", "gc", "--dry-run", *store, "--json").json
    assert (dry["condemned_versions"], dry["live_versions"]) == (1, 2)
    assert dry["condemned_bytes"] > 0
    done = bench.ok("hub", "gc", "--grace", "0s", *store, "--json").json
    assert (done["removed_versions"], done["removed_packs"], done["waiting_records"]) == (1, dry["condemned_packs"], 0)
    said = bench.refused(CONFLICT, "hub", "tag", f"maps/roads@{versions[1]}", "maps/roads:old")
    assert "is removed, as its keep rule does not cover it" in said
    bench.ok("hub", "tag", f"maps/roads@{versions[0]}", "maps/roads:old")
    bench.ok("hub", "store", "check", *store)
    bench.enrol("edge")
    bench.ok("edge", "pull", "maps/roads:old", str(bench.folder / "old"))
    assert (bench.folder / "old" / "large.bin").read_bytes() == bytes(800_000)
    assert publish(bench, bench.folder / "data", 1) != versions[1]  # other times
    bench.ok("hub", "down")


def test_quota_check_and_purge(bench: Bench) -> None:
    bench.make_swarm()
    version = publish(bench, bench.folder / "data", 0)
    bench.ok("hub", "quota", "maps", "1kB")
    bench.enrol("edge")
    (bench.folder / "data" / "large.bin").write_bytes(bytes(range(256)) * 2000)
    said = bench.refused(QUOTA, "edge", "publish", str(bench.folder / "data"), "maps/roads:latest", "--quiet")
    assert "quota" in said and "aetherfs keep" in said
    bench.ok("hub", "quota", "maps", "--clear")
    bench.ok("edge", "publish", str(bench.folder / "data"), "maps/roads:latest")

    said = bench.refused(NOT_ALLOWED, "edge", "purge", f"maps/roads@{version}")
    assert "may not administrate maps/roads" in said and "access explain" in said
    # Nothing is ordered where the store is not at hand.
    typo = (bench.folder / "typo").as_uri()
    assert "holds no swarm" in bench.refused(NOT_FOUND, "hub", "purge", f"maps/roads@{version}", "--store", typo)
    bench.refused(NOT_FOUND, "hub", "purge", "--status", f"maps/roads@{version}")
    told = bench.ok("hub", "purge", f"maps/roads@{version}", "--reason", "court order 7", "--json").json
    assert told["removed"]["removed_versions"] == 1
    assert bench.ok("hub", "purge", "--status", f"maps/roads@{version}", "--json").json["reason"] == "court order 7"
    said = bench.refused(NOT_ALLOWED, "edge", "pull", f"maps/roads@{version}", str(bench.folder / "again"), "--quiet")
    assert "was purged by order" in said

    bench.ok("hub", "store", "check")
    bench.refused(UNREACHABLE, "edge", "store", "check", "--repair")
    # The publisher still has it in its directory.
    bench.start("edge", "peer")
    pack = max((bench.home("hub") / "store" / "packs").iterdir(), key=lambda path: path.stat().st_size)
    pack.write_bytes(pack.read_bytes()[:-10])
    broken = bench.run("hub", "store", "check", "--quick", "--json")
    assert broken.exit_code == INTEGRITY
    assert broken.json["damaged"][0]["key"] == f"packs/{pack.name.rstrip('~')}"
    mended = bench.ok("hub", "store", "check", "--repair", "--json").json
    assert mended["ok"]
    assert bench.ok("hub", "store", "check", "--json").json["ok"]


def test_what_is_mistyped_is_told(bench: Bench) -> None:
    bench.make_swarm()
    assert "not a number of bytes" in bench.refused(USAGE, "hub", "quota", "maps", "20 apples")
    assert "'soon' is not a time: write 0s, 30m, 12h or 30d" in bench.refused(USAGE, "hub", "gc", "--grace", "soon")
    bench.refused(USAGE, "hub", "keep", "maps/roads:v1/path")
    bench.refused(3, "hub", "keep", "maps/nothing", "--last", "1")
