"""What goes on, shown on stderr: a bar on a terminal, now and then a line otherwise, nothing with ``--quiet``.

Where nothing moves for some seconds, it is said what is waited for; lines then say it once, and again now and then.

Reports are dictionaries with "event": "progress" and any of phase, done_bytes, total_bytes, from, rate_bytes_per_s,
eta_s and waiting_for. They come from another process, so what is missing or odd is left out rather than trusted.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final, Protocol, TextIO

from swarm.cli.output import Output, duration, printable, size

if TYPE_CHECKING:
    from rich.progress import Progress as RichProgress
    from rich.progress import TaskID

# A command that is done sooner says nothing; after that, a line at this interval.
LINE_INTERVAL_S: Final = 2.0
# So long nothing has to move for that to be said, and so often it is repeated.
STILL_S: Final = 5.0
STILL_INTERVAL_S: Final = 20.0
WAITING_MAX_CHARS: Final = 120

Report = Mapping[str, Any]


class Progress(Protocol):
    """Takes reports; called with each of them, from one thread."""

    def __call__(self, report: Report, /) -> None: ...


@contextmanager
def showing(output: Output, label: str) -> Iterator[Progress]:
    """The way of showing that fits the output, ended in every case."""
    if output.quiet:
        yield _nothing
    elif not output.stderr.isatty():
        yield Lines(label, output.stderr, time.monotonic())
    else:
        bar = Bar(label, output.stderr)
        try:
            yield bar
        finally:
            bar.close()


def _nothing(_report: Report) -> None:
    return None


class Movement:
    """When the phase or the bytes done last changed."""

    def __init__(self, now: float) -> None:
        self.at = now
        self._seen: tuple[object, object] | None = None

    def still_s(self, report: Report, now: float) -> float:
        """For how long nothing has moved, up to this report."""
        seen = (report.get("phase"), report.get("done_bytes"))
        if seen != self._seen:
            self._seen, self.at = seen, now
        return now - self.at


class Lines:
    """Plain lines of what moved, at most one every two seconds, and now and then of what does not."""

    def __init__(self, label: str, stream: TextIO, now: float) -> None:
        self._label = label
        self._stream = stream
        self._last = now
        self._movement = Movement(now)

    def __call__(self, report: Report) -> None:
        self.show(report, time.monotonic())

    def show(self, report: Report, now: float) -> None:
        """Print a line if it is time for one."""
        still_s = self._movement.still_s(report, now)
        if now >= self._due():
            self._last = now
            print(printable(f"{self._label}: {sentence(report, still_s)}"), file=self._stream, flush=True)

    def _due(self) -> float:
        if self._movement.at > self._last:
            return self._last + LINE_INTERVAL_S
        still_at = self._movement.at + STILL_S
        return still_at if self._last < still_at else self._last + STILL_INTERVAL_S


class Bar:
    """A bar of rich, with bytes, rate, time left and where the bytes come from. Not drawn before the first report."""

    def __init__(self, label: str, stream: TextIO) -> None:
        self._label = label
        self._stream = stream
        self._rich: RichProgress | None = None
        self._task: TaskID | None = None
        self._movement = Movement(time.monotonic())

    def __call__(self, report: Report) -> None:
        self.show(report, time.monotonic())

    def show(self, report: Report, now: float) -> None:
        """Draw it as the report says."""
        if self._rich is None or self._task is None:
            self._rich = _rich_bar(self._stream)
            self._rich.start()
            self._task = self._rich.add_task("", total=None, words="")
        done, total = counts(report)
        phase = printable(str(report.get("phase", "")))
        self._rich.update(
            self._task,
            description=f"{self._label} {phase}".strip(),
            completed=done,
            total=total or None,
            words=" ".join(words(report, self._movement.still_s(report, now))),
        )

    def close(self) -> None:
        if self._rich is not None:
            self._rich.stop()


def _rich_bar(stream: TextIO) -> RichProgress:
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, TextColumn
    from rich.progress import Progress as RichProgress

    return RichProgress(
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=24),
        DownloadColumn(),
        TextColumn("{task.fields[words]}", markup=False),
        console=Console(file=stream),
        transient=True,
        refresh_per_second=5,
    )


def sentence(report: Report, still_s: float = 0.0) -> str:
    """A report in words: ``fetch 12.0 MB of 40.0 MB (30%), 4.0 MB/s, 7 s left, peers 90% origin 10% reused 0%``."""
    done, total = counts(report)
    parts = [str(report.get("phase", "")) or "working"]
    if total:
        parts[0] += f" {size(done)} of {size(total)} ({min(100, 100 * done // total)}%)"
    return ", ".join([*parts, *words(report, still_s)])


def words(report: Report, still_s: float) -> list[str]:
    """How fast and from where; or, where nothing moves, for how long that is so; and what is waited for."""
    if still_s < STILL_S:
        moves = [rate_words(report), share_words(report)]
    else:
        moves = [f"nothing has moved for {duration(still_s)}"]
    return [part for part in (*moves, waiting_words(report)) if part]


def counts(report: Report) -> tuple[int, int]:
    """Done and total bytes, 0 where unknown."""
    return _count(report.get("done_bytes")), _count(report.get("total_bytes"))


def rate_words(report: Report) -> str:
    """``4.0 MB/s, 7 s left``, or nothing."""
    rate, eta = report.get("rate_bytes_per_s"), report.get("eta_s")
    parts = [f"{size(rate)}/s"] if isinstance(rate, int | float) and rate > 0 else []
    if parts and isinstance(eta, int | float):
        parts.append(f"{duration(eta)} left")
    return ", ".join(parts)


def share_words(report: Report) -> str:
    """Where the bytes come from, in percent; nothing before there are any."""
    sources = report.get("from")
    if not isinstance(sources, Mapping):
        return ""
    amounts = {name: _count(sources.get(name)) for name in ("peers", "origin", "reused")}
    whole = sum(amounts.values())
    return " ".join(f"{name} {100 * amount // whole}%" for name, amount in amounts.items()) if whole else ""


def waiting_words(report: Report) -> str:
    waiting = report.get("waiting_for")
    return f"waits for {waiting[:WAITING_MAX_CHARS]}" if isinstance(waiting, str) and waiting else ""


def _count(value: object) -> int:
    return int(value) if isinstance(value, int | float) and value > 0 else 0
