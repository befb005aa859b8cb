"""From nothing to a second version in a second home, and back down."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.e2e.harness import DEADLINE_S, Bench, wait_for

WAITS = "waits for a neighbour that holds this version"
# 64 MiB take half a minute: what is broken off is never over before.
SLOW = 'upload_limit = "16mbit"\ndownload_limit = "16mbit"\n'
TIME_NS = 1_234_567_890_123_456_789


def _data(root: Path) -> Path:
    """Every kind of thing that a dataset may hold."""
    (root / "deep" / "er").mkdir(parents=True)
    (root / "empty directory").mkdir()
    (root / "empty file").touch()
    (root / "naïve 名前.txt").write_text("names\n", encoding="utf-8")
    (root / "deep" / "er" / "large.bin").write_bytes(os.urandom(1_500_000))
    (root / "run.sh").write_text("#!/bin/sh\n", encoding="ascii")
    (root / "run.sh").chmod(0o755)
    (root / "private").write_text("p", encoding="ascii")
    (root / "private").chmod(0o600)
    (root / "link").symlink_to("deep/er/large.bin")
    os.utime(root / "run.sh", ns=(TIME_NS, TIME_NS))
    return root


def _described(root: Path) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for path in sorted(root.rglob("*")):
        name, status = path.relative_to(root).as_posix(), path.lstat()
        if path.is_symlink():
            found[name] = os.readlink(path)
        elif path.is_file():
            found[name] = (status.st_mode, status.st_mtime_ns, path.read_bytes())
        elif not any(path.iterdir()):
            found[name] = "empty directory"
    return found


def test_the_whole_path(bench: Bench) -> None:
    data = _data(bench.folder / "data")
    up = bench.ok("hub", "up", "-d", "--port-base", "0", "--json").json
    assert up["role"] == "tracker"
    assert {"tracker", "exchange", "dht", "agent"} <= up["addresses"].keys()

    published = bench.ok("hub", "publish", str(data), "maps:v1", "maps:latest", "-m", "the first", "--json").json
    assert {
        "version",
        "serial",
        "files",
        "bytes",
        "blocks",
        "new_blocks",
        "uploaded",
        "seconds",
        "tags",
    } <= published.keys()
    assert published["files"] == 5
    assert published["serial"] == 1

    token = bench.ok("hub", "token", "create", "--ttl", "5m").text
    assert token.count("\n") == 1
    bench.ok("edge", "join", token.strip())
    pulled = bench.ok("edge", "pull", "maps:v1", str(bench.folder / "out"), "--json").json
    assert {"ref", "version", "serial", "files", "bytes", "seconds", "from", "wasted", "wire"} <= pulled.keys()
    assert pulled["version"] == published["version"]
    assert pulled["from"].keys() == {"peers", "origin", "reused"}
    assert _described(bench.folder / "out") == _described(data)

    _look_at(bench, published)
    _move_on(bench, data, published)
    assert bench.ok("hub", "down", "--json").json["stopped"] is True
    assert bench.left_over() == []
    assert bench.ok("hub", "down", "--json").json["stopped"] is False


def _look_at(bench: Bench, published: dict[str, Any]) -> None:
    """Everything that reads, from the home that has no process, and from the one that has."""
    for home in ("edge", "hub"):
        listed = bench.ok(home, "ls", "--json").json["datasets"]
        assert listed == [{"dataset": "library/maps", "tags": ["latest", "v1"]}]
        entries = {entry["path"]: entry for entry in bench.ok(home, "ls", "maps:v1", "--json").json["entries"]}
        assert entries["run.sh"]["mtime_ns"] == TIME_NS
        assert entries["link"]["target"] == "deep/er/large.bin"
        assert [e["path"] for e in bench.ok(home, "ls", "maps:v1/deep", "--json").json["entries"]] == [
            "deep/er/large.bin"
        ]
        large = bench.folder / "data" / "deep" / "er" / "large.bin"
        assert bench.ok(home, "cat", "maps:v1/deep/er/large.bin").stdout == large.read_bytes()
        assert bench.ok(home, "cat", f"maps@{published['version']}/empty file").stdout == b""
        inspected = bench.ok(home, "inspect", "maps", "--json").json
        assert (inspected["version"], inspected["message"]) == (published["version"], "the first")
        assert bench.ok(home, "verify", str(bench.folder / "out"), "maps:v1", "--json").json["differences"] == []
        assert bench.ok(home, "history", "maps:v1", "--json").json["entries"][0]["kind"] == "publish"


def _move_on(bench: Bench, data: Path, published: dict[str, Any]) -> None:
    """A second version, moved tags, and back."""
    (data / "new").write_text("new\n", encoding="ascii")
    (data / "private").unlink()
    second = bench.ok("hub", "publish", str(data), "maps:latest", "--json").json
    assert second["version"] != published["version"]
    pulled = bench.ok("edge", "pull", "maps", str(bench.folder / "out"), "--json").json
    assert pulled["from"]["peers"] + pulled["from"]["origin"] < 300_000
    assert _described(bench.folder / "out") == _described(data)

    bench.ok("hub", "tag", "maps:latest", "maps:stable")
    back = bench.ok("hub", "rollback", "maps:latest", "--json").json
    assert back["tags"] == {"latest": published["version"]}
    assert bench.ok("edge", "inspect", "maps:stable", "--json").json["version"] == second["version"]
    entries = bench.ok("hub", "history", "maps:latest", "--json").json["entries"]
    assert [entry["kind"] for entry in entries] == ["publish", "publish", "rollback"]
    assert [entry["back_to"] for entry in entries] == [None, None, entries[0]["serial"]]
    assert entries[1]["fetch_bytes"] == pulled["from"]["peers"] + pulled["from"]["origin"]
    bench.ok("hub", "rollback", "maps:latest", "--to", str(second["serial"]))
    assert bench.ok("edge", "inspect", "maps", "--json").json["version"] == second["version"]
    # None that is not there, and none that moved another tag.
    for other in ("77", str(second["serial"] + 1)):
        said = bench.refused(3, "hub", "rollback", "maps:latest", "--to", other)
        assert f"no entry {other} moved library/maps:latest" in said
    _looked_into(bench, data, second["version"])
    bench.ok("hub", "rm", "maps:stable")
    assert bench.ok("hub", "ls", "--json").json["datasets"][0]["tags"] == ["latest", "v1"]


def _looked_into(bench: Bench, data: Path, second: str) -> None:
    """Where the time of a pull went, what a publish would do, and which version was the first with a file."""
    page = bench.folder / "page.html"
    explained = bench.ok("edge", "explain", "maps", "run.sh", "--html", str(page), "--json").json
    assert explained["pull"]["verdict"]
    assert explained["block_list"][0]["here"]
    assert page.read_text(encoding="utf-8").startswith("<!doctype html>")
    assert "went into" in bench.ok("edge", "explain", "maps").text
    rules = bench.folder / "rules.toml"
    rules.write_text("[budget]\nfiles = 1\n", encoding="ascii")
    assert "over the budget" in bench.refused(1, "hub", "publish", str(data), "maps:v3", "--rules", str(rules))
    told = bench.ok("hub", "publish", str(data), "maps:v3", "--dry-run", "--json").json
    assert (told["version"], told["new_blocks"]) == (second, 0)
    ended = bench.run("hub", "publish", str(data), "maps:latest", "--wait", "copies=9", "--within", "0s")
    assert (ended.exit_code, "of 9 other peers" in ended.stderr) == (8, True)
    found = bench.ok("edge", "bisect", "maps:latest", "--good", "1", "--json", "--", "test", "!", "-e", "{}/new").json
    assert found["first_bad"]["version"] == second
    assert not list((bench.home("edge") / "bisect").glob("*/"))


def test_one_role_a_process(bench: Bench) -> None:
    store = (bench.folder / "store").as_uri()
    tracker = bench.start("tracker", "tracker", "--store", store)
    for role in ("seed", "peer"):
        token = bench.ok("tracker", "token", "create", "--role", role, "--uses", "9").text
        (bench.folder / f"{role}.token").write_text(token, encoding="ascii")
    bench.start("seed", "seed", "--store", store, "--join-file", str(bench.folder / "seed.token"))
    peer = bench.start("peer", "peer", "--join-file", str(bench.folder / "peer.token"))
    for home in ("tracker", "seed"):
        assert (bench.home(home) / "store_address").read_text(encoding="ascii").strip() == store
    assert not (bench.home("peer") / "store_address").exists()
    data = _data(bench.folder / "data")
    bench.ok("peer", "publish", str(data), "maps:v1")
    bench.ok("late", "join", str(bench.folder / "peer.token"))
    bench.ok("late", "pull", "maps:v1", str(bench.folder / "out"))
    assert _described(bench.folder / "out") == _described(data)
    assert bench.ok("seed", "status", "--json").json["role"] == "seed"
    peer.send_signal(signal.SIGINT)
    assert peer.wait(DEADLINE_S) == 130
    tracker.send_signal(signal.SIGTERM)
    assert tracker.wait(DEADLINE_S) == 0


def test_a_pull_that_nobody_can_serve_says_what_it_waits_for(bench: Bench) -> None:
    store = (bench.folder / "store").as_uri()
    bench.start("tracker", "tracker", "--store", store)
    bench.enrol("seed", hub="tracker", options=("--role", "seed"))
    bench.enrol("producer", "edge", hub="tracker")
    seed = bench.start("seed", "seed", "--store", store)
    bench.ok("producer", "publish", str(_data(bench.folder / "data")), "maps:v1")
    seed.terminate()
    seed.wait(DEADLINE_S)
    pulling = bench.spawn("edge", "pull", "maps:v1", str(bench.folder / "out"))
    assert pulling.stderr is not None
    told = [pulling.stderr.readline().decode()]
    # On a loaded machine it looks for the version, and asks whoever was there, for so long that it says so first.
    while not re.fullmatch(f"pull: manifest, nothing has moved for [0-9.]+ s, {WAITS}\n", told[-1]):
        assert re.match("pull: (find|manifest), ", told[-1]), told
        told.append(pulling.stderr.readline().decode())
    pulling.send_signal(signal.SIGINT)
    assert pulling.wait(DEADLINE_S) == 130


def test_a_swarm_survives_a_restart(bench: Bench) -> None:
    data = _data(bench.folder / "data")
    bench.make_swarm()
    bench.ok("hub", "publish", str(data), "maps:v1")
    bench.ok("hub", "down")
    bench.make_swarm()
    bench.enrol("edge")
    bench.ok("edge", "pull", "maps:v1", str(bench.folder / "out"))
    assert _described(bench.folder / "out") == _described(data)


def test_two_commands_at_once_share_a_home(swarm: Bench) -> None:
    begun = [
        swarm.spawn("edge", "pull", "roads:v1", str(swarm.folder / f"together-{n}"), "--json", "--quiet")
        for n in range(3)
    ]
    for process in begun:
        _, stderr = process.communicate(timeout=DEADLINE_S)
        assert process.returncode == 0, stderr
    trees = [_described(swarm.folder / f"together-{n}") for n in range(3)]
    assert trees[0] == trees[1] == trees[2] == _described(swarm.folder / "roads")


def test_a_directory_that_is_gone_takes_no_version_with_it(swarm: Bench) -> None:
    """The seed keeps every block: neither the published directory nor one that was pulled there is needed any more."""
    data = swarm.folder / "passing"
    data.mkdir()
    (data / "file").write_bytes(os.urandom(300_000))
    wanted = _described(data)
    swarm.ok("hub", "publish", str(data), "passing:v1")
    for place in ("passing-1", "passing-2"):
        swarm.ok("hub", "pull", "passing:v1", str(swarm.folder / place))
        shutil.rmtree(swarm.folder / place)
    shutil.rmtree(data)
    swarm.enrol("after")
    swarm.ok("after", "pull", "passing:v1", str(swarm.folder / "after-out"))
    assert _described(swarm.folder / "after-out") == wanted


def test_only_the_files_asked_for(swarm: Bench) -> None:
    out = swarm.folder / "some"
    assert swarm.ok("edge", "pull", "roads:v1", str(out), "--include", "*.txt", "--json").json["files"] == 1
    assert [path.name for path in out.iterdir()] == ["a.txt"]


def test_a_reader_that_leaves_early_is_no_failure(swarm: Bench) -> None:
    for home in ("edge", "hub"):
        process = swarm.spawn(home, "cat", "roads:v1/b.bin")
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.read(10) == bytes(range(10))
        process.stdout.close()
        assert process.stderr.read() == b""
        assert process.wait(DEADLINE_S) == -signal.SIGPIPE


def _big(bench: Bench) -> Path:
    data = bench.folder / "big"
    data.mkdir(exist_ok=True)
    with (data / "big.bin").open("wb") as file:
        for _ in range(64):
            file.write(os.urandom(1 << 20))
    return data


def test_ctrl_c_leaves_nothing_half_written_and_a_repeat_completes(swarm: Bench) -> None:
    data = _big(swarm)
    swarm.enrol("one", "other")
    with _slow(swarm, "one"):
        _interrupt(swarm, "one", swarm.spawn("one", "publish", str(data), "big:v1", "--quiet"))
    assert "library/big" not in swarm.ok("hub", "ls").text
    swarm.ok("one", "publish", str(data), "big:v1")

    out = swarm.folder / "big-out"
    with _slow(swarm, "other"):
        _interrupt(swarm, "other", swarm.spawn("other", "pull", "big:v1", str(out), "--quiet"))
    assert not out.exists()
    swarm.ok("other", "pull", "big:v1", str(out))
    assert _described(out) == _described(data)


@contextmanager
def _slow(bench: Bench, home: str) -> Iterator[None]:
    """What begins on this home now has a slow line."""
    settings = bench.home(home) / "config.toml"
    settings.write_text(SLOW, encoding="ascii")
    yield
    settings.unlink()


def _interrupt(bench: Bench, home: str, process: subprocess.Popen[bytes]) -> None:
    """Ctrl-C as soon as the command's own peer runs."""
    agent = bench.home(home) / "agent.json"
    wait_for("the command's peer runs", lambda: agent.exists() or process.poll() is not None)
    process.send_signal(signal.SIGINT)
    _, stderr = process.communicate(timeout=DEADLINE_S)
    assert process.returncode == 130, stderr
    assert stderr.decode().count("\n") == 1


