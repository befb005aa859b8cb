"""The rules about the project as a whole: what lies at the top, and that the commands it tells a reader exist."""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Collection, Iterable, Iterator
from typing import Final

TOP_LEVEL: Final = frozenset(
    {
        "swarm",
        "seed",
        "tests",
        "bench",
        "docker",
        "docs",
        "pyproject.toml",
        "README.md",
        "SECURITY.md",
        "ARCHITECTURE.md",
        "CONTRIBUTING.md",
        "CHANGELOG.md",
        "LICENSE",
        "Makefile",
    }
)
_WHOLE: Final = ("swarm/", "seed/", "docker/")
# A command as it is told: at the start of an indented or fenced line, or between backticks.
_TOLD: Final = re.compile(r"(?m)(?:^(?: {4}|\$ )?|`)(?:\.venv/bin/)?(make|aetherfs|python -m bench) ([a-z][a-z-]*)")


def top_level(names: Iterable[str]) -> Iterator[str]:
    """The top of the project is exactly what the design says; hidden files apart."""
    found = {name.split("/", 1)[0] for name in names}
    found = {name for name in found if not name.startswith(".")}
    for name in sorted(found - TOP_LEVEL):
        yield f"{name}: does not belong at the top: find the folder that it is for"
    for name in sorted(TOP_LEVEL - found):
        yield f"{name}: is missing at the top"


def commands_told(path: str, text: str, existing: Collection[tuple[str, str]]) -> Iterator[str]:
    """Every ``make``, ``aetherfs`` and ``python -m bench`` command that a page tells a reader to type exists."""
    for program, word in dict.fromkeys(_TOLD.findall(text)):
        if (program, word) not in existing:
            yield f"{path}: tells of `{program} {word}`, which does not exist"


def codemap(text: str, names: Collection[str]) -> Iterator[str]:
    """The codemap's rooms exist, it is one table, and each module is in a room or in its folder's."""
    part = text.partition("\n## Codemap\n")[2].partition("\n## ")[0].strip()
    if "\n\n" in part:
        yield "ARCHITECTURE.md: a blank line breaks the table of the codemap"
    rooms = {room for row in part.splitlines() for room in _rooms(row.split("|")[1] if row.startswith("|") else "")}
    for room in sorted(rooms):
        if not (any(name.startswith(room) for name in names) if room.endswith("/") else fnmatch.filter(names, room)):
            yield f"ARCHITECTURE.md: {room} is in the codemap, and is not there"
    for name in sorted(names):
        is_module = name.startswith(("swarm/", "seed/")) and name.endswith(".py") and not name.endswith("__init__.py")
        if is_module and not any(name.startswith(r) if r.endswith("/") else fnmatch.fnmatch(name, r) for r in rooms):
            yield f"{name}: is in no room of ARCHITECTURE.md's codemap: add it where it belongs"


def _rooms(cell: str) -> Iterator[str]:
    """The paths between backticks; what begins with no package is in the folder of the path before it."""
    folder = ""
    for word in " ".join(re.findall("`([^`]+)`", cell)).split():
        if word.startswith(_WHOLE):
            folder = word.rpartition("/")[0] + "/"
            yield word
        else:
            yield folder + word


def make_targets(makefile: str) -> set[tuple[str, str]]:
    """The targets of a Makefile."""
    return {("make", target) for target in re.findall(r"(?m)^([a-z]+):", makefile)}
