"""SECURITY.md promises nothing that no test proves."""

from __future__ import annotations

import ast
import re
from functools import lru_cache
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[2]
TEXT: Final = re.sub(r"<!--.*?-->", "", (ROOT / "SECURITY.md").read_text(), flags=re.DOTALL)
NAMED: Final = re.compile(r"`(tests/[\w/]+\.py)::(\w+)`")
PROMISES: Final = re.split(r"^### ", TEXT.partition("## Promises")[2], flags=re.MULTILINE)[1:]


@lru_cache
def names_in(path: str) -> frozenset[str]:
    """The tests of a file."""
    found = ast.walk(ast.parse((ROOT / path).read_text()))
    return frozenset(node.name for node in found if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))


def test_every_test_that_is_named_exists() -> None:
    named = NAMED.findall(TEXT)
    assert len(named) > 60
    assert [f"{path}::{name}" for path, name in named if not (ROOT / path).exists() or name not in names_in(path)] == []


def test_every_promise_has_a_threat_a_defence_and_a_proof() -> None:
    assert [int(promise.partition(".")[0]) for promise in PROMISES] == list(range(1, len(PROMISES) + 1))
    for promise in PROMISES:
        assert all(word in promise for word in ("\nThreat: ", "Defence:", "\nProof: `")), promise[:60]
        assert NAMED.search(promise.partition("Proof: ")[2]), promise[:60]


def test_what_is_not_promised_is_said() -> None:
    for word in ("Traffic analysis", "running peer that is stolen", "How to report"):
        assert word in TEXT
