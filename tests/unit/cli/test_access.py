"""What is wrong with a command about rights is said before anybody is asked."""

from __future__ import annotations

from pathlib import Path

import pytest

from swarm.cli.main import main


def test_a_lifetime_that_grants_may_not_have(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("AETHERFS_HOME", str(tmp_path))
    for time in ("9m", "31d"):
        assert main(["access", "lifetime", time]) == 2
        assert f"{time} is no lifetime of grants: they count for" in capsys.readouterr().err
