"""The installed program while its S3 server is stopped, and when it is back; and what it says that all of it cost."""

from __future__ import annotations

import os
import subprocess
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from seed.packs import head_bytes, read_head
from tests.bad_weather import BadWeather
from tests.e2e.harness import DEADLINE_S, Bench, wait_for
from tests.s3_server import S3Server, store_url

USAGE = 2
NOT_FOUND = 3
UNREACHABLE = 7
FULL = 9


def test_the_swarm_goes_on_without_its_store_and_nothing_is_restarted(bench: Bench, s3: S3Server) -> None:
    data = bench.folder / "data"
    data.mkdir()
    (data / "large.bin").write_bytes(os.urandom(3_000_000))
    with BadWeather(s3.endpoint) as weather:
        bench.start("hub", "up", "--store", store_url(weather.endpoint))
        bench.enrol("producer", "one", "two")
        token = bench.ok("hub", "token", "create").text
        bench.ok("producer", "publish", str(data), "maps/roads:v1")
        bench.ok("one", "pull", "maps/roads:v1", str(bench.folder / "one"))

        weather.is_away = True
        bench.ok("two", "pull", "maps/roads:v1", str(bench.folder / "two"))
        assert (bench.folder / "two" / "large.bin").read_bytes() == (data / "large.bin").read_bytes()
        for refused in (
            bench.refused(UNREACHABLE, "producer", "tag", "maps/roads:v1", "maps/roads:stable"),
            bench.refused(UNREACHABLE, "producer", "publish", str(data), "maps/roads:v2"),
            bench.refused(UNREACHABLE, "hub", "token", "create"),
            bench.refused(UNREACHABLE, "late", "join", "-", stdin=token),
        ):
            assert "s3://data/" in refused
        listed = {"datasets": [{"dataset": "maps/roads", "tags": ["v1"]}], "stale": True}
        assert bench.ok("two", "ls", "--json").json == listed
        assert bench.ok("two", "history", "maps/roads:v1", "--json").json["entries"][0]["serial"] == 1

        assert bench.ok("hub", "store", "cost", "--json").json["stored"] is None
        assert "the object store is away" in bench.ok("hub", "store", "cost").text
        told = _store(bench)
        assert told["state"].startswith("away since 20")
        assert "publishes, moves of tags, joins and tokens fail until it is back" in told["affected"]
        assert "uploads fail until it is back" in told["affected"]
        assert "away since 20" in bench.ok("hub", "status").text
        assert _agent(bench, "/readyz").startswith("degraded: the object store is away since 20")
        assert _metric(bench, "aetherfs_store_away_seconds") > 0
        assert _metric(bench, 'aetherfs_store_calls_total{kind="refused"}') > 0

        weather.is_away = False
        wait_for("the store is back", lambda: _store(bench)["state"] == "answers")
        bench.ok("producer", "publish", str(data), "maps/roads:v2")
        bench.ok("late", "join", "-", stdin=token)
        # Of the store alone: on a loaded machine it says that its loop was late.
        assert "\n[+] store: ok\n" in _agent(bench, "/readyz?verbose")
        assert _store(bench)["address"].startswith("s3://data/")
        assert _store(bench)["encryption"] == "AES256 by the server"
        assert _metric(bench, "aetherfs_store_away_seconds") == 0


def _store(bench: Bench) -> dict[str, Any]:
    return dict(bench.ok("hub", "status", "--json").json["store"])


def _agent(bench: Bench, path: str) -> str:
    where = bench.ok("hub", "status", "--json").json["addresses"]["agent"]
    with urllib.request.urlopen(f"http://{where}{path}") as answer:
        return str(answer.read().decode())


def _metric(bench: Bench, series: str) -> float:
    lines = [line for line in _agent(bench, "/metrics").splitlines() if line.startswith(series + " ")]
    assert len(lines) == 1, series
    return float(lines[0].rpartition(" ")[2])


def _kept_in(disk: Path) -> dict[Path, bytes]:
    """What lies in a folder store for good: leases, and what trackers and seeds say of themselves, come and go."""
    passing = {"uploads", "trackers", "costs", "peers", "audit", "events"}
    found = (path for path in disk.rglob("*~") if not passing & {part.removesuffix("~") for part in path.parts})
    return {path: path.read_bytes() for path in found}


