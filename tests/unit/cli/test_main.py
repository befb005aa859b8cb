"""The entry: quick help that imports nothing heavy, and every end of a command as an exit code and one line."""

from __future__ import annotations

import errno
import json
import logging
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import click
import pytest

from swarm import errors
from swarm.cli import main as program
from swarm.cli.main import COMMANDS, Commands, main
from swarm.cli.program import options

HEAVY = ("aiohttp", "cryptography", "boto3", "rich", "nacl", "kademlia", "msgspec", "zstandard", "blake3", "asyncio")


def _run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "swarm.cli.main", *arguments], capture_output=True, text=True, timeout=300, check=False
    )


def test_help_imports_nothing_heavy() -> None:
    script = (
        "import sys, swarm.cli.main as m\n"
        "assert m.main(['--help']) == 0\n"
        f"print([name for name in {HEAVY!r} if name in sys.modules], file=sys.stderr)\n"
    )
    found = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=300, check=True)
    assert found.stderr.strip() == "[]"


@pytest.mark.parametrize("name", [name for name in COMMANDS if name != "demo"])
def test_help_of_each_command_imports_nothing_heavy(name: str) -> None:
    script = (
        "import sys, swarm.cli.main as m\n"
        f"assert m.main([{name!r}, '--help']) == 0\n"
        f"print([name for name in {HEAVY!r} if name in sys.modules], file=sys.stderr)\n"
    )
    found = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=300, check=True)
    assert found.stderr.strip() == "[]"


@pytest.mark.parametrize("name", COMMANDS)
def test_the_list_says_what_the_command_says(name: str) -> None:
    group = program.program_commands
    assert isinstance(group, Commands)
    command = group.get_command(click.Context(group), name)
    assert command is not None
    assert (command.help or "").splitlines()[0] == COMMANDS[name].line


def test_help_says_what_each_exit_code_means(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--help"]) == 0
    told = re.findall(r"(?<!\S)(\d+)\s+\w", capsys.readouterr().out.partition("Exit codes: ")[2])
    kinds = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, errors.AetherError)]
    assert {int(code) for code in told} == {0, 130} | {kind.exit_code for kind in kinds}


def test_every_command_has_the_habits() -> None:
    group = program.program_commands
    for name in COMMANDS:
        command = group.get_command(click.Context(group), name)
        leaves = list(command.commands.values()) if isinstance(command, click.Group) else [command]
        for leaf in leaves:
            assert leaf is not None
            assert {"json", "quiet", "debug", "config", "home"} <= {parameter.name for parameter in leaf.params}, name


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["nosuch"], "No such command"),
        (["ls", "--bogus"], "No such option"),
        (["pull", "roads"], "Missing argument"),
        (["publish", "x"], "Missing argument"),
        (["publish", "x", "a:b", "--links", "eat"], "eat"),
        (["rollback", "a:b", "--to", "0"], "0 is not in the range"),
        (["up", "--port-base", "x"], "not a whole number"),
        (["token"], "Name one: create; see"),
        (["store"], "Name one: check, copy, cost; see"),
        (["token", "create", "--role", "king"], "king"),
        (["token", "create", "--ttl", "soon"], "not a lifetime"),
        (["token", "create", "--uses", "0"], "0 is not in the range"),
        (["token", "create", "--datasets", "a/b/c"], "not a dataset pattern"),
        (["pull", "Roads", "x"], "not a name"),
        (["pull", "roads:", "x"], "not a tag"),
        (["pull", "roads@12", "x"], "not a signature"),
        (["pull", "roads:v1/a", "x"], "names a path"),
        (["cat", "roads:v1"], "names no file"),
        (["cat", "roads/a"], "names no file"),
        (["tag", "roads:v1", "roads@" + "0" * 64], "not a name to give"),
        (["keep", "a", "--clear", "--last", "3"], "one or the other"),
        (["keep", "a", "--clear", "--age", "3d"], "one or the other"),
        (["quota", "maps", "10GB", "--clear"], "BYTES or --clear"),
        (["join", "garbled"], "not a join token"),
        (["join", "aetherfs1.garbled"], "garbled"),
        (["completion", "tcsh"], "tcsh"),
        (["login", "--user", "x", "--tracker", "nope"], "is no tracker's URL"),
        (["login", "--user", "x", "--tracker", "http://127.0.0.1:7070"], "is no tracker's URL"),
        (["pul", "maps/roads:v1", "x"], "Did you mean 'pull'"),
    ],
)
def test_a_slip_is_usage_in_one_line(
    arguments: list[str],
    said: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: object,
) -> None:
    monkeypatch.setenv("AETHERFS_HOME", f"{tmp_path}/home")
    assert main(arguments) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("aetherfs: ")
    assert said in err
    assert err.count("\n") == 1


def test_nobody_signs_out_of_a_home_that_is_not_there(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["logout", "--home", f"{tmp_path}/home"]) == 0
    assert capsys.readouterr().out == "nobody was signed in\n"
    assert not (tmp_path / "home").exists()


