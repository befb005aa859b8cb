"""Processes over one object store whose calls are put in a random order, and each of which may be killed at any call.

A process is a function of a store, run in a thread. It goes on by one call at a time, when its turn comes; turns are
drawn by the seed, so a run can be repeated. One that is killed raises ``Killed`` instead of its next call.
"""

from __future__ import annotations

import random
import threading
from collections.abc import Callable
from typing import TypeVar

from swarm.objects import ObjectStore

T = TypeVar("T")


class Killed(BaseException):
    """The process ends here: no handler of ours may catch it."""


class Process:
    """One process: its turns, and what became of it."""

    def __init__(self, name: str, work: Callable[[ObjectStore], None], stage: Stage, calls: int | None) -> None:
        self.name = name
        self.calls_left = calls
        self.failure: BaseException | None = None
        self.has_ended = False
        self.may_go = threading.Semaphore(0)
        self.waits = threading.Semaphore(0)
        self._thread = threading.Thread(target=self._run, args=(work, SteppedStore(self, stage)), daemon=True)
        self._thread.start()
        self.waits.acquire()

    def _run(self, work: Callable[[ObjectStore], None], objects: ObjectStore) -> None:
        try:
            work(objects)
        except Killed:
            pass  # as it was meant to
        except BaseException as error:
            self.failure = error
        self.has_ended = True
        self.waits.release()

    def go(self) -> None:
        """One more call."""
        self.may_go.release()
        self.waits.acquire()

    def turn(self) -> None:
        """Wait for it, in the process."""
        self.waits.release()
        self.may_go.acquire()
        if self.calls_left is not None:
            self.calls_left -= 1
            if self.calls_left < 0:
                raise Killed


class SteppedStore:
    """The store as one process has it."""

    def __init__(self, process: Process, stage: Stage) -> None:
        self._process = process
        self._stage = stage
        self._lock = threading.Lock()

    def _call(self, call: Callable[[], T]) -> T:
        # Threads of one process go one after another, each when the process has its turn.
        with self._lock:
            self._process.turn()
            return call()

    def get(self, key: str) -> bytes:
        return self._call(lambda: self._stage.objects.get(key))

    def get_range(self, key: str, start: int, length: int) -> bytes:
        return self._call(lambda: self._stage.objects.get_range(key, start, length))

    def put(self, key: str, data: bytes) -> None:
        self._call(lambda: self._stage.objects.put(key, data))

    def put_if_absent(self, key: str, data: bytes) -> bool:
        done = self._call(lambda: self._stage.objects.put_if_absent(key, data))
        self._stage.check()
        return done

    def list(self, prefix: str, *, after: str = "", limit: int = 1000) -> list[str]:
        return self._call(lambda: self._stage.objects.list(prefix, after=after, limit=limit))

    def delete(self, key: str) -> None:
        self._call(lambda: self._stage.objects.delete(key))
        self._stage.check()

    def close(self) -> None:
        """Nothing is held open."""


class Stage:
    """Processes over ``objects``. ``check`` is called after each call that removes or commits something."""

    def __init__(self, objects: ObjectStore, rng: random.Random, check: Callable[[], None]) -> None:
        self.objects = objects
        self.check = check
        self._rng = rng
        self._processes: list[Process] = []

    def enter(self, name: str, work: Callable[[ObjectStore], None], *, calls: int | None = None) -> None:
        """A process, killed at the call after ``calls``."""
        self._processes.append(Process(name, work, self, calls))

    def play(self) -> None:
        """Until all have ended. Raises what one failed with."""
        try:
            while waiting := [process for process in self._processes if not process.has_ended]:
                self._some_turns_of(self._rng.choice(waiting))
        finally:
            for process in self._processes:
                process.calls_left = 0
                while not process.has_ended:
                    process.go()
            self._processes.clear()

    def _some_turns_of(self, process: Process) -> None:
        # Some have many turns in a row, some none for long: a process that stalls is what protocols break on.
        for _ in range(self._rng.choice((1, 1, 2, 5, 40))):
            if not process.has_ended:
                process.go()
        if process.failure is not None:
            raise process.failure
