"""The rules about the project as a whole: what lies at the top, and that the commands it tells a reader exist."""

from __future__ import annotations

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


def make_targets(makefile: str) -> set[tuple[str, str]]:
    """The targets of a Makefile."""
    return {("make", target) for target in re.findall(r"(?m)^([a-z]+):", makefile)}
