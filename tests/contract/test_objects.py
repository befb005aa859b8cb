"""The one suite of every object store, and what the folder promises across processes and crashes."""

from __future__ import annotations

import errno
import os
import random
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest

from swarm.errors import FullError, LocalProtocolError, NotFoundError, UnreachableError, UsageError
from swarm.objects import ObjectStore
from swarm.objects.counted import CountedStore
from swarm.objects.folder import FolderObjectStore
from swarm.objects.memory import MemoryObjectStore
from swarm.objects.meter import Spent
from swarm.objects.open import open_store
from swarm.objects.standing import HERE, standing_of
from swarm.objects.usage import usage_of
from tests.away import LeavingStore

MAKERS: dict[str, Callable[[pytest.FixtureRequest, Path], ObjectStore]] = {
    "memory": lambda request, path: MemoryObjectStore(),
    "folder": lambda request, path: FolderObjectStore(path / "objects"),
    "counted": lambda request, path: CountedStore(MemoryObjectStore()),
    "s3": lambda request, path: open_store(request.getfixturevalue("s3").url()),
    "s3-in-order": lambda request, path: open_store(request.getfixturevalue("odd_s3").url()),
}


@pytest.fixture(params=list(MAKERS))
def objects(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[ObjectStore]:
    made = MAKERS[request.param](request, tmp_path)
    yield made
    made.close()


def test_put_get_replace_delete(objects: ObjectStore) -> None:
    with pytest.raises(NotFoundError):
        objects.get("a/b")
    objects.put("a/b", b"one")
    objects.put("a/b", b"two")
    assert objects.get("a/b") == b"two"
    objects.delete("a/b")
    objects.delete("a/b")
    with pytest.raises(NotFoundError):
        objects.get("a/b")


def test_a_key_may_be_the_beginning_of_another(objects: ObjectStore) -> None:
    objects.put("a/b", b"1")
    objects.put("a", b"2")
    objects.put("a/b/c", b"3")
    assert [objects.get(key) for key in ("a", "a/b", "a/b/c")] == [b"2", b"1", b"3"]
    assert objects.list("") == ["a", "a/b", "a/b/c"]


def test_a_range_ends_where_the_object_does(objects: ObjectStore) -> None:
    objects.put("pack", bytes(range(100)))
    assert objects.get_range("pack", 10, 5) == bytes(range(10, 15))
    assert objects.get_range("pack", 95, 50) == bytes(range(95, 100))
    assert objects.get_range("pack", 200, 5) == b""
    with pytest.raises(NotFoundError):
        objects.get_range("other", 0, 1)


def test_list_is_sorted_and_paged(objects: ObjectStore) -> None:
    keys = [f"log/{number:04}" for number in range(25)]
    for key in reversed(keys):
        objects.put(key, b"")
    objects.put("logs", b"")
    assert objects.list("log/") == keys
    assert objects.list("log/", limit=10) == keys[:10]
    assert objects.list("log/", after=keys[9], limit=10) == keys[10:20]
    assert objects.list("log/", after=keys[-1]) == []
    assert objects.list("none/") == []


@pytest.mark.parametrize("limit", [1, 2, 7, 1000])
def test_pages_hold_each_key_once_whatever_the_keys(objects: ObjectStore, limit: int) -> None:
    """Keys that are the beginning of others, and bytes on both sides of the slash."""
    rng = random.Random(limit)
    parts = ("a", "a-b", "a.c", "b", "b@", "c_1", "0")
    keys = {"/".join(rng.choice(parts) for _ in range(rng.randint(1, 3))) for _ in range(30)}
    for key in keys:
        objects.put("t/" + key, b"")
    for prefix in ("", "t/", "t/a", "t/a/", "t/a-", "t/c_1/b"):
        found: list[str] = []
        sizes: list[int] = []
        while page := objects.list(prefix, after=found[-1] if found else "", limit=limit):
            found += page
            sizes.append(len(page))
        assert found == sorted("t/" + key for key in keys if ("t/" + key).startswith(prefix))
        assert all(size == limit for size in sizes[:-1]), "fewer than were asked for are all"


def test_what_is_behind_a_key_that_is_gone(objects: ObjectStore) -> None:
    for key in ("a/1", "a/2", "a/3"):
        objects.put(key, b"")
    objects.delete("a/2")
    assert objects.list("a/", after="a/2") == ["a/3"]
    assert objects.list("", after="a/") == ["a/1", "a/3"]


def test_usage_is_the_objects_and_their_bytes(objects: ObjectStore) -> None:
    assert usage_of(objects) == (0, 0)
    for number in range(12):
        objects.put(f"a/{number % 3}/{number}", bytes(number))
    objects.put("a", b"123")
    objects.put("b", b"1")
    assert usage_of(objects) == (14, 66 + 4)
    assert usage_of(objects, "a/") == (12, 66)
    assert usage_of(objects, "a/1") == (4, 1 + 4 + 7 + 10)
    objects.delete("b")
    objects.put("a", b"")
    assert usage_of(objects) == (13, 66)


def test_empty_objects_and_large_ones(objects: ObjectStore) -> None:
    large = random.Random(1).randbytes(5_000_000)
    assert objects.put_if_absent("empty", b"")
    objects.put("large", large)
    assert objects.get("empty") == objects.get_range("empty", 0, 10) == b""
    assert objects.get("large") == large
    assert objects.get_range("large", 4_000_000, 2_000_000) == large[4_000_000:]
    assert objects.get_range("large", 10, 0) == b""


def test_put_if_absent_leaves_what_is_there(objects: ObjectStore) -> None:
    objects.put("a", b"first")
    assert not objects.put_if_absent("a", b"second")
    assert not objects.put_if_absent("a", b"first")
    assert objects.get("a") == b"first"
    objects.delete("a")
    assert objects.put_if_absent("a", b"second")
    assert objects.get("a") == b"second"


def test_put_if_absent_has_one_winner_among_threads(objects: ObjectStore) -> None:
    writers = range(8)
    # A server may hold up one of several racers for a second: the others go on with the next key meanwhile.
    with ThreadPoolExecutor(8) as pool:
        races = [
            [pool.submit(objects.put_if_absent, f"race/{number}", str(writer).encode()) for writer in writers]
            for number in range(20)
        ]
        ended = [[racer.result() for racer in race] for race in races]
    for number, won in enumerate(ended):
        assert won.count(True) == 1
        assert objects.get(f"race/{number}") == str(won.index(True)).encode()


def test_keys_that_nobody_may_use(objects: ObjectStore) -> None:
    for key in ("", "/a", "a/", "a//b", "a/../b", ".", "a/.hidden", "a b", "a~", "x" * 600, "a\n"):
        with pytest.raises(LocalProtocolError):
            objects.put(key, b"")
        with pytest.raises(LocalProtocolError):
            objects.get(key)


RACER = (
    "import sys, pathlib\n"
    "from swarm.objects.folder import FolderObjectStore\n"
    "store = FolderObjectStore(pathlib.Path(sys.argv[1]))\n"
    "print('ready', flush=True)\n"
    "sys.stdin.readline()\n"
    "serial = 1\n"
    "won = 0\n"
    "while won < 15:\n"
    "    if store.put_if_absent(f'log/{serial:020}', sys.argv[2].encode()):\n"
    "        won += 1\n"
    "    serial += 1\n"
)


def test_processes_that_race_make_a_dense_log_with_one_winner_each(tmp_path: Path) -> None:
    command = [sys.executable, "-c", RACER, str(tmp_path)]
    racers = [
        subprocess.Popen([*command, name], stdin=subprocess.PIPE, stdout=subprocess.PIPE) for name in ("a", "b", "c")
    ]
    try:
        for racer in racers:
            assert racer.stdout is not None
            assert racer.stdout.readline() == b"ready\n"
        for racer in racers:
            racer.communicate(b"go\n", timeout=300)
            assert racer.returncode == 0
    finally:
        for racer in racers:
            racer.kill()
            racer.wait()
    store = FolderObjectStore(tmp_path)
    keys = store.list("log/")
    assert keys == [f"log/{serial:020}" for serial in range(1, 46)]
    winners = [store.get(key) for key in keys]
    assert {name: winners.count(name) for name in set(winners)} == {b"a": 15, b"b": 15, b"c": 15}


def test_a_killed_writer_leaves_whole_objects_only(tmp_path: Path) -> None:
    script = (
        "import sys, pathlib\n"
        "from swarm.objects.folder import FolderObjectStore\n"
        "store = FolderObjectStore(pathlib.Path(sys.argv[1]))\n"
        "for number in range(1 << 30):\n"
        "    store.put(f'packs/{number}', bytes([number % 256]) * 200_000)\n"
    )
    with subprocess.Popen([sys.executable, "-c", script, str(tmp_path)]) as process:
        while len(list(tmp_path.rglob("*~"))) < 20:
            pass
        process.send_signal(signal.SIGKILL)
    store = FolderObjectStore(tmp_path)
    keys = store.list("packs/")
    assert len(keys) >= 20
    for key in keys:
        number = int(key.split("/")[1])
        assert store.get(key) == bytes([number % 256]) * 200_000


def test_a_full_disk_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = FolderObjectStore(tmp_path)

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(FullError, match="No space left"):
        store.put_if_absent("a", b"x")
    monkeypatch.undo()
    assert store.list("") == []
    assert store.put_if_absent("a", b"x")


@contextmanager
def small_disk(place: Path) -> Iterator[Path]:
    place.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "none", str(place)], check=True)
    try:
        yield place
    finally:
        subprocess.run(["umount", "-l", str(place)], check=True)


