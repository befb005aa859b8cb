"""Directories made of the agent's WebDAV by programs of others, none of which is left behind."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.integration.client_packages import environment_folder
from tests.s3_server import free_ports

READY_S = 30.0
# Since Linux 6.x directories are asked for by 32 KiB, which davfs2 refuses (EINVAL) with its buffer of 16 KiB.
DAVFS = "ask_auth 0\nuse_locks 0\nbuf_size 64\ncache_dir {cache}\nsecrets {folder}/secrets\n"


@contextmanager
def davfs_mount(url: str, folder: Path) -> Iterator[Path]:
    """What ``mount -t davfs`` makes of it."""
    place, configuration = folder / "davfs", folder / "davfs2.conf"
    place.mkdir()
    (folder / "secrets").touch(mode=0o600)
    # davfs2 keeps what it has read as a user of its own, who may not look below a test's folder.
    with tempfile.TemporaryDirectory(prefix="davfs-", dir="/var/tmp") as cache:
        shutil.chown(cache, group="davfs2")
        os.chmod(cache, 0o770)
        configuration.write_text(DAVFS.format(cache=cache, folder=folder))
        subprocess.run(
            ["mount.davfs", url, str(place), "-o", f"ro,conf={configuration}"],
            check=True,
            timeout=60,
            stdin=subprocess.DEVNULL,
        )
        try:
            yield place
        finally:
            subprocess.run(["umount", str(place)], check=True, timeout=60, stdout=subprocess.DEVNULL)


@contextmanager
def nfs_of(url: str, folder: Path) -> Iterator[Callable[[str], str]]:
    """What ``rclone serve nfs`` makes of it: the address of a path there, as the programs of libnfs take it."""
    [port] = free_ports(1)
    command = [str(environment_folder() / "bin" / "rclone"), "serve", "nfs", "--config", str(folder / "none")]
    with (folder / "nfs.log").open("wb") as log:
        process = subprocess.Popen(
            [*command, "--read-only", "--addr", f"127.0.0.1:{port}", "--webdav-url", url, ":webdav:"], stderr=log
        )
    try:
        deadline = time.monotonic() + READY_S
        while not _answers(port):
            assert process.poll() is None and time.monotonic() < deadline, (folder / "nfs.log").read_text()
            time.sleep(0.05)
        yield lambda path: f"nfs://127.0.0.1/{path}?nfsport={port}&mountport={port}&auto-traverse-mounts=0"
    finally:
        process.terminate()
        process.wait()


def _answers(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), 5).close()
    except OSError:
        return False
    return True
