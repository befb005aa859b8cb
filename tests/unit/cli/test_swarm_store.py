"""Commands that open the object store themselves: the one that the home ran over, and never an empty place."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

import pytest

from swarm.cli.enrol import remember
from swarm.cli.main import main
from swarm.cli.program import Program
from swarm.cli.swarm_store import remember_store
from swarm.config import STORE_FILE
from swarm.home import Home
from swarm.objects.folder import FolderObjectStore
from swarm.tracker.enrolment import enrol_by_store

NOT_FOUND = 3


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Home:
    """A tracker's home, whose swarm lies in another folder than the home's own."""
    home = Home(tmp_path / "home")
    objects = FolderObjectStore(tmp_path / "far")
    remember(home, enrol_by_store(objects, os.urandom(32), home.key(), "tracker", time.time())[0])
    monkeypatch.setenv("AETHERFS_HOME", str(home.path))
    monkeypatch.delenv("AETHERFS_STORE", raising=False)
    monkeypatch.chdir(tmp_path)
    return home


def ran_over(url: str) -> None:
    """What a role does on this home."""
    program = Program()
    program.flags["store"] = url
    remember_store(program)


@pytest.mark.parametrize(
    "command",
    [
        ["gc"],
        ["gc", "--dry-run"],
        ["store", "check"],
        ["root", "show"],
        ["root", "create"],
        ["root", "replace"],
        ["root", "request", "out"],
    ],
)
@pytest.mark.parametrize("is_there", [False, True])
def test_a_place_without_a_swarm_is_refused_and_left_as_it_is(
    home: Home, tmp_path: Path, capsys: pytest.CaptureFixture[str], command: list[str], is_there: bool
) -> None:
    place = tmp_path / "typo"
    if is_there:
        place.mkdir()
    assert main([*command, "--store", place.as_uri()]) == NOT_FOUND
    assert f"{place.as_uri()} holds no swarm: name its store with --store" in capsys.readouterr().err
    assert place.exists() == is_there and not (is_there and list(place.iterdir()))
    assert main(command) == NOT_FOUND
    assert not (home.path / "store").exists()


def test_a_copy_is_of_a_swarm(home: Home, tmp_path: Path) -> None:
    typo, copy = tmp_path / "typo", tmp_path / "copy"
    assert main(["store", "copy", typo.as_uri(), copy.as_uri()]) == NOT_FOUND
    assert not typo.exists() and not copy.exists()
    assert main(["store", "copy", (tmp_path / "far").as_uri(), copy.as_uri()]) == 0


def test_the_store_that_the_home_ran_over_is_the_default(
    home: Home, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    far = (tmp_path / "far").as_uri()
    ran_over(far)
    for command in (["gc"], ["store", "check"], ["root", "show"]):
        assert main(command) == 0
    capsys.readouterr()
    assert main(["config", "show", "--origin", "--json"]) == 0
    assert str(home.path / STORE_FILE) in json.dumps(json.loads(capsys.readouterr().out))
    # Whoever says otherwise is heard.
    (home.path / "config.toml").write_text(f'store = "{(tmp_path / "typo").as_uri()}"\n', encoding="ascii")
    assert main(["gc"]) == NOT_FOUND
    monkeypatch.setenv("AETHERFS_STORE", far)
    assert main(["gc"]) == 0
    # The home's own is not written down.
    ran_over((home.path / "store").as_uri())
    assert not (home.path / STORE_FILE).exists()
