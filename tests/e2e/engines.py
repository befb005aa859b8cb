"""What builds an image and runs it: a Docker daemon where one answers, else buildah and this kernel's namespaces.

Both leave nothing behind: ``close`` removes image, containers and volumes.
"""

from __future__ import annotations

import json
import os
import secrets
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, Protocol

from tests.e2e.compose_file import DOCKER
from tests.e2e.contained import Container, DockerContainer, NamespaceContainer
from tests.e2e.image_build import make_base, offered_packages, run

BUILDAH_NEEDS: Final = ("buildah", "mmdebstrap", "unshare", "nsenter", "setpriv")


class Engine(Protocol):
    """One image. ``config`` is what it says of its processes, ``size_bytes`` all of its layers."""

    config: dict[str, Any]
    size_bytes: int
    base_bytes: int

    def make_base(self) -> None:
        """Make the image that ours is built over. AssertionError when the machine cannot."""

    def build(self) -> None:
        """Make the image over its base."""

    def start(self, volumes: Mapping[str, str], *command: str) -> Container:
        """Run the image, read-only. ``volumes`` are names by their places; those of one name are one volume."""

    def close(self) -> None:
        """Remove everything, however far it came."""


def missing() -> str:
    """Why no image can be built here; empty when one can."""
    if _docker_answers():
        return "" if shutil.which("mmdebstrap") else "mmdebstrap not installed"
    lacking = [name for name in BUILDAH_NEEDS if shutil.which(name) is None]
    if lacking:
        return f"no Docker daemon answers; {', '.join(lacking)} not installed (Debian: buildah, mmdebstrap, util-linux)"
    return "" if os.geteuid() == 0 else "no Docker daemon answers, and buildah needs root here"


def make_engine(folder: Path) -> Engine:
    """The one that this machine has, with an empty folder of its own that goes with it."""
    return DockerEngine(folder) if _docker_answers() else BuildahEngine(folder)


def _docker_answers() -> bool:
    if shutil.which("docker") is None:
        return False
    return subprocess.run(["docker", "info"], capture_output=True, timeout=60, check=False).returncode == 0


def _arguments(base: str, settings: Path, tag: str) -> list[str]:
    given = [f"--build-arg=BASE={base}", f"--secret=id=pip.conf,src={settings}", "--network=host"]
    return [*given, f"--tag={tag}", f"--file={DOCKER / 'Dockerfile'}", str(DOCKER.parent)]


class DockerEngine:
    """By a Docker daemon. Names are marked, as others may use it too."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._mark = f"aetherfs-test-{secrets.token_hex(4)}"
        self._started: list[str] = []
        self._volumes: set[str] = set()

    def make_base(self) -> None:
        archive = self.folder / "base.tar"
        make_base(self.folder, archive)
        run(self.folder, "docker", "import", str(archive), self._tags()[1])

    def build(self) -> None:
        image_tag, base_tag = self._tags()
        with offered_packages(self.folder) as settings:
            run(self.folder, "docker", "build", *_arguments(base_tag, settings, image_tag))
        made, under = json.loads(run(self.folder, "docker", "image", "inspect", image_tag, base_tag))
        self.config: dict[str, Any] = made["Config"]
        self.size_bytes, self.base_bytes = int(made["Size"]), int(under["Size"])

    def start(self, volumes: Mapping[str, str], *command: str) -> Container:
        name = f"{self._mark}-{len(self._started)}"
        self._started.append(name)
        named = {inside: f"{self._mark}-{volume}" for inside, volume in volumes.items()}
        self._volumes |= set(named.values())
        return DockerContainer(name, f"{self._mark}:image", named, *command)

    def close(self) -> None:
        for words in (["rm", *self._started], ["volume", "rm", *self._volumes], ["image", "rm", *self._tags()]):
            subprocess.run(["docker", *words, "--force"], capture_output=True, timeout=120, check=False)
        shutil.rmtree(self.folder)

    def _tags(self) -> list[str]:
        return [f"{self._mark}:image", f"{self._mark}:base"]


class BuildahEngine:
    """By buildah, with a store of its own; run by namespaces on the image's mounted file system."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._container = ""
        self._started: list[NamespaceContainer] = []
        self._store = ["--root", str(folder / "images"), "--runroot", str(folder / "running")]
        # Every kernel can do vfs, slowly: each step copies the whole image.
        self._store += ["--storage-driver", "overlay" if self._can_overlay() else "vfs"]

    def make_base(self) -> None:
        started = self._buildah("from", "scratch")
        root = Path(self._buildah("mount", started))
        try:
            make_base(self.folder, root)
        finally:
            self._buildah("umount", started)
        self._buildah("commit", "--quiet", "--rm", started, "localhost/base:test")

    def build(self) -> None:
        with offered_packages(self.folder) as settings:
            how = ["--isolation=chroot", "--format=docker", "--pull-never"]
            self._buildah("build", *how, *_arguments("localhost/base:test", settings, "localhost/image:test"))
        self.config: dict[str, Any] = self._inspected("image")["Docker"]["config"]
        self.base_bytes, self.size_bytes = (self._size_of(name) for name in ("base", "image"))
        self._container = self._buildah("from", "--pull-never", "localhost/image:test")
        self._root = Path(self._buildah("mount", self._container))

    def start(self, volumes: Mapping[str, str], *command: str) -> Container:
        folders = {inside: self.folder / "volumes" / volume for inside, volume in volumes.items()}
        self._started.append(NamespaceContainer(self._root, self.config, folders, *command))
        return self._started[-1]

    def close(self) -> None:
        for container in self._started:
            container.close()
        if self._container:
            self._buildah("umount", self._container)
        shutil.rmtree(self.folder)

    def _size_of(self, name: str) -> int:
        return sum(int(layer["size"]) for layer in json.loads(self._inspected(name)["Manifest"])["layers"])

    def _inspected(self, name: str) -> dict[str, Any]:
        return dict(json.loads(self._buildah("inspect", "--type=image", f"localhost/{name}:test")))

    def _can_overlay(self) -> bool:
        command = ["buildah", *self._store, "--storage-driver", "overlay", "info"]
        return subprocess.run(command, capture_output=True, check=False).returncode == 0

    def _buildah(self, *arguments: str) -> str:
        return run(self.folder, "buildah", *self._store, *arguments)
