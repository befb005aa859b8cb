"""The one suite of every Store of blocks that can be written to, and what memory and disk promise besides."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule
from hypothesis.strategies import integers

from swarm.at_rest import SealKey
from swarm.encoding import encode_block, encode_raw, open_block
from swarm.errors import FullError
from swarm.signature import signature_of
from swarm.store import Store
from swarm.store.disk import DiskStore
from swarm.store.memory import MemoryStore
from swarm.store.tiers import Tiers

MAX_BYTES = 10_000
MAKERS: dict[str, Callable[[Path], Store]] = {
    "memory": lambda path: MemoryStore(MAX_BYTES),
    "disk": lambda path: DiskStore(path / "blocks", MAX_BYTES),
    "sealed disk": lambda path: DiskStore(path / "blocks", MAX_BYTES, SealKey(bytes(32))),
    "tiers": lambda path: Tiers([MemoryStore(MAX_BYTES), DiskStore(path / "blocks", MAX_BYTES)], writable=2),
}


@pytest.fixture(params=list(MAKERS))
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    return MAKERS[request.param](tmp_path)


def block(number: int, size: int = 900) -> tuple[bytes, bytes]:
    """A block's signature and its encoded bytes."""
    plain = random.Random(number).randbytes(size)
    return signature_of(plain), encode_raw(plain)


def test_what_is_put_is_there_and_nothing_else(store: Store) -> None:
    signature, encoded = block(1)
    assert store.get(signature) is None
    assert not store.has(signature)
    store.put(signature, encoded)
    assert store.has(signature)
    assert store.get(signature) == encoded
    assert store.get(block(2)[0]) is None
    store.close()


def test_putting_twice_is_putting_once(store: Store) -> None:
    signature, encoded = block(1)
    store.put(signature, encoded)
    store.put(signature, encoded)
    assert store.get(signature) == encoded


def test_it_is_bounded_and_keeps_what_was_used_last(store: Store) -> None:
    blocks = [block(number) for number in range(30)]
    for signature, encoded in blocks:
        store.put(signature, encoded)
        store.get(blocks[0][0])
    kept = [signature for signature, _ in blocks if store.get(signature) is not None]
    assert len(kept) <= 2 * MAX_BYTES // 901  # two tiers, each with the bound
    assert blocks[0][0] in kept
    assert blocks[-1][0] in kept


def test_threads_may_share_it(store: Store) -> None:
    blocks = [block(number, 300) for number in range(20)]

    def work(offset: int) -> None:
        for number in range(100):
            signature, encoded = blocks[(number + offset) % len(blocks)]
            store.put(signature, encoded)
            found = store.get(signature)
            assert found is None or found == encoded

    failures: list[BaseException] = []
    hook, threading.excepthook = threading.excepthook, lambda args: failures.append(args.exc_value or SystemError())
    try:
        threads = [threading.Thread(target=work, args=(offset,)) for offset in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        threading.excepthook = hook
    assert failures == []


def test_a_damaged_block_on_disk_counts_as_not_here_and_is_removed(tmp_path: Path) -> None:
    store = DiskStore(tmp_path, MAX_BYTES)
    signature, encoded = block(1)
    store.put(signature, encoded)
    path = tmp_path / signature.hex()[:2] / signature.hex()
    path.write_bytes(encoded[:-1] + b"\0")
    assert store.get(signature) is None
    assert not path.exists()
    assert not store.has(signature)
    store.put(signature, encoded)
    assert store.get(signature) == encoded


def test_a_new_opening_finds_blocks_and_removes_half_written_ones(tmp_path: Path) -> None:
    store = DiskStore(tmp_path, MAX_BYTES)
    signature, encoded = block(1)
    store.put(signature, encoded)
    garbage = tmp_path / signature.hex()[:2] / ".new-garbage"
    garbage.write_bytes(b"half")
    again = DiskStore(tmp_path, MAX_BYTES)
    assert again.get(signature) == encoded
    assert again.size_bytes == len(encoded)
    assert not garbage.exists()
    assert DiskStore(tmp_path, 10).get(signature) is None, "a smaller bound takes effect at opening"


def test_a_disk_store_survives_kill_9(tmp_path: Path) -> None:
    """A process that writes blocks is killed: every file that is there afterwards is a whole block."""
    script = (
        "import sys, pathlib\n"
        "from tests.contract.test_stores import block\n"
        "from swarm.store.disk import DiskStore\n"
        "store = DiskStore(pathlib.Path(sys.argv[1]), 1 << 30)\n"
        "print('ready', flush=True)\n"
        "for number in range(1 << 30):\n"
        "    store.put(*block(number, 50_000))\n"
    )
    with subprocess.Popen([sys.executable, "-c", script, str(tmp_path)], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        while len(list(tmp_path.rglob("*"))) < 40:
            pass
        process.send_signal(signal.SIGKILL)
    store = DiskStore(tmp_path, 1 << 30)
    held = list(store.held())
    assert held
    for signature in held:
        encoded = store.get(signature)
        assert encoded is not None
        open_block(encoded, signature)


def test_a_full_disk_is_said_and_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = DiskStore(tmp_path, MAX_BYTES)

    def full(path: Path, data: bytes) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(FullError, match="No space left"):
        store.put(*block(1))
    monkeypatch.undo()
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []
    store.put(*block(1))
    assert store.get(block(1)[0]) is not None


def test_compressible_blocks_come_back_as_they_were_put(store: Store) -> None:
    plain = b"a" * 5000
    encoded = encode_block(plain)
    store.put(signature_of(plain), encoded)
    assert store.get(signature_of(plain)) == encoded


class DiskMachine(RuleBasedStateMachine):
    """The disk store against a plain dict with the same bound."""

    def __init__(self) -> None:
        super().__init__()
        import tempfile

        self.folder = tempfile.TemporaryDirectory()
        self.store = DiskStore(Path(self.folder.name), 3000)
        self.model: dict[bytes, bytes] = {}

    @rule(number=integers(0, 9), size=integers(1, 1200))
    def put(self, number: int, size: int) -> None:
        signature, encoded = block(number * 10_000 + size, size)
        self.store.put(signature, encoded)
        if signature not in self.model:
            self.model[signature] = encoded
        while sum(map(len, self.model.values())) > 3000:
            del self.model[next(iter(self.model))]

    @rule(number=integers(0, 30))
    def get(self, number: int) -> None:
        for signature in list(self.model)[number : number + 1]:
            self.model[signature] = self.model.pop(signature)
            assert self.store.get(signature) == self.model[signature]

    @rule()
    def reopen(self) -> None:
        for order, signature in enumerate(self.model):
            path = Path(self.folder.name) / signature.hex()[:2] / signature.hex()
            os.utime(path, (order, order))
        self.store = DiskStore(Path(self.folder.name), 3000)

    @invariant()
    def agrees(self) -> None:
        assert list(self.store.held()) == list(self.model)
        assert self.store.size_bytes == sum(map(len, self.model.values()))

    def teardown(self) -> None:
        self.folder.cleanup()


DiskMachine.TestCase.settings = settings(max_examples=30, stateful_step_count=30, deadline=None)
TestDiskMachine = DiskMachine.TestCase
