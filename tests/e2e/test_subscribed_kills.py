"""kill -9 of a subscriber while its tag moves: ``current`` always is one whole version, and old ones are cleaned up.

``make soak`` kills a hundred times (``SUBSCRIBE_ROUNDS``).
"""

from __future__ import annotations

import os
import random
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from tests.datasets import contents_of, seeded, write_files
from tests.e2e.harness import DEADLINE_S, Bench

SEED: Final = int(os.environ.get("SUBSCRIBE_SEED", "1"))
ROUNDS: Final = int(os.environ.get("SUBSCRIBE_ROUNDS", "3"))
PATIENCE_S: Final = 10.0
REF: Final = "maps/roads:stable"
SAME: Final = {f"same/{number}": seeded(f"same {number}", 20_000) for number in range(10)} | {
    "same/large": seeded("large", 1_500_000)
}

Contents = dict[str, bytes]


def contents_at(number: int) -> Contents:
    """Every file but those that stay says which version it is of."""
    own = {f"own/{name}": b"%d " % number * (name * 3000 + 1) for name in range(10)}
    return {**SAME, **own, "large": seeded(f"large {number}", 700_000)}


class Reader:
    """Reads ``current`` again and again, each time by one look at the link, and holds that it is a whole version."""

    def __init__(self, current: Path, known: list[Contents]) -> None:
        self._current = current
        self._known = known
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self.seen: Counter[str] = Counter()
        self.torn: list[str] = []

    def __enter__(self) -> Reader:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._is_over.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._is_over.wait(0.01):
            self.look()

    def look(self) -> None:
        before, led_to = self._link(), os.readlink(self._current)
        try:
            found = contents_of(self._current.parent / led_to)
        except OSError:
            found = {}
        if found in self._known:
            self.seen["whole"] += 1
        elif self._link() != before:
            self.seen["moved on meanwhile"] += 1  # What it read was current when it began, and removed since.
        else:
            self.torn.append(led_to)

    def _link(self) -> tuple[int, int]:
        """Which link it is: another with each switch, also with one back to a version that was current before."""
        link = os.lstat(self._current)
        return link.st_ino, link.st_ctime_ns


class Kills:
    """The subscriber, and the blows that it is dealt."""

    def __init__(self, bench: Bench, rng: random.Random) -> None:
        self.bench = bench
        self.rng = rng
        self.known: list[Contents] = []
        self.now: Contents = {}
        # Where the blows fell.
        self.fell: Counter[str] = Counter()
        # From the first sign of a new version to the end of its round.
        self.usual_s = 1.0
        self.directory = bench.folder / "d"
        self.hooked = bench.folder / "hooked"
        self._source = bench.folder / "source"
        bench.make_swarm()
        bench.enrol("edge")
        self.publish()

    def publish(self) -> None:
        """The next version, under the tag."""
        self.now = contents_at(len(self.known))
        self.known.append(self.now)
        write_files(self._source, self.now)
        self.bench.ok("hub", "publish", str(self._source), REF)

    def move(self) -> None:
        """The tag moves on, now and then back to where it was before."""
        before = self.now
        if len(self.known) < 3 or self.rng.random() < 0.75:
            self.publish()
            return
        told = self.bench.ok("hub", "rollback", REF, "--json").json["tags"]["stable"]
        self.bench.ok("hub", "pull", f"maps/roads@{told}", str(self.bench.folder / told))
        self.now = contents_of(self.bench.folder / told)
        assert self.now != before

    def start(self) -> subprocess.Popen[bytes]:
        return self.bench.start("edge", "peer")

    def seen(self) -> tuple[str, ...]:
        """What lies in the directory, by name."""
        link = self.directory / "current"
        return (os.readlink(link) if link.is_symlink() else "", *sorted(os.listdir(self.directory / "versions")))

    def arrived(self) -> bool:
        """Whether the newest version is current, its hook has run, and nothing else is left to do."""
        current, *versions = self.seen()
        hooked = self.hooked.read_text().split()[-1:] if self.hooked.exists() else []
        is_settled = [current.rpartition("/")[2]] == hooked and len(versions) <= 2 and not versions[0].startswith(".")
        return is_settled and contents_of(self.directory / "current") == self.now

    def one(self, number: int) -> None:
        """One kill: of a process that stays while the tag moves, or of one that comes back to a tag that has moved.

        It falls within the usual time of a round, from when something is seen of it.
        """
        if number % 2:
            process, before = self.start(), self.seen()
            moving = threading.Thread(target=self.move)
            moving.start()
        else:
            self.move()
            moving, before = None, self.seen()
            process = self.bench.spawn("edge", "peer", "--port-base", "0", "--quiet")
        # Nothing is seen if the tag went back to what is current.
        began = time.monotonic()
        while self.seen() == before and time.monotonic() - began < PATIENCE_S:
            time.sleep(0.001)
        time.sleep(self.rng.uniform(0.0, self.usual_s))
        process.kill()
        process.wait()
        if moving is not None:
            moving.join()
        self.fell[self._phase()] += 1

    def _phase(self) -> str:
        """How far the subscriber came, by what it left."""
        if any(name.startswith(".") for name in os.listdir(self.directory / "versions")):
            return "while a version came or went"
        if contents_of(self.directory / "current") == self.now:
            return "after the switch"
        is_here = any(contents_of(version) == self.now for version in (self.directory / "versions").iterdir())
        return "before the switch" if is_here else "before it began"


