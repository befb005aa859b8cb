"""Mounts in the kernel of this machine: what they show, while tags move, agents restart and processes die."""

from __future__ import annotations

import errno
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from bench.debian import missing_program
from swarm.cli.main import main
from swarm.errors import AetherError, ConflictError, NotFoundError
from swarm.fuse import following
from swarm.fuse import place as places
from swarm.fuse import source as source_module
from swarm.peer.agent import start_peer
from tests.integration.mount_rig import mounting_of, place_of, why_no_mounts
from tests.integration.swarm_thread import SwarmThread, swarm_thread

pytestmark = [pytest.mark.root, pytest.mark.skipif(why_no_mounts() is not None, reason=str(why_no_mounts()))]
HOSTILE = 'q"uote <b>&\n#%41?;x \\ é'
MANY = 1200


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SwarmThread]:
    with swarm_thread(tmp_path_factory.mktemp("mounts")) as running:
        source = running.folder / "source"
        (source / "sub" / "deep").mkdir(parents=True)
        (source / "many").mkdir()
        (source / "empty").mkdir()
        (source / HOSTILE).write_text("hostile")
        (source / "large.bin").write_bytes(random.Random(3).randbytes(3_000_000))
        (source / "run").write_text("#!/bin/sh\necho ran\n")
        os.chmod(source / "run", 0o755)
        os.symlink("../large.bin", source / "sub" / "link")
        for number in range(MANY):
            (source / "many" / str(number)).write_text(str(number))
        running.publish(source, "maps/roads:v1")
        yield running


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Path]:
    with place_of(tmp_path / "mounted") as place:
        yield place


def shown(folder: Path) -> dict[str, Any]:
    """All that lies below a directory."""
    found: dict[str, Any] = {}
    for root, directories, names in os.walk(folder):
        for name in directories + names:
            path = Path(root, name)
            key = str(path.relative_to(folder))
            if path.is_symlink():
                found[key] = os.readlink(path)
            elif path.is_dir():
                found[key] = None
            else:
                stat = path.stat()
                found[key] = (path.read_bytes(), stat.st_mode & ~0o222, stat.st_mtime_ns)
    return found


def test_a_mount_shows_the_version_and_nothing_can_be_written(running: SwarmThread, place: Path) -> None:
    with mounting_of(running, "maps/roads:v1", place):
        assert shown(place) == shown(running.folder / "source")
        # The kernel has it all by now, and tells the same.
        assert shown(place) == shown(running.folder / "source")
        assert subprocess.run([place / "run"], capture_output=True, text=True, check=True).stdout == "ran\n"
        listing = os.open(place / "many", os.O_RDONLY)
        names = [sorted(os.listdir(listing)) for _ in range(2)]
        os.close(listing)
        assert names[0] == names[1] == sorted(map(str, range(MANY)))
        inodes = {path.stat().st_ino for path in (place / "many").iterdir()}
        assert len(inodes) == MANY
        attempts: list[Callable[[], object]] = [
            lambda: (place / "new").write_text("x"),
            lambda: (place / "large.bin").open("r+"),
            lambda: (place / "large.bin").unlink(),
            lambda: os.chmod(place / "large.bin", 0o777),
        ]
        for attempt in attempts:
            with pytest.raises(OSError, match=os.strerror(errno.EROFS)):
                attempt()
        with pytest.raises(FileNotFoundError):
            (place / "none").stat()
        with pytest.raises(ConflictError, match="is a mount already"):
            places.attach(str(place), "x")
        with (place / "run").open(), pytest.raises(ConflictError, match="--lazy"):
            places.detach(str(place))
        places.detach(str(place))
    assert not any(place.iterdir())
    with pytest.raises(NotFoundError):
        places.detach(str(place))
    (place / "own").write_text("of the user")
    with pytest.raises(ConflictError, match="is not empty"):
        places.attach(str(place), "x")
    assert (place / "own").read_text() == "of the user"


def publish(running: SwarmThread, folder: Path, content: bytes, name: str) -> None:
    folder.mkdir(exist_ok=True)
    (folder / "moves").write_bytes(content)
    (folder / "stays").write_text("stays")
    for file in ("moves", "stays"):
        # A time proves nothing: two versions may give other bytes with the same.
        os.utime(folder / file, (1e9, 1e9))
    (folder / f"only-{content[:1].hex()}").write_text("x")
    running.publish(folder, name)
    (folder / f"only-{content[:1].hex()}").unlink()