@pytest.mark.root
def test_a_disk_that_fills_leaves_whole_objects_only(tmp_path: Path) -> None:
    """A real one, whichever step meets its end: the bytes, a folder on the way, or the name."""
    with small_disk(tmp_path / "disk") as disk:
        store = FolderObjectStore(disk)
        kept: dict[str, bytes] = {}
        rng = random.Random(4)
        refused = 0
        for number in range(400):
            key, data = f"f{number % 40}/{number}", rng.randbytes(rng.choice((0, 10, 5_000, 60_000)))
            try:
                kept |= {key: data} if store.put_if_absent(key, data) else {}
            except FullError as error:
                refused += 1
                assert "free some space" in str(error)
        assert refused > 20
        assert store.list("", limit=1000) == sorted(kept)
        assert {key: store.get(key) for key in kept} == kept
        assert not list((disk / ".new").iterdir())
        for key in list(kept)[:10]:
            store.delete(key)
        assert store.put_if_absent("after", b"x")


def test_a_folder_that_is_gone_is_not_an_empty_store(tmp_path: Path) -> None:
    """A disk that was unmounted: ``NotFoundError`` would have a tracker begin each log anew."""
    store = FolderObjectStore(tmp_path / "store")
    store.put("a", b"1")
    (tmp_path / "store").rename(tmp_path / "elsewhere")
    (tmp_path / "store").mkdir()
    for call in (
        lambda: store.get("a"),
        lambda: store.get_range("a", 0, 1),
        lambda: store.list(""),
        lambda: store.put("b", b""),
        lambda: store.put_if_absent("a", b""),
    ):
        with pytest.raises(UnreachableError, match="mount it again"):
            call()
    (tmp_path / "store").rmdir()
    (tmp_path / "elsewhere").rename(tmp_path / "store")
    assert store.get("a") == b"1"


