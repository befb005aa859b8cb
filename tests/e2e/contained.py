"""Running containers: of a Docker daemon, or made here by namespaces and a read-only root, as such a daemon makes them.

The program is process 1, as the image's user, in the image's environment. The network is that of the machine, so that
containers meet on loopback. What is written goes into the volumes and /tmp, or is refused.
"""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

from tests.e2e.harness import DEADLINE_S, POLL_S, Done
from tests.s3_server import die_with_parent


class Container(Protocol):
    """A running container."""

    def run(self, *command: str) -> Done:
        """A command beside the program, to its end."""

    def stop(self) -> int:
        """SIGTERM to process 1: its exit code, once it has ended by itself."""


class DockerContainer:
    """By a Docker daemon. ``volumes`` are names by their places inside. Whoever starts it removes it."""

    def __init__(self, name: str, image: str, volumes: Mapping[str, str], *command: str) -> None:
        self._name = name
        confined = ["--read-only", "--tmpfs=/tmp", "--cap-drop=ALL", "--security-opt=no-new-privileges"]
        places = [f"--volume={volume}:{inside}" for inside, volume in volumes.items()]
        line = ["docker", "run", "--detach", f"--name={name}", "--network=host", *confined, *places, image, *command]
        subprocess.run(line, check=True, capture_output=True, timeout=DEADLINE_S)

    def run(self, *command: str) -> Done:
        return _done(["docker", "exec", self._name, *command])

    def stop(self) -> int:
        subprocess.run(["docker", "stop", self._name], check=True, capture_output=True, timeout=DEADLINE_S)
        return int(_done(["docker", "inspect", "--format={{.State.ExitCode}}", self._name]).text)


class NamespaceContainer:
    """By namespaces. ``volumes`` are folders by their places inside; they are given to the image's user."""

    def __init__(self, root: Path, config: Mapping[str, Any], volumes: Mapping[str, Path], *command: str) -> None:
        self._user, self._group = str(config["User"]).split(":")
        self._environment = ["env", "-i", "-C", str(config["WorkingDir"]), *config["Env"]]
        for folder in volumes.values():
            folder.mkdir(parents=True, exist_ok=True)
            os.chown(folder, int(self._user), int(self._group))
        script = self._script(root, volumes, [*config["Entrypoint"], *(command or config["Cmd"])])
        self._process = subprocess.Popen(
            ["unshare", "--mount", "--pid", "--fork", "--kill-child", "sh", "-euc", script],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            preexec_fn=die_with_parent,
        )

    def run(self, *command: str) -> Done:
        enter = ["nsenter", f"--target={self._first()}", "--mount", "--pid", "--root", "--wd"]
        return _done([*enter, *self._identity(), *self._environment, *command])

    def stop(self) -> int:
        os.kill(self._first(), signal.SIGTERM)
        return self._process.wait(DEADLINE_S)

    def close(self) -> None:
        """End it in any case: process 1 dies with who started it, and the kernel ends the rest of its namespace."""
        self._process.kill()
        self._process.wait()

    def _script(self, root: Path, volumes: Mapping[str, Path], arguments: list[str]) -> str:
        top = shlex.quote(str(root))
        mounts = [f"mount --bind {top} {top}", f"mount --rbind /dev {top}/dev", f"mount -t proc proc {top}/proc"]
        mounts += [f"mount -t tmpfs -o mode=1777,size=16m tmpfs {top}/tmp"]
        mounts += [f"mount --bind {shlex.quote(str(folder))} {top}{inside}" for inside, folder in volumes.items()]
        mounts += [f"mount -o remount,bind,ro {top}"]
        program = shlex.join([*self._identity(), "--pdeathsig=KILL", *self._environment, *arguments])
        return "\n".join([*mounts, f"exec chroot {top} {program}"])

    def _identity(self) -> list[str]:
        ids = [f"--reuid={self._user}", f"--regid={self._group}", "--clear-groups"]
        return ["setpriv", *ids, "--inh-caps=-all", "--bounding-set=-all", "--no-new-privs"]

    def _first(self) -> int:
        """The container's process 1, as it is called outside."""
        deadline = time.monotonic() + DEADLINE_S
        children = Path(f"/proc/{self._process.pid}/task/{self._process.pid}/children")
        while not (found := children.read_text(encoding="ascii").split()):
            assert self._process.poll() is None, f"the container ended with {self._process.returncode}"
            assert time.monotonic() < deadline, "no process came"
            time.sleep(POLL_S)
        return int(found[0])


def _done(command: list[str]) -> Done:
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, timeout=DEADLINE_S, check=False)
    return Done(done.returncode, done.stdout, done.stderr.decode())
