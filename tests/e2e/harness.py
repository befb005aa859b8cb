"""Runs the program in homes of its own and ends whatever it started.

``Bench.close`` fails when a process survives its own way of ending: a command that leaves something behind is a defect.
"""

from __future__ import annotations

import ctypes
import json
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

DEADLINE_S: Final = 120.0
POLL_S: Final = 0.02
_PR_CAPBSET_DROP: Final = 24
_CAP_DAC_OVERRIDE: Final = 1
_CAP_DAC_READ_SEARCH: Final = 2
_LIBC: Final = ctypes.CDLL(None)


def spawn_line() -> list[str]:
    """The installed program beside the running Python, or its module when it is not installed."""
    installed = Path(sys.executable).with_name("aetherfs")
    return [str(installed)] if installed.exists() else [sys.executable, "-m", "swarm.cli.main"]


@dataclass(frozen=True, slots=True)
class Done:
    """How a command ended."""

    exit_code: int
    stdout: bytes
    stderr: str

    @property
    def json(self) -> dict[str, Any]:
        return dict(json.loads(self.stdout))

    @property
    def text(self) -> str:
        return self.stdout.decode()


class Bench:
    """One folder with homes and processes."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._started: list[subprocess.Popen[bytes]] = []

    def home(self, name: str) -> Path:
        return self.folder / "homes" / name

    def run(self, home: str, *arguments: str, stdin: str = "", bound: bool = False, cwd: Path | None = None) -> Done:
        """A command, to its end. ``bound``: even root is refused what file modes refuse."""
        process = self.spawn(home, *arguments, bound=bound, cwd=cwd)
        try:
            stdout, stderr = process.communicate(stdin.encode(), timeout=DEADLINE_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()
            raise
        return Done(process.returncode, stdout, stderr.decode())

    def ok(self, home: str, *arguments: str, stdin: str = "") -> Done:
        """A command that must succeed."""
        done = self.run(home, *arguments, stdin=stdin)
        assert done.exit_code == 0, f"{arguments} ended with {done.exit_code}: {done.stderr}"
        return done

    def refused(self, exit_code: int, home: str, *arguments: str, stdin: str = "", bound: bool = False) -> str:
        """A command that must fail with this exit code and exactly one line, which is the result.

        Were it not told to be quiet, it would say how far it is where that takes seconds, as on a loaded machine.
        """
        end = arguments.index("--") if "--" in arguments else len(arguments)
        done = self.run(home, *arguments[:end], "--quiet", *arguments[end:], stdin=stdin, bound=bound)
        assert done.exit_code == exit_code, f"{arguments} ended with {done.exit_code}: {done.stderr or done.text}"
        assert done.stdout == b""
        assert done.stderr.startswith("aetherfs: ")
        assert done.stderr.count("\n") == 1, done.stderr
        assert done.stderr.endswith("\n")
        return done.stderr

    def spawn(
        self, home: str, *arguments: str, bound: bool = False, cwd: Path | None = None
    ) -> subprocess.Popen[bytes]:
        """Start a command; ``close`` ends it if the test does not."""
        process = subprocess.Popen(
            [*spawn_line(), *arguments],
            env=self.environment(home),
            cwd=cwd or self.folder,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            preexec_fn=_bind if bound else None,
        )
        self._started.append(process)
        return process

    def start(self, home: str, *arguments: str, port_base: int = 0) -> subprocess.Popen[bytes]:
        """Start a role in the foreground, on free ports if none is given, and wait until it is ready."""
        process = self.spawn(home, *arguments, "--port-base", str(port_base), "--json", "--quiet")
        assert process.stdout is not None
        assert select.select([process.stdout], [], [], DEADLINE_S)[0], f"{arguments} was not ready in time"
        line = process.stdout.readline()
        if not line:
            assert process.stderr is not None
            raise AssertionError(f"{arguments} ended with {process.wait()}: {process.stderr.read().decode()}")
        told = json.loads(line)
        assert told.get("event") == "ready", f"{arguments} did not start: {told}"
        return process

    def make_swarm(self, home: str = "hub") -> None:
        """A swarm in the background: tracker, seed and peer in one process."""
        self.ok(home, "up", "-d", "--port-base", "0")

    def enrol(self, *names: str, hub: str = "hub", options: Sequence[str] = ()) -> None:
        """Make homes members."""
        token = self.ok(hub, "token", "create", "--uses", str(len(names)), *options).text
        for name in names:
            self.ok(name, "join", "-", stdin=token)

    def close(self) -> None:
        """End everything, then fail if something had to be killed that a command had left behind."""
        for process in self._started:
            if process.poll() is None:
                process.terminate()
        for process in self._started:
            try:
                process.wait(15)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            for stream in (process.stdin, process.stdout, process.stderr):
                if stream is not None:
                    stream.close()
        homes = self.folder / "homes"
        for agent in homes.glob("*/agent.json"):
            subprocess.run(
                [*spawn_line(), "down"], env=self.environment(agent.parent.name), capture_output=True, check=False
            )
        left = self.left_over()
        for pid in left:
            os.kill(pid, signal.SIGKILL)
        assert left == [], f"processes {left} were left behind"

    def left_over(self) -> list[int]:
        """Processes whose environment names this folder, a moment of grace given."""
        deadline = time.monotonic() + DEADLINE_S
        while (found := _processes_of(self.folder)) and time.monotonic() < deadline:
            time.sleep(POLL_S)
        return found

    def environment(self, home: str) -> Mapping[str, str]:
        """What a process of a home is given. It has no authorities but the swarm's: aiohttp reads the system's whenever
        it is imported, which is a fifth of what a short command costs.
        """
        kept = {name: value for name, value in os.environ.items() if not name.startswith("AETHERFS_")}
        temporary = self.folder / "temporary"
        temporary.mkdir(exist_ok=True)
        own = {"AETHERFS_HOME": str(self.home(home)), "TMPDIR": str(temporary), "SSL_CERT_FILE": os.devnull}
        return {**kept, **own}


def wait_for(what: str, holds: Callable[[], object]) -> None:
    """Poll until it holds; the deadline is generous, since machines are slow."""
    deadline = time.monotonic() + DEADLINE_S
    while not holds():
        assert time.monotonic() < deadline, f"{what}: not within {DEADLINE_S:.0f} s"
        time.sleep(POLL_S)


def _processes_of(folder: Path) -> list[int]:
    mark = f"={folder}/".encode()
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            try:
                if mark in (entry / "environ").read_bytes() and (entry / "cmdline").read_bytes():
                    found.append(int(entry.name))
            except OSError:
                continue
    return found


def _bind() -> None:
    """Give up root's right to read and write what file modes forbid; nothing to give up for others."""
    if os.getuid() == 0:
        for capability in (_CAP_DAC_OVERRIDE, _CAP_DAC_READ_SEARCH):
            _LIBC.prctl(_PR_CAPBSET_DROP, capability, 0, 0, 0)