@pytest.mark.root
def test_a_folder_store_that_is_full(bench: Bench, tmp_path: Path) -> None:
    """Exit code 9, nothing half, and what was there before is whole."""
    data = tmp_path / "data"
    data.mkdir()
    (data / "a").write_bytes(os.urandom(300_000))
    disk = tmp_path / "disk"
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "none", str(disk)], check=True)
    try:
        hub = bench.start("hub", "up", "--store", disk.as_uri())
        bench.enrol("producer", "one")
        bench.ok("producer", "publish", str(data), "maps/roads:v1")
        (data / "b").write_bytes(os.urandom(4_000_000))
        before = _kept_in(disk)
        for home in ("producer", "hub"):
            assert "No space left" in bench.refused(FULL, home, "publish", str(data), "maps/roads:v2")
        # A pack that found room stays for the repetition, whole; nothing names it, and nothing that was there changed.
        after = _kept_in(disk)
        new = sorted(after.keys() - before.keys())
        assert {path: after[path] for path in before} == before
        assert [path.parent.name for path in new] == ["packs"] * len(new)
        for path in new:
            found = read_head(path.name, after[path][: head_bytes(after[path])]).places.values()
            assert max(place.offset + place.length for place in found) == len(after[path])
        # The tracker writes by its own clock meanwhile.
        wait_for("nothing half is left", lambda: not list((disk / ".new").iterdir()))
        bench.ok("one", "pull", "maps/roads:v1", str(bench.folder / "one"))
        subprocess.run(["mount", "-o", "remount,size=20m", str(disk)], check=True)
        bench.ok("producer", "publish", str(data), "maps/roads:v2")
        bench.ok("one", "pull", "maps/roads:v2", str(bench.folder / "one"))
        hub.terminate()
        hub.wait(DEADLINE_S)
    finally:
        subprocess.run(["umount", "-l", str(disk)], check=True)


@pytest.mark.parametrize(
    ("text", "exit_code", "said"),
    [
        ('name = "x"\nput_per_1000 = "1"', USAGE, "sets put_per_1000 to '1': expected a number"),
        ('name = "x"\nput_per_1000 = \nsent_per_gb = 1', USAGE, "line 2, column 16"),
        ("colour = 1", USAGE, "unknown price 'colour'"),
        (None, NOT_FOUND, "is not there"),
    ],
)
def test_prices_that_are_wrong_are_refused_by_place(
    bench: Bench, tmp_path: Path, text: str | None, exit_code: int, said: str
) -> None:
    prices = tmp_path / "prices.toml"
    if text is not None:
        prices.write_text(text, encoding="ascii")
    told = bench.refused(exit_code, "hub", "store", "cost", "--prices", str(prices))
    assert str(prices) in told
    assert said in told


def test_the_bill_is_by_the_prices_that_are_named(bench: Bench, tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir()
    (data / "large.bin").write_bytes(os.urandom(3_000_000))
    prices = tmp_path / "prices.toml"
    prices.write_text('name = "ours"\ncurrency = "EUR"\nput_per_1000 = 1000\nget_per_1000 = 0\n', encoding="ascii")
    bench.make_swarm()
    bench.enrol("producer")
    published = bench.ok("producer", "publish", str(data), "maps/roads:v1", "--json").json
    found = bench.ok("hub", "store", "cost", "--prices", str(prices), "--json").json
    publish = found["publishes"][-1]
    assert publish["version"] == published["version"]
    assert publish["requests"] == published["store"]["requests"]
    assert publish["cost"] == publish["requests"]["put"] + publish["requests"]["list"]
    # By the prices that hold where nobody says another: here GETs cost too.
    assert published["store"]["cost"] == pytest.approx(publish["cost"] * 5e-6 + publish["requests"]["get"] * 4e-7)
    asked = found["store"]["requests"]
    assert found["bill"]["requests"] == pytest.approx(asked["put"] + asked["list"])
    assert found["stored"]["bytes"] > 3_000_000
    assert (found["bill"]["currency"], found["prices"]["name"]) == ("EUR", "ours")
    text = bench.ok("hub", "store", "cost").text
    assert "publish  maps/roads" in text
    assert "prices: AWS S3 Standard, us-east-1" in text