def eventually(is_so: Callable[[], bool]) -> None:
    """Return once it is so."""
    began = time.monotonic()
    while not is_so():
        assert time.monotonic() - began < DEADLINE_S
        time.sleep(0.001)


def test_current_is_always_one_whole_version(bench: Bench) -> None:
    kills = Kills(bench, random.Random(SEED))
    process = kills.start()
    hook = f"echo $AETHERFS_VERSION >> {kills.hooked}"
    command = ("subscribe", REF, str(kills.directory), "--keep", "1", "--hook", hook)
    bench.ok("edge", *command, "--validate", "test -e large && test -e own/9")
    before, moving = kills.seen(), threading.Thread(target=kills.move)
    moving.start()
    eventually(lambda: kills.seen() != before)
    began = time.monotonic()
    eventually(kills.arrived)
    kills.usual_s = time.monotonic() - began
    moving.join()
    process.kill()
    process.wait()
    with Reader(kills.directory / "current", kills.known) as reader:
        for number in range(ROUNDS):
            kills.one(number)
            assert not reader.torn, (number, reader.torn)
        process = kills.start()
        eventually(kills.arrived)
    reader.look()
    print(f"{ROUNDS} kills of {len(kills.known)} versions: {dict(kills.fell)}; current was read: {dict(reader.seen)}")
    assert not reader.torn
    told: dict[str, Any] = bench.ok("edge", "subscriptions", "--json").json["subscriptions"][0]
    kept = {told["version"], *told["previous"]}
    assert set(os.listdir(kills.directory / "versions")) == kept, "old versions, or what was being built, are left"
    assert sorted(os.listdir(kills.directory)) == [".aetherfs-home", "current", "versions"]
    assert kills.hooked.read_text().split()[-1] == told["version"]
    assert len(kept) == 2
    _as_listed(bench, kills.directory)
    bench.ok("edge", "down")
    process.wait()


def _as_listed(bench: Bench, directory: Path) -> None:
    """The same home, by a file that lists what it follows."""
    listed = bench.folder / "aetherfs.toml"
    listed.write_text(f'[[subscription]]\nref = "{REF}"\ndirectory = "{directory}"\nkeep = 1\n')
    assert "does not follow what" in bench.run("edge", "sync", str(listed), "--check").stderr
    assert bench.ok("edge", "sync", str(listed)).text == f"changed: {directory}\n"
    assert bench.ok("edge", "sync", str(listed), "--check").text == "this home follows just what is listed\n"
    assert "paused" in bench.ok("edge", "subscriptions", str(directory), "--pause").text
    assert "stays as it is" in bench.ok("edge", "unsubscribe", str(directory)).text
    assert "there is no subscription" in bench.refused(3, "edge", "unsubscribe", str(directory))
    listed.write_text("[[subscription]]\nref = 1\n")
    assert "Expected `str`, got `int`" in bench.refused(2, "edge", "sync", str(listed))
