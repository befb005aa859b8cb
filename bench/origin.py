"""The origin on a real S3 server: what publishing costs beside a plain upload of the same bytes, and a cold rollout.

    publish        a peer publishes mixed real files through a seed; the same at a node that is seed and tracker itself
    plain          boto3's own multipart upload of the same bytes as one object, with SHA-256 and encryption alike
    again          published again with nothing changed
    cold           two seeds with fresh homes, eight peers with fresh homes, all pull at once; the producer has gone;
                   what seeds asked for at their start, its trial of the server included, is told apart

Requests and bytes are those that the S3 server counted, except that a list is no PUT. Everything runs on one machine,
the S3 server too, and shares its cores. Before each publish or upload memory is touched that it is going to need: a
virtual machine gives what lies free back to its host, and to touch it again then costs nine times as much (see README),
which would hit the one and spare the other.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import boto3
from boto3.s3.transfer import TransferConfig
from botocore.config import Config

from bench.contenders.ours import PROGRAM, READY_DEADLINE_S, ROLE_OPTIONS, enrol, home_environment
from bench.mixed import Mixed, is_same, make_mixed
from bench.processes import BenchError, Spent, Standing, run_measured
from bench.provenance import filesystem, provenance
from bench.report import Tell
from swarm.limits import MIB
from tests.s3_server import ACCESS_KEY, BUCKET, CREDENTIALS, SECRET_KEY, S3Server

REFERENCE: Final = "bench/mixed:v1"
DEADLINE_S: Final = 300.0
SETTLE_S: Final = 2.0
# When a volume is full the server answers no write for 0.7 s. Its own are small; these are not full at the end.
VOLUMES: Final = ("-master.volumeSizeLimitMB=4096",)
# What a leg needs of memory, in bytes of the dataset: the server's files and its heap.
TOUCHED: Final = 3
TOUCHED_PART_BYTES: Final = 64 * MIB


@dataclass(frozen=True, slots=True)
class OriginSettings:
    """One run."""

    size_bytes: int
    peers: int
    seeds: int
    rounds: int
    seed: int


@dataclass(frozen=True, slots=True)
class Asked:
    """What the S3 server was asked so far."""

    puts: int
    gets: int
    lists: int
    received_bytes: int
    sent_bytes: int

    def since(self, before: Asked) -> dict[str, int]:
        return {name: getattr(self, name) - getattr(before, name) for name in self.__slots__}


def asked_of(server: S3Server) -> Asked:
    """By its own metrics. Refused and failed requests count as well."""
    with urllib.request.urlopen(server.metrics, timeout=10) as answer:
        lines = [line for line in answer.read().decode().splitlines() if f'bucket="{BUCKET}"' in line]

    def total(name: str, *labels: str) -> int:
        found = (line for line in lines if line.startswith(name) and all(label in line for label in labels))
        return sum(int(float(line.rpartition(" ")[2])) for line in found)

    def kind(name: str) -> int:
        return total("SeaweedFS_s3_request_total", f'type="{name}"')

    traffic = "SeaweedFS_s3_bucket_traffic_"
    return Asked(
        puts=kind("PUT") + kind("POST"),
        gets=kind("GET"),
        lists=kind("LIST"),
        received_bytes=total(f"{traffic}received_bytes_total"),
        sent_bytes=total(f"{traffic}sent_bytes_total"),
    )


def run_origin(settings: OriginSettings, folder: Path, tell: Tell) -> dict[str, Any]:
    """Measure: INTERFACE's object, with rounds of each figure."""
    report = {**provenance(), "settings": _settings(settings, folder), "rounds": []}
    tell(f"gathering {settings.size_bytes / MIB:.0f} MiB of mixed files")
    mixed = make_mixed(folder / "payload", settings.size_bytes, settings.seed)
    report["settings"]["files"] = {kind: {"files": n, "bytes": size} for kind, (n, size) in mixed.kinds.items()}
    for number in range(settings.rounds):
        data = folder / f"s3-{number}"
        data.mkdir()
        server = S3Server(data, VOLUMES)
        try:
            report["rounds"].append(_round(settings, server, mixed, folder / f"round-{number}", tell))
        finally:
            server.close()
            shutil.rmtree(data)
    return report


