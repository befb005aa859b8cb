"""A swarm of processes over a real S3 server: each of them can be killed -9 at any moment, and comes back.

Everything goes through the program's commands, and the bucket is looked at from outside. ``Rounds`` deals the blows and
holds what has to hold after each.
"""

from __future__ import annotations

import json
import math
import random
import subprocess
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from swarm.cli.demo.place import free_ports
from tests.bucket import Bucket, bucket_on
from tests.datasets import contents_of, write_files
from tests.e2e.harness import DEADLINE_S, Bench, Done
from tests.s3_server import BUCKET, S3Server

KILLED: Final = -9
# How a command may end that was not killed itself: nobody answered, or only a part was done.
BEATEN: Final = frozenset({7, 8})
ROLES: Final = {"tracker": "tracker", "seed": "seed", "producer": "peer", "consumer": "peer"}
S3: Final = "s3"
# Homes on which no process stays, so that a command there is a peer of its own.
LONER, READER = "loner", "reader"
DATASET: Final = "maps/roads"
LATEST: Final = f"{DATASET}:latest"
PREFIX: Final = "killing"
POLL_S: Final = 0.2


@dataclass(frozen=True, slots=True)
class Blow:
    """What is killed, when after a command began, and for how long it is away. A loner's victim is the command."""

    victim: str
    after_s: float
    away_s: float


class Mortals:
    """The processes. The tracker and the seed come back where they were."""

    def __init__(self, bench: Bench, server: S3Server) -> None:
        self.bench = bench
        self._server = server
        self._url = server.url(PREFIX)
        self._bases = {name: free_ports() for name in ("tracker", "seed")}
        self._running: dict[str, subprocess.Popen[bytes]] = {}
        self.start("tracker")
        bench.enrol("seed", hub="tracker", options=["--role", "seed"])
        bench.enrol("producer", "consumer", LONER, READER, hub="tracker")
        for name in ("seed", "producer", "consumer"):
            self.start(name)

    def start(self, name: str) -> None:
        if name == S3:
            self._server.start()
            return
        store = ["--store", self._url] if name in self._bases else []
        self._running[name] = self.bench.start(name, ROLES[name], *store, port_base=self._bases.get(name, 0))

    def kill(self, name: str) -> None:
        if name == S3:
            self._server.kill()
            return
        self._running[name].kill()
        self._running[name].wait()

    def struck(self, blow: Blow, home: str, *command: str) -> tuple[Done, Done]:
        """A command during which the blow falls; and what a reader saw who began at that moment.

        A home's own process comes back when the command, which may go on without it, has ended.
        """
        process = self.bench.spawn(home, *command, "--json")
        time.sleep(blow.after_s)
        if blow.victim == LONER:
            process.kill()
        else:
            self.kill(blow.victim)
        target = self.bench.folder / "seen" / str(time.monotonic_ns())
        reading = self.bench.spawn(READER, "pull", LATEST, str(target), "--json")
        time.sleep(blow.away_s)
        if blow.victim in (S3, "tracker", "seed"):
            self.start(blow.victim)
        done = ended(process)
        if blow.victim == home != LONER:
            self.start(home)
        return done, ended(reading)

    def eventually(self, home: str, *command: str) -> Done:
        """A command that is repeated, as its error says, until it succeeds."""
        deadline = time.monotonic() + DEADLINE_S
        while True:
            done = self.bench.run(home, *command, "--json")
            if done.exit_code == 0:
                return done
            assert done.exit_code in BEATEN, (command, done)
            assert time.monotonic() < deadline, (command, done)
            time.sleep(POLL_S)

    def bucket(self) -> Bucket:
        return bucket_on(self._server.client, BUCKET, PREFIX)

    def kill_all(self) -> None:
        """Nothing moves in the bucket any more, and whatever was under way is left as it was."""
        for process in self._running.values():
            process.kill()
        for process in self._running.values():
            process.wait()

    def gc_finds(self) -> tuple[list[str], list[str]]:
        """What ``gc`` would take now, and what it would once nothing is claimed."""
        told = self.bench.ok("tracker", "gc", "--dry-run", "--store", self._url, "--json").json
        return told["goes"], told["later"]


