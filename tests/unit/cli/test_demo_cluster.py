"""The demo's processes and Ctrl-C: noted wherever it comes, raised where the demo starts something or waits."""

from __future__ import annotations

import contextlib
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from swarm.cli.demo.cluster import Cluster


class _Interrupting:
    """Interrupts this process where the interpreter loses what is raised, as around a fork."""

    def __del__(self) -> None:
        signal.raise_signal(signal.SIGINT)


@contextlib.contextmanager
def _interrupts_and_stays(number: int) -> Iterator[subprocess.Popen[bytes]]:
    """A command that interrupts whoever started it."""
    command = ["sh", "-c", f"kill -{number} $PPID; exec sleep 60"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        try:
            yield process
        finally:
            process.kill()


def _start_after_an_interrupt_that_is_lost(cluster: Cluster) -> None:
    with cluster:
        held = _Interrupting()
        del held
        cluster.start("peer", "peer")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_ends_a_wait_and_is_told_at_the_end(tmp_path: Path, number: signal.Signals) -> None:
    before = signal.getsignal(number)
    cluster = Cluster(tmp_path)
    # The cluster first: it is there by the time that the interrupt comes.
    with pytest.raises(KeyboardInterrupt), cluster, _interrupts_and_stays(number) as process:
        cluster.result("peer", process)
    assert signal.getsignal(number) == before


def test_an_interrupt_within_a_callback_of_the_interpreter_lets_nothing_start(tmp_path: Path) -> None:
    cluster = Cluster(tmp_path)
    with pytest.raises(KeyboardInterrupt):
        _start_after_an_interrupt_that_is_lost(cluster)
    assert cluster.members == {}


def test_whoever_looks_on_ends_it_by_an_interrupt_and_that_is_no_failure(tmp_path: Path) -> None:
    with Cluster(tmp_path) as cluster:
        signal.raise_signal(signal.SIGINT)
        cluster.stay()
