"""Trackers and seeds as a user runs several: from store and secret, killed and replaced while others work."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
from pathlib import Path

import pytest

from tests.e2e.harness import Bench, wait_for
from tests.s3_server import S3Server

USAGE = 2
NOT_FOUND = 3
NOT_ALLOWED = 4
CONFLICT = 5


def kill(process: subprocess.Popen[bytes]) -> None:
    """kill -9."""
    process.send_signal(signal.SIGKILL)
    process.wait()


def make_data(bench: Bench) -> Path:
    data = bench.folder / "data"
    data.mkdir()
    (data / "large.bin").write_bytes(os.urandom(1_500_000))
    (data / "small.txt").write_text("small\n", encoding="ascii")
    return data


def start_all(bench: Bench, store: str, *names: str) -> dict[str, subprocess.Popen[bytes]]:
    """Start trackers and seeds, each named for its role, all at the same time and with nothing but store and secret."""
    secret = str(bench.folder / "secret")
    started = {
        name: bench.spawn(
            name,
            name.partition("-")[0],
            *("--store", store, "--secret-file", secret, "--port-base", "0", "--json", "--quiet"),
        )
        for name in names
    }
    for name, process in started.items():
        assert process.stdout is not None
        line = process.stdout.readline()
        assert line, f"{name} ended with {process.wait()}: {process.stderr.read() if process.stderr else b''!r}"
        assert json.loads(line)["event"] == "ready"
    return started


def lives_through_it(bench: Bench, store: str) -> None:
    """Any of them may be killed: what was asked of the swarm goes on, and no peer is started again."""
    data = make_data(bench)
    running = start_all(bench, store, "tracker-1", "tracker-2", "seed-1", "seed-2")
    bench.enrol("producer", "one", "two", hub="tracker-1")
    peer = bench.start("one", "peer")
    bench.ok("producer", "publish", str(data), "maps/roads:v1")
    kill(running["tracker-1"])
    kill(running["seed-1"])
    bench.ok("two", "pull", "maps/roads:v1", str(bench.folder / "two"))
    bench.ok("producer", "publish", str(data), "maps/roads:v2")
    kill(running["tracker-2"])
    bench.ok("one", "pull", "maps/roads:v2", str(bench.folder / "one"))
    assert (bench.folder / "one" / "large.bin").read_bytes() == (data / "large.bin").read_bytes()
    start_all(bench, store, "tracker-3")
    address = bench.ok("tracker-3", "status", "--json").json["addresses"]["tracker"]
    wait_for("the peer knows the new tracker", lambda: address in answering(bench, "one"))
    bench.ok("one", "tag", "maps/roads:v2", "maps/roads:latest")
    assert bench.ok("producer", "inspect", "maps/roads:latest", "--json").json["serial"] == 3
    assert peer.poll() is None


def answering(bench: Bench, home: str) -> list[str]:
    asked = bench.ok(home, "status", "--json").json["trackers_asked"]
    return [each["tracker"] for each in asked if each["state"] == "answers"]


def test_a_swarm_lives_through_its_trackers(bench: Bench) -> None:
    lives_through_it(bench, (bench.folder / "store").as_uri())


def test_a_swarm_lives_through_its_trackers_on_s3(bench: Bench, s3: S3Server) -> None:
    lives_through_it(bench, s3.url())


def test_the_secret_is_exported_sealed_and_starts_a_tracker(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    store = (bench.folder / "store").as_uri()
    bench.start("hub", "up", "--store", store)
    sealed, words = bench.folder / "sealed", bench.folder / "words"
    words.write_text("a passphrase\n")
    told = bench.ok("hub", "secret", "export", str(sealed), "--passphrase-file", str(words), "--json").json
    assert told == {"file": str(sealed), "sealed": True}
    assert sealed.stat().st_mode & 0o777 == 0o600
    assert "is there already" in bench.refused(CONFLICT, "hub", "secret", "export", str(sealed))
    start = ("tracker", "--store", store, "--port-base", "0", "--secret-file")
    assert "sealed with a passphrase" in bench.refused(NOT_ALLOWED, "new", *start, str(sealed))
    wrong = bench.folder / "wrong"
    wrong.write_text("another")
    refused = bench.refused(NOT_ALLOWED, "new", *start, str(sealed), "--passphrase-file", str(wrong))
    assert "does not open" in refused
    bench.start("new", *start[:3], "--secret-file", str(sealed), "--passphrase-file", str(words))
    wait_for("both are known", lambda: len(bench.ok("hub", "status", "--json").json["trackers"]) == 2)
    plain = bench.ok("hub", "secret", "export").text
    assert bench.ok("new", "secret", "export", "-").text == plain
    mutilated = bench.folder / "mutilated"
    mutilated.write_text(plain[:-4])
    assert "mutilated" in bench.refused(USAGE, "other", *start, str(mutilated))
    assert "is not there" in bench.refused(NOT_FOUND, "other", *start, str(bench.folder / "none"))
    assert not (bench.folder / "none").exists()
    elsewhere = ("seed", "--store", (bench.folder / "elsewhere").as_uri(), "--port-base", "0", "--secret-file")
    bench.start("else", *elsewhere[:3], "--secret-file", str(bench.folder / "made"))
    for role in ("tracker", "seed"):
        refused = bench.refused(NOT_ALLOWED, "other", role, *start[1:], str(bench.folder / "made"))
        assert "does not open" in refused


def test_only_a_trackers_home_has_the_secret(bench: Bench) -> None:
    bench.make_swarm()
    bench.enrol("peer")
    assert "only a tracker's home" in bench.refused(NOT_ALLOWED, "peer", "secret", "export")
    assert "not enrolled" in bench.refused(NOT_ALLOWED, "nobody", "secret", "export")


def test_a_command_does_not_wait_for_a_tracker_that_is_silent(bench: Bench) -> None:
    """It takes connections and never says a word: a call to it alone ends after ten seconds."""
    import msgspec

    from swarm.home import Home
    from swarm.identity import PeerKey
    from swarm.messages import Contact
    from swarm.records import Address

    bench.make_swarm()
    bench.enrol("peer")
    home = Home(bench.home("peer"))
    with socket.create_server(("127.0.0.1", 0)) as silent:
        nobody = Contact(PeerKey(bytes(32)).public, (Address("127.0.0.1", silent.getsockname()[1]),))
        state = home.swarm()
        home.remember(msgspec.structs.replace(state, trackers=(nobody, *state.trackers)))
        assert bench.ok("peer", "ls", "--json").json == {"datasets": [], "stale": False}
