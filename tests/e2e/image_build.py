"""What a build of docker/Dockerfile is given, so that it asks no registry of images and needs no network of its own.

The base is a Debian with Python, made here. Packages are fetched before, from wherever pip gets them on this machine,
and offered on loopback; the build is told of them as by any builder, in a secret ``pip.conf``.
"""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Final

from tests.e2e.compose_file import DOCKER

SUITE: Final = "bookworm"
PYTHON_VERSION: Final = "3.11"
DEADLINE_S: Final = 600


def run(folder: Path, *command: str) -> str:
    """What a command prints. AssertionError with what it says when it fails. Its temporary files are in ``folder``."""
    done = subprocess.run(
        command,
        env={**os.environ, "TMPDIR": str(folder), "DOCKER_BUILDKIT": "1"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=DEADLINE_S,
        check=False,
    )
    said = f"{done.stdout[-2000:]}{done.stderr[-2000:]}"
    assert done.returncode == 0, f"{command} ended with {done.returncode}: {said}"
    return done.stdout.strip()


def make_base(folder: Path, target: Path) -> None:
    """The file system of a base image, with Python and what makes its virtual environments: an archive when ``target``
    ends in .tar, else in an empty folder.
    """
    run(folder, "mmdebstrap", "--quiet", "--variant=essential", "--include=python3-venv", SUITE, str(target))


@contextmanager
def offered_packages(folder: Path) -> Iterator[Path]:
    """A ``pip.conf`` that leads to the packages of the lock files, while this lasts, and nowhere else."""
    wheels = folder / "wheels"
    locks = [f"--requirement={DOCKER.parent}/.ci/{name}.lock" for name in ("requirements", "requirements-build")]
    how = ["--quiet", "--disable-pip-version-check", "--no-deps", "--only-binary=:all:", "--require-hashes"]
    version = f"--python-version={PYTHON_VERSION}"
    run(folder, sys.executable, "-m", "pip", "download", *how, version, *locks, f"--dest={wheels}")
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(_Quiet, directory=str(wheels))) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        settings = folder / "pip.conf"
        where = f"http://127.0.0.1:{server.server_port}/"
        settings.write_text(f"[global]\nno-index = true\nfind-links = {where}\n", encoding="ascii")
        try:
            yield settings
        finally:
            server.shutdown()


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        """Nothing."""