def _settings(settings: OriginSettings, folder: Path) -> dict[str, Any]:
    return {
        "scenario": "origin",
        "size_bytes": settings.size_bytes,
        "peers": settings.peers,
        "seeds": settings.seeds,
        "seed": settings.seed,
        "filesystem": filesystem(folder),
        "load_before": round(os.getloadavg()[0], 2),
    }


def _round(settings: OriginSettings, server: S3Server, mixed: Mixed, folder: Path, tell: Tell) -> dict[str, Any]:
    folder.mkdir()
    figures: dict[str, Any] = {"plain": [_plain(server, mixed, tell)]}
    with _node(folder / "alone", server, "up", "alone") as environment:
        figures["alone"] = _published(server, mixed, environment, folder, tell, "alone: publish")
        figures["alone_again"] = _published(server, mixed, environment, folder, tell, "alone: again")
    figures["plain"].append(_plain(server, mixed, tell))
    with ExitStack() as stack:
        tracker = stack.enter_context(_node(folder / "tracker", server, "tracker", "swarm"))
        with ExitStack() as publishing:
            publishing.enter_context(_member(folder / "first", server, "seed", tracker))
            producer = publishing.enter_context(_member(folder / "producer", server, "peer", tracker))
            figures["publish"] = _published(server, mixed, producer, folder, tell, "through a seed: publish")
            figures["publish_again"] = _published(server, mixed, producer, folder, tell, "through a seed: again")
        figures["cold"] = _cold(settings, server, mixed, tracker, folder, tell)
        stored = figures["publish"]["received_bytes"]
        figures["cold"]["get_bytes_of_stored"] = round(figures["cold"]["sent_bytes"] / stored, 4)
    plain_s = min(entry["seconds"] for entry in figures["plain"])
    for name in ("alone", "publish"):
        figures[name]["of_plain"] = round(plain_s / figures[name]["seconds"], 3)
        figures[name]["again_share"] = round(figures[f"{name}_again"]["seconds"] / figures[name]["seconds"], 4)
    return figures


def _plain(server: S3Server, mixed: Mixed, tell: Tell) -> dict[str, Any]:
    """boto3 as it comes, but for the checksum and the encryption that our store asks for."""
    client = boto3.session.Session().client(
        "s3",
        endpoint_url=server.endpoint,
        region_name="us-east-1",
        aws_access_key_id=ACCESS_KEY,
        aws_secret_access_key=SECRET_KEY,
        config=Config(s3={"addressing_style": "path"}),
    )
    _settled(mixed)
    before, began = asked_of(server), time.perf_counter()
    extra = {"ChecksumAlgorithm": "SHA256", "ServerSideEncryption": "AES256"}
    client.upload_file(str(mixed.whole), BUCKET, "plain", ExtraArgs=extra, Config=TransferConfig())
    seconds = time.perf_counter() - began
    figures = _figures(mixed, seconds, asked_of(server).since(before))
    client.delete_object(Bucket=BUCKET, Key="plain")
    client.close()
    tell(f"plain upload: {seconds:.2f} s, {figures['mb_per_s']:.0f} MB/s")
    return figures


def _published(
    server: S3Server, mixed: Mixed, environment: Mapping[str, str], folder: Path, tell: Tell, what: str
) -> dict[str, Any]:
    """One publish at a standing node, with the command's own start."""
    _settled(mixed)
    before = asked_of(server)
    command = [str(PROGRAM), "publish", str(mixed.directory), REFERENCE, "--quiet"]
    spent = _done(what, run_measured(command, folder / "errors", environment, DEADLINE_S))
    figures = _figures(mixed, spent.seconds, asked_of(server).since(before))
    tell(f"{what}: {spent.seconds:.2f} s, {figures['mb_per_s']:.0f} MB/s, {figures['puts']} PUTs")
    return figures


