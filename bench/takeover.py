"""Trackers that die and are replaced under a swarm of live peers: how long until the new one knows all, and what goes
on meanwhile.

Two trackers and a seed start at once from one secret; peers join and hold a version. Both trackers are killed (-9) and
one that nobody knows starts on a fresh home: ``takeover_s`` runs from its start to the moment at which it has heard of
every peer. Then that one is killed too, and for a while there is none: other peers pull and read known tags. At last
two come back, on fresh homes; a moved tag must reach all, and no peer has been started again.
"""

from __future__ import annotations

import io
import json
import random
import re
import ssl
import time
import urllib.request
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Final

from bench.processes import BenchError
from swarm.cli.demo.cluster import Cluster
from swarm.errors import AetherError
from swarm.local_agent import AgentClient
from swarm.standing import agent_of

DEADLINE_S: Final = 120.0
POLL_S: Final = 0.05
FILES: Final = 40
FILE_BYTES: Final = 100_000
NAME: Final = "maps/roads"
_PEERS_HEARD: Final = re.compile(rb"^aetherfs_tracker_peers (\d+)", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class TakeoverSettings:
    """One run. ``away_s``: how long there is no tracker; ``every_s``: how often a peer pulls and reads meanwhile."""

    peers: int
    away_s: float
    every_s: float


@dataclass(slots=True)
class TakeoverReport:
    """Seconds, from the start of what is waited for. ``reads`` are the pulls and reads without a tracker."""

    peers: int
    first_start_s: float = 0.0
    takeover_s: float = 0.0
    away_s: float = 0.0
    reads: int = 0
    failed: list[str] = field(default_factory=list)
    slowest_pull_s: float = 0.0
    slowest_read_s: float = 0.0
    back_s: float = 0.0
    moved_tag_s: float = 0.0
    restarted: int = 0

    def as_json(self) -> str:
        return json.dumps(asdict(self), indent=1) + "\n"


def run_takeover(settings: TakeoverSettings, folder: Path, tell: Callable[[str], object]) -> TakeoverReport:
    """Do it once. BenchError when something is not reached in time."""
    report = TakeoverReport(settings.peers)
    with _Swarm(folder, settings.peers) as swarm:
        report.first_start_s = swarm.start_keepers()
        swarm.start_peers()
        tell(f"{settings.peers} peers run; two trackers and a seed took {report.first_start_s:.1f} s from nothing")
        swarm.kill("tracker-1", "tracker-2")
        report.takeover_s = swarm.replace("tracker-3")
        tell(f"a fresh tracker knows all {report.takeover_s:.1f} s after its start")
        swarm.kill("tracker-3")
        _stay_away(swarm, settings, report, tell)
        report.back_s = swarm.replace("tracker-4", "tracker-5")
        report.moved_tag_s = swarm.move_tag()
        report.restarted = swarm.restarted()
        told = f"all known after {report.back_s:.1f} s, a moved tag everywhere in {report.moved_tag_s:.1f} s"
        tell(f"trackers back: {told}")
    return report


def _stay_away(
    swarm: _Swarm, settings: TakeoverSettings, report: TakeoverReport, tell: Callable[[str], object]
) -> None:
    began = time.monotonic()
    number = 0
    while (passed := time.monotonic() - began) < settings.away_s:
        try:
            pulled, read = swarm.pull_and_read(number)
            report.slowest_pull_s = max(report.slowest_pull_s, pulled)
            report.slowest_read_s = max(report.slowest_read_s, read)
        except AetherError as error:
            report.failed.append(f"after {passed:.0f} s: {error}")
        number += 1
        time.sleep(max(0.0, min(settings.every_s * number, settings.away_s) - (time.monotonic() - began)))
    report.away_s, report.reads = round(time.monotonic() - began, 1), 2 * number
    tell(f"{report.away_s:.0f} s without a tracker: {report.reads} pulls and reads, {len(report.failed)} failed")


class _Swarm:
    """The processes."""

    def __init__(self, folder: Path, peers: int) -> None:
        self._folder = folder
        self._cluster = Cluster(folder)
        self._peers = [f"peer-{number}" for number in range(peers)]
        self._pids: dict[str, int] = {}

    def __enter__(self) -> _Swarm:
        (self._folder / "homes").mkdir(parents=True, exist_ok=True)
        self._cluster.__enter__()
        return self

    def __exit__(self, *how: Any) -> None:
        self._cluster.__exit__(*how)

    def start_keepers(self) -> float:
        began = time.monotonic()
        for name, role in (("tracker-1", "tracker"), ("tracker-2", "tracker"), ("seed", "seed")):
            self._start(name, role)
        self._cluster.wait_ready("tracker-1", "tracker-2", "seed")
        return round(time.monotonic() - began, 2)

    def start_peers(self) -> None:
        token = self._call("tracker-1", "token", {"uses": len(self._peers) + 1})["token"]
        path = self._folder / "token"
        path.write_text(token)
        for name in self._peers:
            self._cluster.start(name, "peer", "--join-file", str(path))
        self._cluster.wait_ready(*self._peers)
        self._pids = {name: self._cluster.members[name].process.pid for name in self._peers}
        data = self._folder / "data"
        data.mkdir()
        rng = random.Random(1)
        for number in range(FILES):
            (data / f"file-{number}").write_bytes(rng.randbytes(FILE_BYTES))
        self._call("peer-0", "publish", {"path": str(data), "names": [f"{NAME}:v1"]})
        for name in self._peers[: len(self._peers) // 2]:
            self._call(name, "pull", {"ref": f"{NAME}:v1", "directory": str(self._folder / "out" / name)})

    def kill(self, *names: str) -> None:
        self._cluster.kill(*names)

    def replace(self, *names: str) -> float:
        """Start trackers on fresh homes: until one of them, the oldest, has heard of all."""
        began = time.monotonic()
        for name in names:
            self._start(name, "tracker")
        ports = [self._tracker_port(name) for name in names]
        wanted = len(self._peers) + 1  # the seed too
        self._until("the tracker knows all", lambda: max(map(_heard, ports)) > wanted)
        return round(time.monotonic() - began, 2)

    def pull_and_read(self, number: int) -> tuple[float, float]:
        """A pull into a new directory by one peer, and a read by another: seconds of each."""
        one, two = self._peers[-1 - number % len(self._peers)], self._peers[-2 - number % (len(self._peers) - 1)]
        began = time.monotonic()
        out = self._folder / "away" / str(number)
        self._call(one, "pull", {"ref": f"{NAME}:v1", "directory": str(out)})
        pulled = time.monotonic()
        sink = io.BytesIO()
        sink.writelines(self._client(two).parts("cat", {"ref": f"{NAME}:v1/file-{number % FILES}"}))
        if sink.getvalue() != (self._folder / "data" / f"file-{number % FILES}").read_bytes():
            raise BenchError(f"{two} read something else than was published")
        return round(pulled - began, 2), round(time.monotonic() - pulled, 2)

    def move_tag(self) -> float:
        self._call("peer-1", "tag", {"ref": f"{NAME}:v1", "names": [f"{NAME}:latest"]})
        began = time.monotonic()
        for name in self._peers:
            self._until("the moved tag is known", partial(self._knows_latest, name))
        return round(time.monotonic() - began, 2)

    def _knows_latest(self, name: str) -> bool:
        try:
            return bool(self._call(name, "inspect", {"ref": f"{NAME}:latest"})["serial"] == 2)
        except AetherError:
            return False

    def restarted(self) -> int:
        """Peers that are not the process that they were."""
        alive = self._cluster.members
        return sum(alive[name].process.poll() is not None for name in self._pids)

    def _start(self, name: str, role: str) -> None:
        """A tracker or a seed, from store and secret alone."""
        store, secret = (self._folder / "store").as_uri(), str(self._folder / "secret")
        self._cluster.start(name, role, "--store", store, "--secret-file", secret)

    def _tracker_port(self, name: str) -> int:
        self._cluster.wait_ready(name)
        told = self._call(name, "status", {})["addresses"]["tracker"]
        return int(str(told).rpartition(":")[2])

    def _client(self, name: str) -> AgentClient:
        info = agent_of(self._cluster.home(name))
        if info is None:
            raise BenchError(f"{name} does not run")
        return AgentClient(info)

    def _call(self, name: str, verb: str, arguments: Mapping[str, Any]) -> dict[str, Any]:
        return self._client(name).call(verb, arguments, lambda _: None)

    def _until(self, what: str, holds: Callable[[], bool]) -> None:
        deadline = time.monotonic() + DEADLINE_S
        while not holds():
            if time.monotonic() > deadline:
                raise BenchError(f"not within {DEADLINE_S:.0f} s: {what}")
            time.sleep(POLL_S)


def _heard(port: int) -> int:
    """How many peers a tracker of this machine has heard of. What it shows of itself is not of interest here."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    with urllib.request.urlopen(f"https://127.0.0.1:{port}/metrics", context=context, timeout=10) as answer:
        found = _PEERS_HEARD.search(answer.read())
    return int(found[1]) if found is not None else 0