def test_a_mount_stays_what_it_was_and_one_that_follows_goes_along(
    running: SwarmThread, place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # It hears of moves, whatever it would look for by itself.
    monkeypatch.setattr(following, "FOLLOW_S", 3600.0)
    monkeypatch.setattr(following, "LOST_S", 3600.0)
    old, new = (random.Random(seed).randbytes(3_000_000) for seed in (4, 5))
    publish(running, tmp_path / "source", old, "tests/moving:latest")
    with (
        place_of(tmp_path / "pinned") as pinned,
        mounting_of(running, "tests/moving:latest", place, follows=True) as server,
        mounting_of(running, "tests/moving:latest", pinned),
        (place / "moves").open("rb") as file,
    ):
        assert file.read(1_000_000) == old[:1_000_000]
        before, known = (place / "stays").stat(), server.version
        publish(running, tmp_path / "source", new, "tests/moving:latest")
        deadline = time.monotonic() + 30
        while server.version == known:
            assert time.monotonic() < deadline
            time.sleep(0.05)
        while (place / "moves").stat().st_ino == os.fstat(file.fileno()).st_ino:
            # The kernel looks at a name again after a second.
            assert time.monotonic() < deadline
            time.sleep(0.1)
        assert (place / "moves").read_bytes() == new
        assert file.read() == old[1_000_000:]
        # Both are in the page cache now, and apart.
        file.seek(0)
        assert file.read() == old
        assert (place / "moves").read_bytes() == new
        assert (place / "stays").stat().st_ino == before.st_ino
        assert sorted(os.listdir(place)) == sorted(["moves", "stays", f"only-{new[:1].hex()}"])
        assert (pinned / "moves").read_bytes() == old
        assert sorted(os.listdir(pinned)) == sorted(["moves", "stays", f"only-{old[:1].hex()}"])


def test_a_mount_that_hears_nothing_looks_by_itself(
    running: SwarmThread, place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(following, "FOLLOW_S", 0.05)
    publish(running, tmp_path / "source", b"old", "tests/looked:latest")
    monkeypatch.setattr(source_module, "agent_of", lambda home: None)
    with mounting_of(running, "tests/looked:latest", place, follows=True) as server:
        known = server.version
        publish(running, tmp_path / "source", b"new", "tests/looked:latest")
        deadline = time.monotonic() + 30
        while server.version == known:
            assert time.monotonic() < deadline
            time.sleep(0.05)


def test_reads_wait_for_an_agent_that_is_started_again(running: SwarmThread, place: Path) -> None:
    source = running.folder / "source"
    with mounting_of(running, "maps/roads:v1", place, by_home=True), (place / "large.bin").open("rb", 0) as file:
        assert file.read(5) == (source / "large.bin").read_bytes()[:5]
        settings = running.reader.settings
        running.do(running.reader.close)
        reading = subprocess.Popen(["cat", place / "sub" / "link", place / "many" / "7"], stdout=subprocess.PIPE)
        try:
            running.reader = running.do(lambda: start_peer(settings))
            assert reading.communicate(timeout=60)[0] == (source / "large.bin").read_bytes() + b"7"
        finally:
            reading.kill()
        file.seek(2_500_000)
        assert file.read(5) == (source / "large.bin").read_bytes()[2_500_000:2_500_005]


def test_an_agent_that_stays_away_fails_reads_and_hangs_nobody(
    running: SwarmThread, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with (
        mounting_of(running, "maps/roads:v1", place, address="http://127.0.0.1:1", away_s=0.1),
        pytest.raises(OSError, match=os.strerror(errno.EIO)),
    ):
        os.listdir(place)
    with mounting_of(running, "maps/roads:v1", place, address="http://127.0.0.1:1"):
        waiting = subprocess.Popen(["cat", place / "run"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        time.sleep(0.2)
        waiting.kill()
        assert waiting.wait(30) == -signal.SIGKILL


def test_what_a_dead_process_left_is_cleared_away(
    running: SwarmThread, place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    os.close(places.attach(str(place), "dead"))
    assert places.is_dead(str(place))
    with pytest.raises(OSError, match=os.strerror(errno.ENOTCONN)):
        os.listdir(place)
    with mounting_of(running, "maps/roads:v1", place):
        assert (place / "many" / "5").read_text() == "5"
    home = str(running.reader.settings.home.path)
    command = [sys.executable, "-m", "swarm.cli.main", "mount", "maps/roads:v1", str(place), "--home", home, "--json"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    with process:
        assert process.stdout is not None
        assert json.loads(process.stdout.readline())["directory"] == str(place)
        assert (place / "many" / "5").read_text() == "5"
        process.kill()
    deadline = time.monotonic() + 30
    while places.mounted_at(str(place)) is not None:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert main(["unmount", str(place)]) == 0
    assert capsys.readouterr().out == f"nothing is mounted at {place}\n"
    assert main(["unmount", str(place / "nowhere")]) == main(["unmount", "/proc"]) == 3
    ended = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    with ended:
        assert ended.stdout is not None
        assert ended.stdout.readline()
        ended.send_signal(signal.SIGINT)
        assert "repeat" not in ended.communicate(timeout=30)[1]
    assert (ended.returncode, places.mounted_at(str(place))) == (0, None)


# Nobody, but that he may read this program, which may lie below /root; /dev/fuse is for all, as udev makes it.
AS_NOBODY = """
mknod -m 666 "$0/fuse" c 10 229
mount --bind "$0/fuse" /dev/fuse
exec setpriv --reuid=65534 --regid=65534 --clear-groups --inh-caps=+dac_read_search --ambient-caps=+dac_read_search "$@"
"""
MOUNTS = """
import json, os, pathlib, sys
from swarm.errors import NotAllowedError
from swarm.fuse import place as places
from swarm.fuse.mounting import mounted
from swarm.fuse.source import Source
from swarm.names import parse
folder, agent = pathlib.Path(sys.argv[1]), sys.argv[2]
place, reference = folder / "place", parse("maps/roads:v1")
place.mkdir()
source = Source(reference, folder / "home", agent)
with mounted(source, source.version(), str(place), "maps/roads:v1"):
    found = [sorted(os.listdir(place)), (place / "many" / "7").read_text(), (place / "many").stat().st_uid]
left = places.mounted_at(str(place))
try:
    places.attach(str(folder / "roots"), "x")
except NotAllowedError as error:
    print(json.dumps([os.geteuid(), *found, left, str(error)]))
"""


def test_a_user_without_any_right_mounts_where_he_may_write(running: SwarmThread, place: Path) -> None:
    for program, package in (("fusermount3", "fuse3"), ("setpriv", "util-linux"), ("unshare", "util-linux")):
        why = missing_program(program, package, is_root=os.geteuid() == 0)
        if why is not None:
            pytest.skip(why)
    with tempfile.TemporaryDirectory(prefix="nobodys-", dir="/var/tmp") as folder:
        os.chown(folder, 65534, 65534)
        Path(folder, "roots").mkdir()
        command = ["unshare", "--mount", "sh", "-euc", AS_NOBODY, folder, sys.executable, "-c", MOUNTS, folder]
        done = subprocess.run([*command, running.agent], capture_output=True, text=True, timeout=60, check=False)
    if "mknod" in done.stderr:
        pytest.skip(f"no device can be made here: {done.stderr.strip()}")
    assert done.returncode == 0, done.stderr
    user, listed, seven, owner, left, refusal = json.loads(done.stdout)
    assert listed == sorted(os.listdir(running.folder / "source"))
    assert (user, seven, owner, left) == (65534, "7", 65534, None)
    assert "no write access" in refusal


def test_a_user_mounts_by_fusermount3_and_is_told_where_it_is_missing(
    running: SwarmThread, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patched:
        patched.setenv("PATH", "/nonexistent")
        with pytest.raises(AetherError, match="install fuse3"):
            places.attach(str(place), "x", by_helper=True)
    why = missing_program("fusermount3", "fuse3", is_root=os.geteuid() == 0)
    if why is not None:
        pytest.skip(why)
    with mounting_of(running, "maps/roads:v1", place, by_helper=True):
        assert (place / "many" / "5").read_text() == "5"
    assert places.mounted_at(str(place)) is None