def _settled(mixed: Mixed) -> None:
    """Nothing is left to be written, and memory is the machine's own."""
    os.sync()
    with tempfile.TemporaryFile(dir=mixed.whole.parent) as touched:
        for _ in range(TOUCHED * mixed.size_bytes // TOUCHED_PART_BYTES):
            touched.write(bytes(TOUCHED_PART_BYTES))


def _figures(mixed: Mixed, seconds: float, asked: Mapping[str, int]) -> dict[str, Any]:
    return {
        "seconds": round(seconds, 3),
        "mb_per_s": round(mixed.size_bytes / 1e6 / seconds, 1),
        "mib_per_put": round(mixed.size_bytes / MIB / max(1, asked["puts"]), 1),
        **asked,
    }


def _cold(
    settings: OriginSettings, server: S3Server, mixed: Mixed, tracker: Mapping[str, str], folder: Path, tell: Tell
) -> dict[str, Any]:
    """Everybody pulls at once; nobody but the store has anything."""
    before = asked_of(server)
    with ExitStack() as stack:
        for number in range(settings.seeds):
            stack.enter_context(_member(folder / f"seed-{number}", server, "seed", tracker))
        peers = [
            stack.enter_context(_member(folder / f"peer-{number}", server, "peer", tracker))
            for number in range(settings.peers)
        ]
        time.sleep(SETTLE_S)
        os.sync()
        started, began = asked_of(server).since(before), time.perf_counter()
        before = asked_of(server)
        idle_s = _idle_s()
        pulls = [_pull(environment, folder / f"pulled-{number}") for number, environment in enumerate(peers)]
        with ThreadPoolExecutor(len(pulls)) as watching:
            seconds = list(watching.map(lambda pull: _ended(pull, began), pulls))
        idle_s = _idle_s() - idle_s
        asked = asked_of(server).since(before)
    if not all(is_same(mixed.directory, folder / f"pulled-{number}") for number in range(settings.peers)):
        raise BenchError("what arrived is not what was published")
    figures = {
        "seconds": seconds,
        "idle_share": round(idle_s / max(seconds) / (os.cpu_count() or 1), 3),
        "get_bytes_of_dataset": round(asked["sent_bytes"] / mixed.size_bytes, 4),
        "mib_per_get": round(mixed.size_bytes / MIB / max(1, asked["gets"]), 2),
        **asked,
        "at_the_start": started,
    }
    tell(
        f"cold: {settings.peers} peers from {settings.seeds} seeds in {max(seconds):.2f} s, "
        f"cores idle for {figures['idle_share']:.0%} of it, "
        f"{figures['get_bytes_of_dataset']} of the dataset in {asked['gets']} GETs"
    )
    return figures


def _pull(environment: Mapping[str, str], directory: Path) -> subprocess.Popen[bytes]:
    command = [str(PROGRAM), "pull", REFERENCE, str(directory), "--json", "--quiet"]
    return subprocess.Popen(command, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)


def _ended(pull: subprocess.Popen[bytes], began: float) -> float:
    """Seconds until its end."""
    try:
        said, _ = pull.communicate(timeout=DEADLINE_S)
    except subprocess.TimeoutExpired as error:
        pull.kill()
        raise BenchError("a pull did not end") from error
    if pull.returncode:
        raise BenchError(f"a pull ended with {pull.returncode}")
    json.loads(said)
    return round(time.perf_counter() - began, 3)


def _idle_s() -> float:
    """Seconds of idle cores: what tells a rollout that waits from a machine that is slow."""
    with open("/proc/stat", encoding="ascii") as lines:
        idle, waiting = lines.readline().split()[4:6]
    return (int(idle) + int(waiting)) / os.sysconf("SC_CLK_TCK")


def _done(what: str, spent: Spent) -> Spent:
    if spent.exit_code:
        raise BenchError(f"{what} ended with {spent.exit_code}: {spent.stderr}")
    return spent


@contextmanager
def _node(folder: Path, server: S3Server, role: str, prefix: str) -> Iterator[Mapping[str, str]]:
    """A role over a store of its own, on a fresh home: the environment of commands there."""
    environment = {**home_environment(folder / "home"), **CREDENTIALS}
    folder.mkdir()
    command = [str(PROGRAM), role, "--store", server.url(prefix), *ROLE_OPTIONS]
    with Standing(command, folder / "log", environment) as node:
        node.wait_line(READY_DEADLINE_S)
        yield environment


@contextmanager
def _member(folder: Path, server: S3Server, role: str, tracker: Mapping[str, str]) -> Iterator[Mapping[str, str]]:
    """A seed over the swarm's store, or a peer, enrolled at the tracker."""
    environment = {**home_environment(folder / "home"), **CREDENTIALS}
    folder.mkdir()
    enrol(environment, tracker, role)
    store = ["--store", server.url("swarm")] if role == "seed" else []
    with Standing([str(PROGRAM), role, *store, *ROLE_OPTIONS], folder / "log", environment) as member:
        member.wait_line(READY_DEADLINE_S)
        yield environment