@pytest.mark.parametrize(
    ("raised", "exit_code"),
    [
        (errors.AetherError("a: b; c"), 1),
        (errors.UsageError("a: b; c"), 2),
        (errors.NotFoundError("a: b; c"), 3),
        (errors.NotAllowedError("a: b; c"), 4),
        (errors.ConflictError("a: b; c"), 5),
        (errors.IntegrityError("a: b; c"), 6),
        (errors.RemoteProtocolError("a: b; c"), 6),
        (errors.UnreachableError("a: b; c"), 7),
        (errors.IncompleteError("a: b; c"), 8),
        (errors.FullError("a: b; c"), 9),
        (KeyboardInterrupt(), 130),
        (click.Abort(), 130),
        (OSError(errno.ENOSPC, "No space left on device"), 9),
        (OSError(errno.ENOENT, "No such file or directory", "x"), 3),
        (OSError(errno.EACCES, "Permission denied", "x"), 4),
        (OSError(errno.EIO, "Input/output error"), 1),
        (ValueError("two\nlines"), 1),
    ],
)
@pytest.mark.parametrize("as_json", [False, True])
def test_whatever_happens_is_one_line_and_its_exit_code(
    raised: BaseException,
    exit_code: int,
    as_json: bool,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(Commands, "get_command", lambda *_: _failing(raised))
    assert main(["x", *(["--json"] if as_json else [])]) == exit_code
    out, err = capsys.readouterr()
    assert err.startswith("aetherfs: ")
    assert err.count("\n") == 1
    assert "Traceback" not in err
    if as_json:
        assert json.loads(out)["exit_code"] == exit_code
    else:
        assert out == ""


def _failing(error: BaseException) -> click.Command:
    @click.command()
    @options
    def fail() -> None:
        raise error

    return fail


@pytest.fixture
def _same_level() -> Iterator[None]:
    """--debug is for a whole process."""
    level = logging.getLogger().level
    yield
    logging.getLogger().setLevel(level)


@pytest.mark.usefixtures("_same_level")
def test_a_traceback_comes_with_debug_only(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Commands, "get_command", lambda *_: _failing(ValueError("deep")))
    assert main(["x", "--debug"]) == 1
    assert "Traceback" in capsys.readouterr().err


def test_the_end_at_once_keeps_the_exit_code_and_what_nobody_flushed() -> None:
    script = (
        "import sys, swarm.cli.main as m\n"
        "m.main = lambda: sys.stdout.write('told') and sys.stderr.write('said') and 7\n"
        "assert 'asyncio' not in sys.modules\n"
        "m.run()\n"
    )
    # Under PYTHONUNBUFFERED nothing would wait to be flushed.
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    ended = subprocess.run(
        [sys.executable, "-c", script], env=kept, capture_output=True, text=True, timeout=300, check=False
    )
    assert (ended.returncode, ended.stdout, ended.stderr) == (7, "told", "said")


def test_a_reader_that_goes_away_ends_it_by_sigpipe_in_silence() -> None:
    script = "import sys; from swarm.cli.main import main; sys.exit(main(['completion', 'bash']))"
    process = subprocess.Popen(
        [sys.executable, "-u", "-c", script], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    process.stdout.close()
    assert process.stderr is not None
    said = process.stderr.read()
    process.stderr.close()
    assert process.wait(30) == -13
    assert said == ""


def test_without_a_command_it_shows_the_list(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 0
    shown = capsys.readouterr().out
    assert [name for name in COMMANDS if f"  {name} " not in shown] == []


@pytest.mark.parametrize("place", [lambda *a: ["--json", *a], lambda *a: [*a, "--json"]])
def test_json_is_taken_before_and_behind_the_command(
    place: Callable[..., list[str]], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(place("version")) == 0
    assert set(json.loads(capsys.readouterr().out)) == {"version", "protocol", "python"}


def test_config_show_tells_origins(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: object
) -> None:
    monkeypatch.setenv("AETHERFS_HOME", f"{tmp_path}/home")
    monkeypatch.setenv("AETHERFS_LISTEN", "10.1.1.1")
    assert main(["config", "show", "--origin", "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert shown["listen"] == {"value": "10.1.1.1", "origin": "environment AETHERFS_LISTEN"}
    assert shown["port_base"]["origin"] == "default"


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_prints_a_script(shell: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["completion", shell]) == 0
    assert "_AETHERFS_COMPLETE" in capsys.readouterr().out


def test_completion_completes_commands(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COMP_WORDS", "aetherfs pu")
    monkeypatch.setenv("COMP_CWORD", "1")
    monkeypatch.setenv("_AETHERFS_COMPLETE", "bash_complete")
    found = _run()
    assert {line.partition(",")[2] for line in found.stdout.splitlines()} == {"publish", "pull", "purge"}


WAITING_TRACKER = """
import asyncio, threading
from concurrent.futures import ThreadPoolExecutor
from swarm.cli import main
ThreadPoolExecutor(1, "tracker-store").submit(threading.Event().wait)
main.main = lambda: 3
main.run()
"""


def test_a_tracker_that_has_ended_does_not_wait_for_a_store_that_hangs() -> None:
    assert subprocess.run([sys.executable, "-c", WAITING_TRACKER], timeout=300, check=False).returncode == 3