def test_kill_9_and_again(swarm: Bench) -> None:
    data = _big(swarm)
    swarm.ok("hub", "publish", str(data), "big:kill")
    swarm.enrol("killed")
    out = swarm.folder / "killed-out"
    with _slow(swarm, "killed"):
        process = swarm.spawn("killed", "pull", "big:kill", str(out), "--quiet")
        wait_for("the pull is under way", lambda: list(swarm.folder.glob(".killed-out*")) or process.poll() is not None)
        process.kill()
        process.wait()
    assert not out.exists()
    swarm.ok("killed", "pull", "big:kill", str(out))
    assert _described(out) == _described(data)


def test_status_again_and_again(swarm: Bench) -> None:
    process = swarm.spawn("hub", "status", "--watch", "--json")
    assert process.stdout is not None
    assert process.stdout.readline().startswith(b'{"peer_id"')
    assert process.stdout.readline().startswith(b'{"peer_id"')
    process.send_signal(signal.SIGINT)
    assert process.wait(DEADLINE_S) == 130


def test_a_file_that_changes_while_it_is_published_is_never_torn(swarm: Bench) -> None:
    data = swarm.folder / "moving"
    data.mkdir()
    (data / "file").write_bytes(b"a" * 8_000_000)
    process = swarm.spawn("hub", "publish", str(data), "moving:v1", "--quiet")
    letter = 0
    deadline = time.monotonic() + 60
    while process.poll() is None and letter < 40 and time.monotonic() < deadline:
        letter += 1
        with (data / "file").open("r+b") as file:
            file.write(bytes([97 + letter % 26]) * 8_000_000)
    process.communicate(timeout=DEADLINE_S)
    if process.returncode != 0:
        assert "library/moving" not in swarm.ok("hub", "ls").text
        swarm.ok("hub", "publish", str(data), "moving:v1")
    assert len(set(swarm.ok("edge", "cat", "moving:v1/file").stdout)) == 1
