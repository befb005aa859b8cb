"""Where results and errors go: data on stdout, the rest on stderr, one JSON object instead with ``--json``.

Nothing from elsewhere reaches the terminal with control characters in it.
"""

from __future__ import annotations

import json as json_format
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, BinaryIO, TextIO

from swarm.errors import AetherError
from swarm.units import size as size  # commands take all that they print with from here


class Output:
    """``json`` and ``quiet`` as given; the streams are parameters for tests."""

    def __init__(self, *, json: bool, quiet: bool, stdout: TextIO, stderr: TextIO) -> None:
        self.json = json
        self.quiet = quiet
        self.stdout = stdout
        self.stderr = stderr
        self._has_result = False

    def result(self, data: Mapping[str, Any], lines: Iterable[str]) -> None:
        """The end of a command: the object with ``--json``, else the lines for people."""
        if self.json:
            self.emit(data)
            return
        for line in lines:
            print(printable(line), file=self.stdout)
        self.stdout.flush()

    def emit(self, data: Mapping[str, Any]) -> None:
        """One JSON object as one line."""
        self._has_result = True
        print(json_format.dumps(data, ensure_ascii=True, separators=(",", ":")), file=self.stdout, flush=True)

    def note(self, text: str) -> None:
        """A line for people on stderr, about what goes on."""
        if not self.quiet:
            print(printable(text), file=self.stderr, flush=True)

    def error(self, error: BaseException, exit_code: int) -> None:
        """The one line that says what failed; with ``--json`` also an object on stdout, if none stands there."""
        detail = " ".join(str(error).split()) or type(error).__name__
        print(printable(f"aetherfs: {detail}"), file=self.stderr, flush=True)
        if self.json and not self._has_result:
            title = error.title if isinstance(error, AetherError) else "failure"
            self.emit({"error": detail, "title": title, "exit_code": exit_code})


def write_all(sink: BinaryIO, data: bytes) -> int:
    """Write all of it; the count. An unbuffered standard output may take only a part at a time, before it tells why."""
    left = memoryview(data)
    while left:
        left = left[sink.write(left) :]
    return len(data)


def printable(text: str) -> str:
    """The text without control characters and halves of surrogate pairs, so that a name cannot drive the terminal."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(_shown(character) for character in text)


def _shown(character: str) -> str:
    if unicodedata.category(character) in ("Cc", "Cf", "Cs", "Zl", "Zp"):
        return character.encode("unicode_escape", "surrogatepass").decode("ascii")
    return character


def columns(rows: Sequence[Sequence[str]]) -> list[str]:
    """Rows as lines with aligned columns; nothing is padded at their end."""
    if not rows:
        return []
    widths = [max(len(row[at]) for row in rows) for at in range(len(rows[0]))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in rows]
    return [line.rstrip() for line in lines]


def duration(seconds: float) -> str:
    """Seconds for people: ``0.4 s``, ``3 min 20 s``, ``2 h 5 min``, ``30 d``."""
    if seconds < 99.5:
        return f"{seconds:.1f} s" if seconds < 10 else f"{seconds:.0f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min" + (f" {rest} s" if rest else "")
    hours, minutes = divmod(minutes, 60)
    if hours < 48:
        return f"{hours} h" + (f" {minutes} min" if minutes else "")
    return f"{hours // 24} d" + (f" {hours % 24} h" if hours % 24 else "")


def as_of(result: Mapping[str, Any]) -> str:
    """That a rollout holds this home back, or that no tracker has confirmed a tag now, and how long ago one did."""
    held = " (held back: a rollout lets others have a newer version)" if result.get("held") else ""
    if not result.get("stale"):
        return held
    age_s = result.get("age_s")
    if age_s is None:
        return f"{held} (stale: no tracker has confirmed it)"
    return f"{held} (stale: confirmed {duration(age_s)} ago, and not now)"


def moment(wall: float) -> str:
    """Wall seconds as local date and time."""
    from datetime import datetime

    return datetime.fromtimestamp(wall).astimezone().strftime("%Y-%m-%d %H:%M:%S %z")


def short(signature: str | None) -> str:
    """The beginning of a signature in hex, ``-`` for none."""
    return signature[:12] if signature else "-"
