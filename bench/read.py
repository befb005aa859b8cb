"""Reading one file over HTTP from the agent, warm and in order, beside nginx that serves the same file, in one run.

``directory``: the agent of who has published the directory, which is the source of its own blocks. ``cache``: an agent
that holds no directory, after a first read: blocks on disk (and in memory as far as 64 MiB go). nginx serves plain
files with sendfile, as Debian's own configuration has it. curl reads each into /dev/null over loopback, in turns.

``mount``: that agent's dataset through the kernel (``aetherfs mount``), with nothing of it in the page cache;
``mount, warm``: once more, from the page cache; ``plain``: the file itself. These are read a mebibyte at a time.
"""

from __future__ import annotations

import json
import os
import random
import statistics
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Final

from bench.contenders.curl_nginx import HOST, free_port, standing_nginx
from bench.contenders.ours import PROGRAM, REFERENCE, standing_node, standing_peer
from bench.debian import program_path
from bench.payload import Payload, make_payload
from bench.processes import BenchError, Standing, run_plain
from bench.provenance import provenance
from bench.report import Tell
from swarm.standing import agent_of

NGINX: Final = "nginx"
MOUNTED_DEADLINE_S: Final = 60.0
READ_BYTES: Final = 1 << 20
SENDFILE: Final = "sendfile on; tcp_nopush on;"


@dataclass(frozen=True, slots=True)
class ReadRound:
    """One file read: by which way, how fast."""

    way: str
    mb_per_s: float


@dataclass(frozen=True, slots=True)
class ReadReport:
    """All rounds, and the median of each way over nginx's."""

    rounds: tuple[ReadRound, ...]
    size_bytes: int
    provenance: Mapping[str, object]

    def ratios(self) -> dict[str, float]:
        """How each way compares to nginx."""
        speeds: dict[str, list[float]] = {}
        for entry in self.rounds:
            speeds.setdefault(entry.way, []).append(entry.mb_per_s)
        medians = {way: statistics.median(found) for way, found in speeds.items()}
        return {way: round(median / medians[NGINX], 2) for way, median in medians.items()}

    def as_json(self) -> str:
        """The object that ``--json OUT`` writes."""
        report = {
            **self.provenance,
            "size_bytes": self.size_bytes,
            "over_nginx": self.ratios(),
            "rounds": [asdict(entry) for entry in self.rounds],
        }
        return json.dumps(report, indent=2) + "\n"


def run_read(size_bytes: int, rounds: int, seed: int, folder: Path, tell: Tell) -> ReadReport:
    """Measure. Raises BenchError when something does not start."""
    payload = make_payload(folder / "payload", size_bytes, seed)
    below = "/".join(["fs", *REFERENCE.replace(":", "/").split("/"), payload.file.name])
    with standing_node(folder / "origin") as (_, origin), standing_peer(folder / "peer", origin) as (_, peer):
        run_plain([str(PROGRAM), "publish", str(payload.directory), REFERENCE, "--quiet"], origin)
        with _nginx(payload, folder / "nginx") as nginx_url:
            urls = {
                NGINX: nginx_url,
                "directory": f"{_agent(origin)}/{below}",
                "cache": f"{_agent(peer)}/{below}",
            }
            ways = {way: partial(_read, url, size_bytes) for way, url in urls.items()}
            with _mounts(folder / "mount", peer, payload) as more:
                return ReadReport(_rounds({**ways, **more}, rounds, seed, tell), size_bytes, provenance())


def _rounds(ways: Mapping[str, Callable[[], float]], rounds: int, seed: int, tell: Tell) -> tuple[ReadRound, ...]:
    """All ways in turns, after a first time that does not count."""
    for way, read in ways.items():
        tell(f"{way}: first read {read():.0f} MB/s")
    found: list[ReadRound] = []
    rng = random.Random(seed)
    for _ in range(rounds):
        for way in rng.sample(list(ways), len(ways)):
            found.append(ReadRound(way, round(ways[way](), 1)))
            tell(f"{way}: {found[-1].mb_per_s:.0f} MB/s")
    return tuple(found)


@contextmanager
def _mounts(folder: Path, peer: Mapping[str, str], payload: Payload) -> Iterator[Mapping[str, Callable[[], float]]]:
    """The ways through the kernel; none where nothing can be mounted."""
    if os.geteuid() != 0 or not os.path.exists("/dev/fuse"):
        yield {}
        return
    place = folder / "place"
    place.mkdir(parents=True)
    with Standing([str(PROGRAM), "mount", REFERENCE, str(place), "--json"], folder / "log", peer) as mount:
        mount.wait_line(MOUNTED_DEADLINE_S)
        mounted = place / payload.file.name
        yield {
            "mount": partial(_read_file, mounted, is_warm=False),
            "mount, warm": partial(_read_file, mounted),
            "plain": partial(_read_file, payload.file),
        }


def _read_file(path: Path, *, is_warm: bool = True) -> float:
    """Megabytes a second; of a mount's file that is not warm none is in the page cache."""
    buffer = bytearray(READ_BYTES)
    with open(path, "rb", 0) as file:
        if not is_warm:
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
        began, size = time.perf_counter(), 0
        while count := file.readinto(buffer):
            size += count
        return size / (time.perf_counter() - began) / 1e6


def _read(url: str, size_bytes: int) -> float:
    """Megabytes a second."""
    command = [program_path("curl"), "--silent", "--show-error", "--fail", "--noproxy", "*", "--output", "/dev/null"]
    said = run_plain([*command, "--write-out", "%{size_download} %{time_total}", url])
    size, seconds = said.split()
    if int(size) != size_bytes:
        raise BenchError(f"{url} gave {size} of {size_bytes} bytes")
    return size_bytes / float(seconds) / 1e6


def _agent(environment: Mapping[str, str]) -> str:
    info = agent_of(Path(environment["AETHERFS_HOME"]))
    if info is None:
        raise BenchError("an agent has ended")
    return f"http://{HOST}:{info.port}"


@contextmanager
def _nginx(payload: Payload, folder: Path) -> Iterator[str]:
    folder.mkdir()
    port = free_port()
    with standing_nginx(payload, folder, HOST, port, f"listen {HOST}:{port};", SENDFILE):
        yield f"http://{HOST}:{port}/{payload.file.name}"
