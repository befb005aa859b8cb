"""Reads docker/compose.yaml: as much of YAML as it uses. What else stands there is refused, so that nothing is misread.

Mappings by indentation; lists of one-line texts, one a line or within brackets; anchors of mappings, and ``<<`` to
merge one in. Values stay texts.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

DOCKER: Final = Path(__file__).resolve().parents[2] / "docker"
# What YAML would take for something else than a text.
_ODD: Final = re.compile(r"[{|>'*&!%@`]|.*(: | #)")
_REQUIRED: Final = re.compile(r"\$\{([A-Z0-9_]+):\?[^}]*\}")


def services() -> dict[str, dict[str, Any]]:
    """The services of docker/compose.yaml by name."""
    return dict(read((DOCKER / "compose.yaml").read_text(encoding="utf-8"))["services"])


def read(text: str) -> dict[str, Any]:
    """The file as mappings, lists and texts. ValueError for what this does not understand."""
    lines = [line for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")]
    reader = _Reader([(len(line) - len(line.lstrip()), line.strip()) for line in lines])
    found = reader.mapping(0)
    if reader.lines:
        raise ValueError(f"an odd indentation: {reader.lines[0][1]}")
    return found


def filled(text: str, values: Mapping[str, str]) -> str:
    """A text with its ``${NAME:?why}`` replaced. KeyError for one without a value."""
    return _REQUIRED.sub(lambda found: values[found[1]], text)


class _Reader:
    def __init__(self, lines: list[tuple[int, str]]) -> None:
        self.lines = lines
        self._anchors: dict[str, dict[str, Any]] = {}

    def mapping(self, indent: int) -> dict[str, Any]:
        merged: dict[str, Any] = {}
        own: dict[str, Any] = {}
        while self.lines and self.lines[0][0] == indent:
            key, colon, rest = self.lines.pop(0)[1].partition(":")
            rest = rest.strip()
            if not colon or key.startswith("- ") or key in own:
                raise ValueError(f"no key, or one that is there already: {key}")
            if key == "<<":
                merged |= self._anchors[rest.removeprefix("*")]
                continue
            own[key] = self._below(indent) if not rest or rest.startswith("&") else scalar(rest)
            if rest.startswith("&"):
                self._anchors[rest[1:]] = own[key]
        return {**merged, **own}

    def _below(self, indent: int) -> Any:
        if not self.lines or self.lines[0][0] <= indent:
            return ""
        below, content = self.lines[0]
        return self._list(below) if content.startswith("- ") else self.mapping(below)

    def _list(self, indent: int) -> list[Any]:
        found = []
        while self.lines and self.lines[0][0] == indent and self.lines[0][1].startswith("- "):
            found.append(scalar(self.lines.pop(0)[1][2:].strip()))
        return found


def scalar(text: str) -> Any:
    """One value on one line."""
    if text.startswith('"'):
        return json.loads(text)
    if text.startswith("[") and text.endswith("]"):
        return [scalar(part.strip()) for part in text[1:-1].split(", ")]
    if _ODD.match(text):
        raise ValueError(f"not a plain text: {text}")
    return text