def ended(process: subprocess.Popen[bytes]) -> Done:
    """How a command ended that was spawned."""
    try:
        stdout, stderr = process.communicate(timeout=2 * DEADLINE_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()
        raise
    return Done(process.returncode, stdout, stderr.decode())


Contents = dict[str, bytes]


@dataclass(slots=True)
class Rounds:
    """Rounds of kills by a seed, and what is known meanwhile.

    ``earlier`` are the contents of versions before the current. ``told`` counts how commands ended, by what befell
    them.
    """

    mortals: Mortals
    rng: random.Random
    contents: Contents = field(default_factory=dict)
    acknowledged: dict[int, str] = field(default_factory=dict)
    told: Counter[str] = field(default_factory=Counter)
    usual_s: dict[tuple[str, bool], float] = field(default_factory=dict)
    number: int = 0
    earlier: list[Contents] = field(default_factory=list)
    seen_serial: int = 0

    @property
    def _source(self) -> Path:
        return self.mortals.bench.folder / "source"

    def begin(self) -> None:
        """Publishes and pulls without a blow: how long they take is when blows fall."""
        for producer, consumer in (("producer", "consumer"), (LONER, LONER)):
            self._is_now(self._changed() if self.contents else self._first())
            self._acknowledge(self._timed("publish", producer, str(self._source), LATEST))
            target = self.mortals.bench.folder / f"pulled-{consumer}"
            self._timed("pull", consumer, LATEST, str(target))
            assert contents_of(target) == self.contents

    def _first(self) -> Contents:
        contents = first_contents(self.rng)
        write_files(self._source, contents)
        return contents

    def _timed(self, phase: str, home: str, *arguments: str) -> Done:
        started = time.monotonic()
        done = self.mortals.eventually(home, phase, *arguments)
        self.usual_s[phase, home == LONER] = time.monotonic() - started
        return done

    def one(self, victim: str, phase: str) -> None:
        """One round: the victim is killed during a publish or during a pull."""
        self.number += 1
        usual_s = self.usual_s[phase, victim == LONER]
        blow = Blow(victim, self.rng.uniform(0.0, 1.2 * usual_s), self.rng.uniform(0.0, 0.5))
        if phase == "publish":
            self._publish(blow)
        else:
            self._pull(blow)
        self._check_history()

    def _publish(self, blow: Blow) -> None:
        home = LONER if blow.victim == LONER else "producer"
        before = self.contents
        after = self._changed()
        command = ["publish", str(self._source), LATEST, f"{DATASET}:v{self.number}"]
        done, seen = self.mortals.struck(blow, home, *command)
        self._note(blow, "publish", done)
        self._check_seen(seen, [before, after])
        if done.exit_code == 0:
            self._acknowledge(done)
        self._check_both_or_none(before, after, is_acknowledged=done.exit_code == 0)
        self._acknowledge(self.mortals.eventually(home, *command))
        assert self._as_read(LATEST) == after
        self._is_now(after)

    def _pull(self, blow: Blow) -> None:
        home = LONER if blow.victim == LONER else "consumer"
        after = self._changed()
        self._acknowledge(self.mortals.eventually("producer", "publish", str(self._source), LATEST))
        self._is_now(after)
        is_new = self.rng.random() < 0.5
        # A home knows what it put into a directory, and takes what another put there for the user's.
        target = self.mortals.bench.folder / f"pulled-{home}{self.number if is_new else ''}"
        held = contents_of(target) if target.exists() else {}
        done, seen = self.mortals.struck(blow, home, "pull", LATEST, str(target))
        self._note(blow, "pull", done)
        self._check_seen(seen, [after])
        self._check_target(target, held, after, done)
        self.mortals.eventually(home, "pull", LATEST, str(target))
        assert contents_of(target) == after, f"round {self.number}: a repeated pull is not the version"

    def _is_now(self, after: Contents) -> None:
        self.earlier.append(self.contents)
        self.contents = after

    def _changed(self) -> Contents:
        """The source with some files changed, one gone and one new."""
        changed = dict(self.contents)
        for path in sorted({"large", *self.rng.sample(sorted(changed), 5)}):
            changed[path] = self.rng.randbytes(len(changed[path]))
        changed[f"new/{self.number}"] = self.rng.randbytes(3000)
        changed.pop(f"new/{self.number - 3}", None)
        for path in self.contents.keys() - changed.keys():
            (self._source / path).unlink()
        write_files(self._source, {path: data for path, data in changed.items() if data != self.contents.get(path)})
        return changed

    # ---- what has to hold ---------------------------------------------------------------------------------------

    def check_bucket(self) -> None:
        """At the end: what was acknowledged is there, whole; what no version needs ``gc`` finds, and nothing else."""
        self.mortals.kill_all()
        goes, later = self.mortals.gc_finds()
        bucket = self.mortals.bucket()
        assert bucket.broken() == []
        assert set(self.acknowledged.values()) <= {version.hex() for _, version in bucket.published()}
        garbage = bucket.garbage(math.inf)
        for key, lying in sorted(garbage.items()):
            print(f"garbage: {key} {lying.size_bytes} B, {lying.age_s:.0f} s old")
        assert garbage.keys() <= {*goes, *later}, "what nothing needs gc does not find"
        assert bucket.without([*goes, *later]).broken() == [], "gc takes what a version needs"
        self.told["garbage"] = len(garbage)
        self.told["gc finds"] = len(goes) + len(later)

    def _note(self, blow: Blow, phase: str, done: Done) -> None:
        is_killed = blow.victim == LONER and done.exit_code == KILLED
        assert done.exit_code == 0 or done.exit_code in BEATEN or is_killed, (self.number, blow, done)
        assert "Traceback" not in done.stderr, (self.number, blow, done)
        self.told[f"{phase}, {blow.victim} killed: {done.exit_code}"] += 1

    def _acknowledge(self, done: Done) -> None:
        self.acknowledged[done.json["serial"]] = done.json["version"]

    def _check_seen(self, seen: Done, allowed: list[Contents]) -> None:
        """A reader got a whole version, or an error. Without a tracker that may be an earlier one, if it says so."""
        if seen.exit_code == 0:
            [target] = (self.mortals.bench.folder / "seen").iterdir()
            known = [*allowed, *(self.earlier if seen.json["stale"] else [])]
            assert contents_of(target) in known, f"round {self.number}: a reader saw half a version, or an old one"
            self._check_serial(seen)
        else:
            assert seen.exit_code in BEATEN, (self.number, seen)
        self.told[f"reader: {seen.exit_code}"] += 1
        forget(self.mortals.bench.folder / "seen")

    def _check_both_or_none(self, before: Contents, after: Contents, *, is_acknowledged: bool) -> None:
        """Where one of the two tags moved the other has: the second is read when the first has been."""
        listed = self.mortals.eventually(READER, "ls").json["datasets"]
        has_own = any(f"v{self.number}" in each["tags"] for each in listed)
        read = self._as_read(LATEST)
        assert read in (before, after)
        if has_own or is_acknowledged:
            assert read == after, f"round {self.number}: one of two tags moved, or what was acknowledged is gone"

    def _check_serial(self, seen: Done) -> None:
        """A home never sees less than it has seen."""
        serial = seen.json["serial"]
        assert serial >= self.seen_serial, f"round {self.number}: entry {serial} after {self.seen_serial}"
        self.seen_serial = serial

    def _as_read(self, ref: str) -> Contents:
        """What a tag points to, as soon as a tracker confirms it."""
        target = self.mortals.bench.folder / "seen" / "all"
        deadline = time.monotonic() + DEADLINE_S
        while True:
            done = self.mortals.eventually(READER, "pull", ref, str(target))
            self._check_serial(done)
            if not done.json["stale"]:
                break
            assert time.monotonic() < deadline, done
        found = contents_of(target)
        forget(self.mortals.bench.folder / "seen")
        return found

    def _check_target(self, target: Path, held: Contents, after: Contents, done: Done) -> None:
        """A fresh directory is not there or whole; in another each file is the old or the new one."""
        if done.exit_code == 0:
            assert contents_of(target) == after, f"round {self.number}: a pull that succeeded is not the version"
        elif not held:
            assert not target.exists() or contents_of(target) == after, f"round {self.number}: half a directory"
        else:
            for path, data in contents_of(target).items():
                assert data in (held.get(path), after.get(path)), f"round {self.number}: {path} is neither"

    def _check_history(self) -> None:
        """All that was acknowledged stands where it was said to be."""
        entries = self.mortals.eventually(READER, "history", LATEST).json["entries"]
        kept = {entry["serial"]: entry["moves"][0]["version"] for entry in entries}
        assert {serial: kept.get(serial) for serial in self.acknowledged} == self.acknowledged


def first_contents(rng: random.Random) -> Contents:
    """Some small files, and two that are large enough to be many blocks."""
    contents = {f"d{number % 4}/{number:02}": rng.randbytes(rng.randint(10, 40_000)) for number in range(40)}
    return {**contents, "large": rng.randbytes(4_000_000), "larger": rng.randbytes(6_000_000)}


def forget(folder: Path) -> None:
    """Remove what a reader pulled."""
    for path in sorted(folder.rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() and not path.is_symlink() else path.unlink()


def told_of(rounds: Rounds) -> str:
    return json.dumps({"rounds": rounds.number, "acknowledged": len(rounds.acknowledged), **rounds.told}, indent=1)
