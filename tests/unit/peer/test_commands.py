"""Commands of the user's: what they are told, what is kept of what they say, and that none outlives its time."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from swarm.errors import AetherError, IncompleteError
from swarm.peer.commands import SAID_MAX_BYTES, run_command
from tests.e2e.harness import wait_for


def test_a_command_runs_in_its_directory_with_its_environment(tmp_path: Path) -> None:
    line = 'echo "$PWD $AETHERFS_MESSAGE"; echo worse >&2; cat; exit 3'
    ended = asyncio.run(run_command(line, tmp_path, {"AETHERFS_MESSAGE": "$(exit 1); `x`"}))
    assert (ended.exit_code, ended.said) == (3, f"{tmp_path} $(exit 1); `x`\nworse")


def test_of_what_it_says_the_end_is_kept(tmp_path: Path) -> None:
    ended = asyncio.run(run_command("yes | head -c 100000; printf 'the end\\377'", tmp_path, {}))
    assert ended.said.endswith("the end\ufffd")
    assert len(ended.said) <= SAID_MAX_BYTES


def test_what_takes_too_long_is_ended_with_all_that_it_began(tmp_path: Path) -> None:
    line = f"sleep 600 & echo $! > {tmp_path}/pid; wait"
    # On a loaded machine it has not begun so soon.
    for limit_s in (0.3, 3.0, 30.0):
        with pytest.raises(IncompleteError, match=r"took more than .* and was ended"):
            asyncio.run(run_command(line, tmp_path, {}, limit_s=limit_s))
        if _pid_in(tmp_path):
            break
    _until_gone(_pid_in(tmp_path))


def test_who_is_cancelled_takes_the_command_along(tmp_path: Path) -> None:
    async def main() -> None:
        running = asyncio.create_task(run_command(f"echo $$ > {tmp_path}/pid; sleep 600", tmp_path, {}))
        while not _pid_in(tmp_path):
            await asyncio.sleep(0.01)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)

    asyncio.run(main())
    _until_gone(_pid_in(tmp_path))


def test_a_directory_that_is_gone_is_told(tmp_path: Path) -> None:
    with pytest.raises(AetherError, match="cannot be started"):
        asyncio.run(run_command("true", tmp_path / "gone", {}))


def _pid_in(folder: Path) -> int:
    """What a command has told of itself by now; 0 for nothing."""
    told = (folder / "pid").read_text() if (folder / "pid").exists() else ""
    return int(told) if told.endswith("\n") else 0


def _until_gone(pid: int) -> None:
    """Until a process that was killed has ended, which takes a moment; whoever has it for a child may reap it later."""
    assert pid
    wait_for(f"process {pid} ends", lambda: _has_ended(pid))


def _has_ended(pid: int) -> bool:
    try:
        return ") Z " in Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return True
