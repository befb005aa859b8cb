"""The demo's processes: each with a home of its own, all of them ended whatever happens.

Each process is this program in a session of its own, so that Ctrl-C reaches the demo alone, which then ends them in
order; and the kernel ends them should the demo itself be killed. Ctrl-C and SIGTERM are noted, and raised where the
demo starts a process or waits for one: what a handler raises within a callback of the interpreter, as around a fork,
is printed and lost.
"""

from __future__ import annotations

import ctypes
import json
import os
import select
import signal
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from types import FrameType, TracebackType
from typing import Any, Final, Self

from swarm.cli import spawn
from swarm.errors import AetherError, IncompleteError
from swarm.local_agent import kind_of_exit_code

READY_DEADLINE_S: Final = 90.0
COMMAND_DEADLINE_S: Final = 120.0
END_DEADLINE_S: Final = 5.0
# How soon an interrupt is seen while the demo waits.
LOOK_S: Final = 0.2
_INTERRUPTS: Final = (signal.SIGINT, signal.SIGTERM)
_PR_SET_PDEATHSIG: Final = 1


@dataclass(frozen=True, slots=True)
class Member:
    """A process that stays: its name and home."""

    name: str
    home: Path
    process: subprocess.Popen[bytes]


class Cluster:
    """Processes under one folder. Use as a context manager: leaving it ends every one of them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.members: dict[str, Member] = {}
        # Where each serves, by what it told when it was ready.
        self.addresses: dict[str, dict[str, list[str]]] = {}
        self._processes: list[subprocess.Popen[bytes]] = []
        self._is_interrupted = False

    def __enter__(self) -> Self:
        self._previous = {number: signal.signal(number, self._note_interrupt) for number in _INTERRUPTS}
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if error is None:
                self._check_interrupted()
        finally:
            self._end_all()
            for number, handler in self._previous.items():
                signal.signal(number, handler)

    def home(self, name: str) -> Path:
        """The home of a member."""
        return self.folder / "homes" / name

    def start(self, name: str, *arguments: str, port_base: int = 0) -> None:
        """Start a process that stays, on free ports if none is given. ``wait_ready`` tells when it serves."""
        log = self.folder / f"{name}.log"
        with log.open("ab") as stderr:
            process = self._spawn(name, [*arguments, "--port-base", str(port_base), "--json"], stderr)
        self.members[name] = Member(name, self.home(name), process)

    def wait_ready(self, *names: str) -> None:
        """Wait until these processes serve. Raises what one of them ended with."""
        deadline = time.monotonic() + READY_DEADLINE_S
        for name in names:
            process = self.members[name].process
            assert process.stdout is not None
            while not select.select([process.stdout], [], [], LOOK_S)[0]:
                self._check_waiting(
                    deadline, f"the {name} was not ready within {READY_DEADLINE_S:.0f} s: the machine may be too busy"
                )
            line = process.stdout.readline()
            if not line:
                raise self._failure(name, process.wait(), (self.folder / f"{name}.log").read_bytes())
            self.addresses[name] = json.loads(line)["addresses"]

    def begin(self, name: str, *arguments: str) -> subprocess.Popen[bytes]:
        """Begin a command on a member's home; ``result`` waits for it."""
        return self._spawn(name, [*arguments, "--json", "--quiet"], subprocess.PIPE)

    def result(self, name: str, process: subprocess.Popen[bytes]) -> dict[str, Any]:
        """The JSON object that a command printed. Raises what it failed with."""
        stdout, stderr = self._told(name, process)
        if process.returncode != 0:
            raise self._failure(name, process.returncode, stderr)
        try:
            result = json.loads(stdout)
        except ValueError as error:
            raise AetherError(f"a command of {name} printed no JSON object: {stdout[:100]!r}") from error
        return dict(result)

    def run(self, name: str, *arguments: str) -> dict[str, Any]:
        """A command's result."""
        return self.result(name, self.begin(name, *arguments))

    def stay(self) -> None:
        """Until Ctrl-C, which is what ends it, and so no failure."""
        while not self._is_interrupted:
            time.sleep(LOOK_S)
        self._is_interrupted = False

    def kill(self, *names: str) -> None:
        """kill -9, all at once: nothing says goodbye."""
        for name in names:
            self.members[name].process.kill()
        for name in names:
            self.members.pop(name).process.wait()

    def left_over(self) -> list[int]:
        """Processes of ours that are still there."""
        return [process.pid for process in self._processes if process.poll() is None]

    def _note_interrupt(self, number: int, frame: FrameType | None) -> None:
        self._is_interrupted = True

    def _check_interrupted(self) -> None:
        if self._is_interrupted:
            raise KeyboardInterrupt

    def _check_waiting(self, deadline: float, otherwise: str) -> None:
        """Whether it is worth waiting on. IncompleteError after the deadline."""
        self._check_interrupted()
        if time.monotonic() > deadline:
            raise IncompleteError(otherwise)

    def _told(self, name: str, process: subprocess.Popen[bytes]) -> tuple[bytes, bytes]:
        """What a command printed until it ended."""
        deadline = time.monotonic() + COMMAND_DEADLINE_S
        while True:
            try:
                return process.communicate(timeout=LOOK_S)
            except subprocess.TimeoutExpired:
                self._check_waiting(deadline, f"a command of {name} took more than {COMMAND_DEADLINE_S:.0f} s")

    def _end_all(self) -> None:
        """End every process that is still there; a second Ctrl-C does not stop this."""
        running = [process for process in self._processes if process.poll() is None]
        for process in running:
            process.terminate()
        deadline = time.monotonic() + END_DEADLINE_S
        for process in running:
            try:
                process.wait(max(0.0, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        for process in self._processes:
            for stream in (process.stdout, process.stderr):
                if stream is not None:
                    stream.close()

    def _spawn(self, name: str, arguments: list[str], stderr: Any) -> subprocess.Popen[bytes]:
        self._check_interrupted()
        process = subprocess.Popen(
            spawn.command(*arguments),
            env=spawn.environment(self.home(name)),
            cwd=self.folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=stderr,
            start_new_session=True,
            preexec_fn=_end_with_parent,
        )
        self._processes.append(process)
        return process

    def _failure(self, name: str, exit_code: int, stderr: bytes) -> AetherError:
        lines = stderr.decode("utf-8", "replace").strip().splitlines()
        said = lines[-1].removeprefix("aetherfs: ") if lines else f"exit code {exit_code}"
        return kind_of_exit_code(exit_code)(f"the {name} failed: {said}")


_LIBC: Final = ctypes.CDLL(None, use_errno=True)


def _end_with_parent() -> None:
    """In the child, before it runs: be killed when the demo dies. Linux only; elsewhere there is no such call."""
    if hasattr(_LIBC, "prctl"):
        _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() == 1:
        os._exit(1)
