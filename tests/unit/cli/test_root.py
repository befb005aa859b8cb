"""The commands about the swarm's root and keys, as a tracker's operator types them; no process runs."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Any

import pytest

from swarm.cli.enrol import remember
from swarm.cli.main import main
from swarm.home import Home
from swarm.objects.folder import FolderObjectStore
from swarm.tracker.custody import ROOT_KEY, roster_key
from swarm.tracker.enrolment import enrol_by_store

Run = Any


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """A tracker's home over a store with a swarm, and the program on it: exit code, and what it printed as JSON."""
    home = Home(tmp_path / "home")
    objects, store_key = FolderObjectStore(tmp_path / "home" / "store"), os.urandom(32)
    remember(home, enrol_by_store(objects, store_key, home.key(), "tracker", time.time())[0])
    monkeypatch.setenv("AETHERFS_HOME", str(home.path))
    monkeypatch.setenv("AETHERFS_ROOT_PASSPHRASE", "of the root")

    def typed(*words: str) -> tuple[int, Any]:
        code = main([*words, "--json"])
        printed = capsys.readouterr()
        return code, json.loads(printed.out) if printed.out else printed.err

    typed.objects = objects  # type: ignore[attr-defined]
    typed.file = str(tmp_path / "root.txt")  # type: ignore[attr-defined]
    return typed


def test_the_root_goes_offline_and_is_used_from_its_file(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    code, shown = run("root", "show")
    assert (code, shown["offline"], len(shown["keys"])) == (0, False, 1)
    assert run("root", "offline", run.file)[0] == 3, "nothing was exported"
    monkeypatch.delenv("AETHERFS_ROOT_PASSPHRASE")
    assert run("root", "export", run.file)[0] == 4, "it is always sealed"
    monkeypatch.setenv("AETHERFS_ROOT_PASSPHRASE", "of the root")
    assert run("root", "export", run.file)[0] == 0
    assert run("root", "export", run.file)[0] == 5
    assert Path(run.file).stat().st_mode & 0o777 == 0o600
    monkeypatch.setenv("AETHERFS_ROOT_PASSPHRASE", "another")
    assert run("root", "offline", run.file)[0] == 4
    monkeypatch.setenv("AETHERFS_ROOT_PASSPHRASE", "of the root")
    code, shown = run("root", "offline", run.file, "--for", "1y")
    assert (code, shown["offline"], shown["version"]) == (0, True, 2)
    ends = [key["until"] for key in shown["keys"]]
    assert ends[-1] - time.time() == pytest.approx(365 * 86_400, abs=60)
    assert [key["in_force"] for key in shown["keys"][1:]] == ends[:-1]
    assert run("root", "export", run.file + "2")[0] == 4, "it is gone"
    code, shown = run("root", "sign", run.file, "--for", "2y")
    assert (code, shown["version"]) == (0, 3)
    assert shown["keys"][-1]["until"] > ends[-1]
    assert run("root", "sign", run.file, "--for", "9y")[0] == 2


def test_a_stolen_key_is_replaced_and_its_private_part_is_gone(run: Run) -> None:
    run("root", "export", run.file)
    run("root", "offline", run.file)
    before = run("root", "show")[1]["keys"]
    code, shown = run("root", "replace", run.file)
    assert (code, shown["entries"]) == (0, [])
    stolen = [key["key"] for key in shown["keys"] if key["stolen"]]
    assert stolen == [before[0]["key"]], "those that were to follow are not known any more"
    kept = [key.rpartition("/")[2] for key in run.objects.list("swarm/online/")]
    assert set(kept) == {key["key"] for key in shown["keys"] if not key["stolen"]}
    code, again = run("root", "replace", run.file)
    usable = [{key["key"] for key in each["keys"] if not key["stolen"]} for each in (shown, again)]
    assert code == 0
    assert usable[1] and not usable[0] & usable[1]


def test_an_old_swarm_gets_a_root_by_command_only(run: Run) -> None:
    run.objects.delete(ROOT_KEY)
    run.objects.delete(roster_key(1))
    assert run("root", "show")[0] == 3
    code, shown = run("root", "create")
    assert (code, shown["version"], shown["offline"]) == (0, 2, False)
    assert run("root", "create")[0] == 5


def test_keys_have_names(run: Run) -> None:
    own = run("key", "show")[1]["key"]
    assert run("key", "name", "team", own)[0] == 0
    assert run("key", "list")[1] == {"names": {"team": [own]}}
    assert run("key", "name", "team", "nobody")[0] == 2
    assert run("key", "forget", "team")[0] == 0
    assert run("key", "forget", "team")[0] == 3


def test_the_root_signs_where_there_is_no_swarm(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is asked for and what was signed go there and back as files; the root never comes near a tracker."""
    asked, signed = str(tmp_path / "asked"), str(tmp_path / "signed")
    run("root", "export", run.file)
    run("root", "offline", run.file, "--for", "30d")
    for words, keys in ((["--for", "1y"], 5), (["--replace"], 6)):
        assert run("root", "request", asked, *words)[0] == 0
        with monkeypatch.context() as elsewhere:
            elsewhere.setenv("AETHERFS_HOME", str(tmp_path / "nowhere"))
            assert run("root", "sign", run.file, asked)[0] == 2
            assert run("root", "sign", run.file, asked, signed)[0] == 0
        code, shown = run("root", "install", signed)
        assert (code, shown["offline"], len(shown["keys"])) == (0, True, keys)
        assert run("root", "install", signed)[0] == 0, "the same again is no matter"
    assert shown["keys"][0]["stolen"]
    (tmp_path / "signed").write_bytes(b"garbage")
    for command, writer in ((["install", signed], "root sign"), (["sign", run.file, signed, asked], "root request")):
        code, told = run("root", *command)
        assert (code, f"is not what `aetherfs {writer}` writes" in told["error"]) == (6, True)
    for text in ("", "\n"):
        (tmp_path / "empty").write_text(text)
        code, told = run("root", "sign", run.file, "--passphrase-file", str(tmp_path / "empty"))
        assert (code, "is empty" in told["error"]) == (2, True)
