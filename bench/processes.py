"""Processes of a measurement: started in sessions of their own, measured from /proc, ended by their ids.

CPU time is user and system of a process, its threads and the children it has waited for. The peak of memory is the
kernel's own high-water mark (VmHWM); ``forget_peaks`` starts it anew, so that what a process did before the clock does
not count. Linux only.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import subprocess
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Final, Self

END_DEADLINE_S: Final = 15.0
POLL_S: Final = 0.02
POLL_FIRST_S: Final = 0.001
TICKS_PER_S: Final = os.sysconf("SC_CLK_TCK")
# Fields of /proc/PID/stat after the command's name: utime, stime, cutime, cstime.
_TIMES: Final = slice(11, 15)
# Fields of the first line of /proc/stat: user, nice, system, idle, iowait, irq, softirq, steal. Guests' are in user.
_PROCESSOR_TIMES: Final = slice(1, 9)
_IDLE: Final = slice(3, 5)  # of these


class BenchError(Exception):
    """A contender could not be measured; the message says why."""


@dataclass(frozen=True, slots=True)
class Spent:
    """What a command cost until its end."""

    seconds: float
    cpu_s: float
    peak_rss_bytes: int
    exit_code: int
    stderr: str


class Standing:
    """A process that stays for as long as the context."""

    def __init__(self, command: Sequence[str], log: Path, environment: Mapping[str, str] | None = None) -> None:
        self.log = log
        # A group of its own, so that Ctrl-C is not for it, but no session: Linux shares the processors among sessions
        # first (sched_autogroup), and with one each two of 17 busy processes stood still for two seconds at a time.
        with log.open("ab") as stderr:
            self.process = subprocess.Popen(
                command,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=stderr,
                process_group=0,
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self.process.terminate()
            self.process.wait(END_DEADLINE_S)
        except subprocess.TimeoutExpired:
            pass
        finally:
            # A second Ctrl-C ends the wait, not what is to be done; and children do not always end with their parent.
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
            if self.process.stdout is not None:
                self.process.stdout.close()

    def wait_line(self, timeout_s: float) -> str:
        """The first line it prints, which says that it is ready. Raises BenchError when none comes."""
        stdout = self.process.stdout
        if stdout is None or not select.select([stdout], [], [], timeout_s)[0] or not (line := stdout.readline()):
            raise BenchError(f"{self.process.args!r} was not ready: {_last_line(self.log.read_text(errors='replace'))}")
        return line.decode()

    def pids(self) -> list[int]:
        """The process and its children, as they are now."""
        return family(self.process.pid)


def end_together(standing: Iterable[Standing]) -> None:
    """Ask all of them to end, so that they do it at the same time. Their contexts wait for them."""
    for process in standing:
        process.process.terminate()


def family(pid: int) -> list[int]:
    """A process and all that descend from it, whichever of its threads started them."""
    try:
        children = [child for task in Path(f"/proc/{pid}/task").iterdir() for child in _children(task)]
    except FileNotFoundError:
        return []
    return [pid, *(member for child in children for member in family(int(child)))]


def _children(task: Path) -> list[str]:
    try:
        return (task / "children").read_text().split()
    except (FileNotFoundError, ProcessLookupError):
        return []


def cpu_seconds(pids: Iterable[int]) -> float:
    """CPU time that these processes have spent so far; nothing for one that is gone: who waited for it has its time."""
    return sum(sum(int(field) for field in _stat(pid)[_TIMES]) for pid in pids) / TICKS_PER_S


def peak_rss_bytes(pid: int) -> int:
    """The most memory that the process has had; 0 when it is gone."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except (FileNotFoundError, ProcessLookupError):
        return 0
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM:")), 0)


def forget_peaks(pids: Iterable[int]) -> None:
    """Let the high-water marks begin at what is in use now."""
    for pid in pids:
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            Path(f"/proc/{pid}/clear_refs").write_text("5")


class Meter:
    """CPU time and the peak of memory of these processes and all their children, from now on.

    A child that starts and ends meanwhile counts as well: its time is its parent's once it has been waited for, its
    memory as far as ``sample`` saw it.
    """

    def __init__(self, roots: Sequence[int]) -> None:
        self._roots = roots
        standing = self._families()
        forget_peaks(standing)
        self._before_s = cpu_seconds(standing)
        self.peak_rss_bytes = 0

    def sample(self) -> None:
        """Look at their memory: the peak is that of the largest process."""
        self.peak_rss_bytes = max(self.peak_rss_bytes, *map(peak_rss_bytes, self._families()), 0)

    def cpu_s(self) -> float:
        """What they have spent since."""
        return cpu_seconds(self._families()) - self._before_s

    def _families(self) -> list[int]:
        return [pid for root in self._roots for pid in family(root)]


class Processors:
    """What all processors of this machine have done from now on, for whomever."""

    def __init__(self) -> None:
        self._before = _processors()

    def spent(self) -> tuple[float, float]:
        """Seconds since then that somebody used, or another machine took, and that there were in all."""
        return spent_between(self._before, _processors())


def spent_between(before: str, after: str) -> tuple[float, float]:
    """By the first line of /proc/stat: seconds in use, and all."""
    times = (line.split()[_PROCESSOR_TIMES] for line in (before, after))
    since = [int(now) - int(then) for then, now in zip(*times, strict=True)]
    return (sum(since) - sum(since[_IDLE])) / TICKS_PER_S, sum(since) / TICKS_PER_S


def run_measured(
    command: Sequence[str], errors: Path, environment: Mapping[str, str] | None, timeout_s: float
) -> Spent:
    """Run a command to its end, or kill it at the deadline. What it prints is thrown away, its complaints are kept."""
    with errors.open("w+b") as stderr:
        began = time.perf_counter()
        process = subprocess.Popen(
            command,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=stderr,
            process_group=0,
        )
        peak_bytes = 0
        # Often at first: a short command is looked at as well.
        wait_s = POLL_FIRST_S
        ended = os.pidfd_open(process.pid)
        try:
            while not select.select([ended], [], [], wait_s)[0]:
                wait_s = min(POLL_S, 2 * wait_s)
                peak_bytes = max(peak_bytes, peak_rss_bytes(process.pid))
                if time.perf_counter() - began > timeout_s:
                    signal.pidfd_send_signal(ended, signal.SIGKILL)
            seconds = time.perf_counter() - began
        finally:
            signal.pidfd_send_signal(ended, signal.SIGKILL)
            os.close(ended)
            _, status, usage = os.wait4(process.pid, 0)
            process.returncode = os.waitstatus_to_exitcode(status)
        stderr.seek(0)
        said = _last_line(stderr.read().decode(errors="replace"))
    # One that ended before it could be looked at: the kernel counts what it was before it became the command as well.
    peak_bytes = peak_bytes or usage.ru_maxrss * 1024
    return Spent(seconds, usage.ru_utime + usage.ru_stime, peak_bytes, process.returncode, said)


def run_plain(command: Sequence[str], environment: Mapping[str, str] | None = None, stdin: str = "") -> str:
    """Run a command that is not measured; its output. Raises BenchError when it fails."""
    done = subprocess.run(command, env=environment, input=stdin, capture_output=True, text=True, check=False)
    if done.returncode:
        raise BenchError(f"{' '.join(command)} ended with {done.returncode}: {_last_line(done.stderr)}")
    return done.stdout


def _processors() -> str:
    return Path("/proc/stat").read_text().partition("\n")[0]


def _stat(pid: int) -> list[str]:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return []


def _last_line(text: str) -> str:
    return (text.strip().splitlines() or ["it said nothing"])[-1]
