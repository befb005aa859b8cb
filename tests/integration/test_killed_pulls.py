"""kill -9 at any moment of a pull: what came is kept, no reader meets half a file, and the next try ends identical."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from swarm.scan import scan
from swarm.scan_cache import ScanCache
from swarm.tree import verify_tree
from tests.datasets import contents_of, seeded, state_of, write_files

OLD = {f"d{n % 9}/{n:04}": seeded(f"old {n}", 10_000 + 40 * n) for n in range(1200)} | {
    "big": seeded("big", 20_000_000)
}
NEW = {path: content if n % 3 else seeded(path, len(content)) for n, (path, content) in enumerate(OLD.items())}
NEW |= {"d1/new": b"new", "big": seeded("big", 12_000_000) + seeded("bigger", 9_000_000)}
del NEW["d2/0002"]
KILLS = 12
# Each with moments of its own; ``make soak`` has more.
ROUNDS = range(int(os.environ.get("KILL_ROUNDS", "1")))


def run(source: Path, target: Path, previous: Path | None, kill_after_s: float | None) -> tuple[int, bool]:
    """Pull in a process of its own, killed so long after it began to write: (blocks recovered, whether it finished)."""
    arguments = [str(source), str(target)] + ([] if previous is None else [str(previous)])
    with subprocess.Popen(
        [sys.executable, "-m", "tests.integration.pull_process", *arguments], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        first = process.stdout.readline()
        assert first.startswith("recovered "), first
        timer = threading.Timer(kill_after_s, process.kill) if kill_after_s is not None else None
        if timer is not None:
            timer.start()
        rest = process.stdout.read()
        code = process.wait()
        if timer is not None:
            timer.cancel()
        assert code in (0, -signal.SIGKILL)
    return int(first.split()[1]), "finished" in rest


def prepared(root: Path, files: dict[str, bytes]) -> Path:
    """A directory with these files and the cache of its scan, so that a process begins to write at once."""
    write_files(root, files)
    cache = ScanCache()
    scan(root, cache=cache)
    cache.save(root.with_suffix(".cache"))
    return root


@pytest.mark.parametrize("number", ROUNDS)
def test_a_new_target(tmp_path: Path, number: int) -> None:
    rng = random.Random(2 + 10 * number)
    source = prepared(tmp_path / "source", OLD)
    target = tmp_path / "target"
    recovered = [0]
    finished = False
    for _ in range(KILLS):
        blocks, finished = run(source, target, None, rng.uniform(0.0, 0.04))
        assert blocks >= recovered[-1]
        recovered.append(blocks)
        if target.exists():
            break
    else:
        assert recovered[-1] > 0
        _, finished = run(source, target, None, None)
        assert finished
    assert state_of(target) == state_of(source)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["source", "source.cache", "target"]


@pytest.mark.parametrize("number", ROUNDS)
def test_a_target_that_holds_the_version_before(tmp_path: Path, number: int) -> None:
    """While files are replaced one by one, each is the old one or the new one, and never a part of either."""
    rng = random.Random(3 + 10 * number)
    old, new = prepared(tmp_path / "old", OLD), prepared(tmp_path / "new", NEW)
    target = tmp_path / "target"
    assert run(old, target, None, None)[1]
    write_files(target, {"the user's": b"mine"})
    finished = False
    for _ in range(KILLS):
        if finished:
            break
        _, finished = run(new, target, old, rng.uniform(0.0, 0.06))
        for path, content in contents_of(target).items():
            assert content in (OLD.get(path), NEW.get(path), b"mine"), path
    if not finished:
        assert run(new, target, old, None)[1]
    assert contents_of(target) == NEW | {"the user's": b"mine"}
    assert verify_tree(target, scan(new).manifest) == ["extra: the user's"]
    assert not list(tmp_path.glob(".*"))
