"""The installed program moves what there is: a bucket elsewhere, a version in a file, the swarm to new keys."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from pathlib import Path

import pytest

from swarm.cli.demo.place import free_ports
from tests.e2e.harness import DEADLINE_S, Bench, spawn_line, wait_for
from tests.s3_server import S3Server

CONFLICT, INTEGRITY, NOT_ALLOWED, NOT_FOUND, USAGE = 5, 6, 4, 3, 2


def _data(bench: Bench, name: str, size: int = 2_000_000) -> Path:
    folder = bench.folder / name
    folder.mkdir()
    (folder / "large.bin").write_bytes(os.urandom(size))
    (folder / "small.txt").write_text(name, encoding="ascii")
    return folder


def _is_same(one: Path, other: Path) -> bool:
    return all((one / name).read_bytes() == (other / name).read_bytes() for name in ("large.bin", "small.txt"))


def _states(folder: Path) -> dict[str, tuple[int, int]]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): (path.stat().st_ino, path.stat().st_mtime_ns) for path in files}


def test_a_bucket_restored_elsewhere_from_a_backup(bench: Bench, s3: S3Server) -> None:
    """The backup is older than what the swarm knows. A peer runs all the time, and nothing of it is restarted."""
    bucket, backup, elsewhere = s3.url("bucket"), f"file://{bench.folder}/backup", s3.url("elsewhere")
    base = free_ports()
    one, two, three = (_data(bench, name) for name in ("one", "two", "three"))
    hub = bench.start("hub", "up", "--store", bucket, port_base=base)
    bench.enrol("edge", "late")
    bench.start("edge", "peer")
    bench.ok("hub", "publish", str(one), "maps/roads:v1", "maps/roads:latest")
    first = bench.ok("x", "store", "copy", bucket, backup, "--verify", "--json").json
    assert first["entries"] == 1
    assert first["repaired"] == 0
    before = _states(bench.folder / "backup")
    again = bench.ok("x", "store", "copy", bucket, backup, "--json").json
    changed = {path for path, state in _states(bench.folder / "backup").items() if before.get(path) != state}
    # But for what trackers write by themselves: where they are, whom joiners may begin from, the audit, and events.
    of_trackers = ("swarm/trackers/", "swarm/peers", "swarm/audit/", "swarm/events/")
    assert {path for path in changed if not path.startswith(of_trackers)} == set()
    assert again["entries"] == 0
    assert again["unchanged"] > 0

    bench.ok("edge", "publish", str(two), "maps/roads:v2", "maps/roads:latest")
    hub.terminate()
    assert hub.wait(DEADLINE_S) == 0
    bench.ok("x", "store", "copy", backup, elsewhere, "--verify")
    bench.start("hub", "up", "--store", elsewhere, port_base=base)

    pulled = bench.ok("edge", "pull", "maps/roads:latest", str(bench.folder / "out"), "--json").json
    assert pulled["serial"] == 2, "what the backup lacks was given back"
    history = bench.ok("hub", "history", "maps/roads:latest", "--json").json
    assert [entry["serial"] for entry in history["entries"]] == [1, 2]
    published = bench.ok("edge", "publish", str(three), "maps/roads:v3", "--json").json
    assert published["serial"] == 3
    for name, expected in (("v1", one), ("v2", two), ("v3", three)):
        bench.ok("late", "pull", f"maps/roads:{name}", str(bench.folder / f"late-{name}"))
        assert _is_same(bench.folder / f"late-{name}", expected)
    assert "ahead" in bench.refused(CONFLICT, "x", "store", "copy", backup, elsewhere)


def test_store_copy_says_what_it_cannot(bench: Bench) -> None:
    empty = f"file://{bench.folder}/empty"
    assert "no swarm" in bench.refused(NOT_FOUND, "x", "store", "copy", empty, f"file://{bench.folder}/other")
    assert "same store" in bench.refused(USAGE, "x", "store", "copy", empty, f"{empty}/")
    assert "is not a store" in bench.refused(USAGE, "x", "store", "copy", empty, "elsewhere")


def test_a_version_in_a_file(bench: Bench) -> None:
    data = _data(bench, "data")
    file = bench.folder / "roads.aetherfs"
    bench.make_swarm()
    bench.enrol("remote", "piped")
    bench.ok("hub", "publish", str(data), "maps/roads:v1")
    written = bench.ok("hub", "export", "maps/roads:v1", str(file), "--json").json
    assert written["bytes"] == file.stat().st_size
    assert "--force" in bench.refused(CONFLICT, "hub", "export", "maps/roads:v1", str(file))
    bench.ok("hub", "export", "maps/roads:v1", str(file), "--force")
    streamed = bench.ok("hub", "export", "maps/roads:v1", "-").stdout
    assert streamed == file.read_bytes()
    (data / "small.txt").write_text("changed", encoding="ascii")
    bench.ok("hub", "publish", str(data), "maps/roads:v2")
    newer = bench.folder / "newer.aetherfs"
    bench.ok("hub", "export", "maps/roads:v2", str(newer), "--since", "maps/roads:v1")
    assert newer.stat().st_size < 20_000
    assert [path.name for path in bench.folder.glob("*.part")] == []
    bench.ok("hub", "down")

    brought = bench.ok("remote", "import", str(file), "--into", str(bench.folder / "kept"), "--json").json
    assert brought["own_swarm"]
    bench.ok("remote", "import", str(newer), "--into", str(bench.folder / "kept"))
    assert _is_same(bench.folder / "kept", data)
    assert bench.ok("remote", "cat", "maps/roads:v2/small.txt").stdout == b"changed"
    bench.ok("remote", "pull", "maps/roads:v2", str(bench.folder / "pulled"))
    assert _is_same(bench.folder / "pulled", data)

    import_line = [*spawn_line(), "import", "-", "--quiet"]
    done = subprocess.run(
        import_line,
        input=streamed,
        env=bench.environment("piped"),
        capture_output=True,
        timeout=DEADLINE_S,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert bench.ok("piped", "cat", "maps/roads:v1/small.txt").stdout == b"data"

    damaged = bench.folder / "damaged"
    damaged.write_bytes(streamed[:-1000])
    assert "cut short" in bench.refused(INTEGRITY, "piped", "import", str(damaged))
    assert "not a file that" in bench.refused(INTEGRITY, "piped", "import", str(data / "large.bin"))
    bench.make_swarm("other")
    assert "another swarm" in bench.refused(NOT_ALLOWED, "other", "import", str(file))
    result = bench.ok("other", "import", str(file), "copies/roads:v1", "--json").json
    assert result["published"]["serial"] == 1
    assert result["published"]["version"] == brought["version"]


@pytest.mark.parametrize("what", ["ca", "secret"])
def test_keys_rotate_under_a_running_swarm(bench: Bench, what: str) -> None:
    """``away`` is down from before until after, when what it knew is retired."""
    one, two = _data(bench, "one"), _data(bench, "two")
    bench.make_swarm()
    bench.enrol("edge", "away", "late")
    running = bench.start("edge", "peer")
    assert "may not administrate the swarm" in bench.refused(NOT_ALLOWED, "edge", "rotate", what)
    bench.ok("hub", "publish", str(one), "maps/roads:v1")
    bench.ok("edge", "pull", "maps/roads:v1", str(bench.folder / "before"))
    told = bench.ok("hub", "rotate", what, "--after", "2s", "--retire", "1s", "--json").json
    bench.ok("edge", "publish", str(two), "maps/roads:v2")
    wait_for("the former one is retired", lambda: time.time() > told["former_retired"] + 1)
    bench.ok("away", "pull", "maps/roads:v2", str(bench.folder / "away-out"))
    bench.ok("edge", "pull", "maps/roads:v1", str(bench.folder / "after"))
    bench.ok("late", "pull", "maps/roads:v1", str(bench.folder / "late-out"))
    assert running.poll() is None
    for name, expected in (("away-out", two), ("after", one), ("late-out", one)):
        assert _is_same(bench.folder / name, expected)
    if what == "ca":
        shown = [home for home in ("edge", "away", "late") if (bench.home(home) / "keys").exists()]
        assert "away" in shown
        assert "late" in shown
    bench.ok("hub", "rotate", what, "--after", "1h")
    assert "under way" in bench.refused(CONFLICT, "hub", "rotate", what)
    shutil.rmtree(bench.folder / "before")
