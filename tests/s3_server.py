"""A real S3 server for tests: SeaweedFS on free ports of 127.0.0.1, in a folder of its own.

It is one process that starts no other. It is killed at the end, as its own way of ending takes seconds, and dies with
the tests if they are killed themselves.
"""

from __future__ import annotations

import ctypes
import os
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlencode

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from swarm.cli.demo import place

ACCESS_KEY: Final = "tests"
SECRET_KEY: Final = "a secret of the tests"
BUCKET: Final = "data"
READY_DEADLINE_S: Final = 120.0
POLL_S: Final = 0.05
_PR_SET_PDEATHSIG: Final = 1
_LIBC: Final = ctypes.CDLL(None)
PORTS: Final = ("master", "volume", "filer", "s3", "admin")

# What boto3 finds, and nothing of the machine that runs the tests: no files, no role of the machine.
CREDENTIALS: Final[Mapping[str, str]] = {
    "AWS_ACCESS_KEY_ID": ACCESS_KEY,
    "AWS_SECRET_ACCESS_KEY": SECRET_KEY,
    "AWS_CONFIG_FILE": os.devnull,
    "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
    "AWS_EC2_METADATA_DISABLED": "true",
}


def plain_client(endpoint: str) -> Any:
    """A client that knows nothing of ours, to look at what lies there. It tries once."""
    return boto3.session.Session().client(
        "s3",
        endpoint_url=endpoint,
        region_name="us-east-1",
        aws_access_key_id=ACCESS_KEY,
        aws_secret_access_key=SECRET_KEY,
        config=Config(s3={"addressing_style": "path"}, retries={"total_max_attempts": 1}, connect_timeout=2),
    )


def store_url(endpoint: str, prefix: str = "", **options: str) -> str:
    """The address of a store in the tests' bucket, below a prefix that nobody else uses if none is given."""
    query = urlencode({"endpoint": endpoint, **options})
    return f"s3://{BUCKET}/{prefix or secrets.token_hex(8)}?{query}"


class S3Server:
    """``S3Server()`` returns when it takes encrypted objects; ``close`` leaves nothing behind.

    ``metrics`` is where it tells, in the manner of Prometheus, what was asked of it. ``data`` is where objects lie, if
    not in its own folder, whose path is short since sockets are in it; that is its maker's to remove. ``options``
    are more of the server's own.
    """

    def __init__(self, data: Path | None = None, options: Sequence[str] = ()) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="aetherfs-s3-"))
        self._data = data or self.folder
        self._options = options
        *self._ports, self._metrics_port = free_ports(2 * len(PORTS) + 1)
        self.metrics = f"http://127.0.0.1:{self._metrics_port}/metrics"
        self.endpoint = f"http://127.0.0.1:{self._ports[PORTS.index('s3')]}"
        self.client = plain_client(self.endpoint)
        self.start()

    def start(self) -> None:
        """Start the process, also again after ``kill``: on the same ports, with what was stored."""
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [*_command(self.folder, self._data, self._ports, self._metrics_port), *self._options],
                env={**os.environ, **CREDENTIALS, "WEED_S3_SSE_KEY": "a key of the tests", "HOME": str(self.folder)},
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                preexec_fn=die_with_parent,
            )
        try:
            self._wait_until_ready()
        except BaseException:
            self.close()
            raise

    def url(self, prefix: str = "", **options: str) -> str:
        """The address of a store in its bucket."""
        return store_url(self.endpoint, prefix, **options)

    def kill(self) -> None:
        """kill -9, at whatever it is."""
        self._process.kill()
        self._process.wait()

    def close(self) -> None:
        self.kill()
        self.client.close()
        shutil.rmtree(self.folder)
        # Where it puts these is fixed, whatever it is told, and it removes none.
        for name, port in zip(PORTS, self._ports[len(PORTS) :], strict=True):
            Path(f"/tmp/seaweedfs-{name}-grpc-{port}.sock").unlink(missing_ok=True)

    def _wait_until_ready(self) -> None:
        """The port answers before the server can store, so write something."""
        deadline = time.monotonic() + READY_DEADLINE_S
        while True:
            try:
                self.client.put_object(Bucket=BUCKET, Key="ready", Body=b"", ServerSideEncryption="AES256")
                return
            except (BotoCoreError, ClientError) as error:
                if time.monotonic() > deadline or self._process.poll() is not None:
                    said = (self.folder / "log").read_text(encoding="utf-8", errors="replace")[-2000:]
                    raise AssertionError(f"the S3 server did not start ({error}): {said}") from error
            time.sleep(POLL_S)


def _command(folder: Path, data: Path, ports: list[int], metrics_port: int) -> list[str]:
    numbers = [
        flag
        for name, http, grpc in zip(PORTS, ports[: len(PORTS)], ports[len(PORTS) :], strict=True)
        for flag in (f"-{name}.port={http}", f"-{name}.port.grpc={grpc}")
    ]
    sockets = [f"-{name}.localSocket={folder}/{name}.sock" for name in ("filer", "s3")]
    off = ["-master.telemetry=false", "-admin.ui=false", "-webdav=false", "-s3.port.iceberg=0", "-s3.port.lance=0"]
    bucket = [f"-bucket={BUCKET}", "-s3.autoCreateBucket=false"]
    weed = Path(sys.executable).with_name("weed")
    return [
        str(weed),
        "-logtostderr=true",
        "mini",
        f"-dir={data}",
        "-ip=127.0.0.1",
        "-ip.bind=127.0.0.1",
        *numbers,
        f"-metricsPort={metrics_port}",
        "-metricsIp=127.0.0.1",
        *sockets,
        *off,
        *bucket,
    ]


def die_with_parent() -> None:
    """For a child, before it becomes another program."""
    _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)


def free_ports(count: int) -> list[int]:
    """Ports of 127.0.0.1 that nobody listens on, nor will while these tests run: a server is killed, and comes back."""
    base = place.free_ports(count)
    return list(range(base, base + count))
