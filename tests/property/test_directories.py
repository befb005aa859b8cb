"""Directories that change at random.

A scan with a cache says what a fresh one says, and a pull over any state ends the same.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from swarm.errors import IncompleteError
from swarm.limits import LARGE_FILE_BYTES
from swarm.manifest import Manifest
from swarm.scan import scan
from swarm.scan_cache import ScanCache
from swarm.staging import Staging
from swarm.tree import TreeStore, verify_tree
from tests.datasets import seeded, state_of

names = st.sampled_from(["a", "b", "c", "d/a", "d/b", "d/e/f", "g", "g/h", "z"])
sizes = st.sampled_from([0, 1, 5_000, 40_000, LARGE_FILE_BYTES - 1, LARGE_FILE_BYTES, 300_000, 1_200_000])


class Directory(RuleBasedStateMachine):
    """A producer's directory under random edits, its cache, and a consumer that follows it with interruptions."""

    def __init__(self) -> None:
        super().__init__()
        self.base = Path(tempfile.mkdtemp(prefix="aetherfs-test-"))
        self.source, self.target = self.base / "source", self.base / "target"
        self.cache = ScanCache()
        self.previous: Manifest | None = None
        self.edits = 0

    @initialize()
    def begin(self) -> None:
        self.source.mkdir()

    def clear(self, path: str) -> Path:
        """Make room for a path, whatever stands there or above it."""
        location = self.source / path
        for above in [location, *location.parents][: path.count("/") + 1]:
            if above.is_symlink() or above.is_file():
                above.unlink()
            elif above == location and above.is_dir():
                shutil.rmtree(above)
        location.parent.mkdir(parents=True, exist_ok=True)
        return location

    @rule(path=names, size=sizes, text=st.integers(0, 3), mode=st.sampled_from([0o644, 0o755, 0o400]))
    def write(self, path: str, size: int, text: int, mode: int) -> None:
        location = self.clear(path)
        location.write_bytes(seeded(f"content {text}", size))
        location.chmod(mode)

    @rule(path=names)
    def make_empty_directory(self, path: str) -> None:
        self.clear(path).mkdir()

    @rule(path=names, to=st.sampled_from(["a", "nowhere", "./b", "d/../c"]))
    def link(self, path: str, to: str) -> None:
        self.clear(path).symlink_to(to)

    @rule(path=names)
    def remove(self, path: str) -> None:
        self.clear(path)

    @rule(path=names)
    def touch(self, path: str) -> None:
        location = self.source / path
        if location.is_file():
            self.edits += 1
            os.utime(location, ns=(0, 1_600_000_000_000_000_000 + self.edits))

    @rule(path=names, at=st.floats(0, 1))
    def edit_in_the_middle(self, path: str, at: float) -> None:
        location = self.source / path
        if location.is_file() and not location.is_symlink():
            location.chmod(0o644)
            content = location.read_bytes()
            where = int(at * len(content))
            location.write_bytes(content[:where] + b"+" + content[where:])

    @rule(stop_after=st.integers(0, 20))
    def interrupted_scan(self, stop_after: int) -> None:
        calls = iter(range(stop_after))
        try:
            scan(self.source, cache=self.cache, should_stop=lambda: next(calls, None) is None)
        except IncompleteError:
            return

    @rule()
    def remember_through_a_file(self) -> None:
        self.cache.save(self.base / "cache")
        self.cache = ScanCache.load(self.base / "cache")

    @rule(fetched=st.floats(0, 1))
    def interrupted_pull(self, fetched: float) -> None:
        found = scan(self.source, cache=self.cache)
        self._pull(found.manifest, int(fetched * len(found.manifest.unique)))

    @rule()
    def pull(self) -> None:
        manifest = scan(self.source, cache=self.cache).manifest
        self._pull(manifest, None)
        assert state_of(self.target) == state_of(self.source)
        assert verify_tree(self.target, manifest) == []
        assert not list(self.base.glob(".target*"))
        self.previous = manifest

    def _pull(self, manifest: Manifest, limit: int | None) -> None:
        """Fetch what is missing, at most so many blocks, and finish if that is all."""
        before = {entry.path: entry for entry in self.previous.files} if self.previous else {}
        store = TreeStore(self.source, manifest)
        staging = Staging(self.target, manifest)
        try:
            staging.adopt(before, force=False)
            missing = sorted(set(range(len(manifest.unique))) - staging.recover())
            for index in missing[:limit]:
                encoded = store.get(manifest.unique[index].signature)
                assert encoded is not None
                staging.write(index, memoryview(encoded)[1:])
            if limit is None:
                staging.finish()
        finally:
            staging.close()
            store.close()

    @invariant()
    def a_cache_changes_nothing(self) -> None:
        if self.source.exists():
            assert scan(self.source, cache=self.cache).manifest.root_bytes == scan(self.source).manifest.root_bytes

    def teardown(self) -> None:
        shutil.rmtree(self.base)


TestDirectory = Directory.TestCase
TestDirectory.settings = settings(
    deadline=None,
    max_examples=40,
    stateful_step_count=30,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