@pytest.mark.parametrize("number", [errno.EIO, errno.ESTALE, errno.ENOTCONN])
def test_a_disk_that_fails_is_a_store_that_is_away(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    """A list that left out what cannot be read would have what it names taken for garbage."""
    store = FolderObjectStore(tmp_path)
    store.put("a/b", b"1")

    def failing(*_: object, **__: object) -> None:
        raise OSError(number, os.strerror(number))

    for name, call in (
        ("pathlib.Path.read_bytes", lambda: store.get("a/b")),
        ("os.pread", lambda: store.get_range("a/b", 0, 1)),
        ("os.scandir", lambda: store.list("")),
        ("os.fsync", lambda: store.put("c", b"")),
        ("os.fsync", lambda: store.put_if_absent("d", b"")),
    ):
        monkeypatch.setattr(name, failing)
        with pytest.raises(UnreachableError, match="look at that disk or mount"):
            call()
        monkeypatch.undo()
    assert store.list("") == ["a/b"]


def test_a_counted_store_counts_and_knows_since_when_it_is_away() -> None:
    inner = LeavingStore()
    store = CountedStore(inner)
    store.put("a", b"123")
    store.get("a")
    store.list("")
    with pytest.raises(NotFoundError):
        store.get("b")
    assert store.meter.spent == Spent(put=1, get=2, list=1, sent_bytes=3, received_bytes=3)
    assert standing_of(store).away_since is None
    inner.is_away = True
    for _ in range(2):
        with pytest.raises(UnreachableError):
            store.delete("a")
    first = standing_of(store)
    assert first.away_since is not None
    assert "repeat later" in first.why
    inner.is_away = False
    store.delete("a")
    assert standing_of(store) is HERE


def test_addresses_of_stores(tmp_path: Path) -> None:
    store = open_store(f"file://{tmp_path}/with%20space")
    store.put("a", b"1")
    assert (tmp_path / "with space" / "a~").exists()
    for url in ("", "http://x", "file://host/x", "s3://x", "relative/path"):
        with pytest.raises(UsageError):
            open_store(url)
