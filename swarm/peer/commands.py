"""Commands of the user's that a subscription runs: whether a version is good, and what is done once it is current.

A command is a line for the shell, in the version's directory, without input, in a process group of its own. What comes
from the swarm reaches it as environment, never as part of the line. It may take ``COMMAND_MAX_S``; then, and when the
peer ends, its group is killed.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from swarm.errors import AetherError, IncompleteError, IntegrityError

COMMAND_MAX_S: Final = 3600.0
# Of what a command says its end is kept.
SAID_MAX_BYTES: Final = 8192


class RefusedError(IntegrityError):
    """The user's validation does not take a version."""


class HookError(AetherError):
    """The user's hook did not succeed for the version that is current."""


@dataclass(frozen=True, slots=True)
class Ended:
    """How a command ended. ``exit_code`` is negative for a signal."""

    exit_code: int
    said: str


async def run_command(
    line: str, directory: Path, environment: Mapping[str, str], limit_s: float = COMMAND_MAX_S
) -> Ended:
    """Run a command to its end. IncompleteError when it takes too long, AetherError when it cannot begin."""
    try:
        process = await asyncio.create_subprocess_shell(
            line,
            cwd=directory,
            env={**os.environ, **environment},
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            start_new_session=True,
        )
    except (OSError, ValueError) as error:
        raise AetherError(f"the command {line[:60]!r} cannot be started: {error}") from error
    try:
        async with asyncio.timeout(limit_s):
            said = await _end_of(process)
            return Ended(await process.wait(), said)
    except TimeoutError as error:
        raise IncompleteError(f"the command {line[:60]!r} took more than {limit_s:.0f} s and was ended") from error
    finally:
        if process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            await process.wait()


async def _end_of(process: asyncio.subprocess.Process) -> str:
    said = b""
    if process.stdout is not None:
        while part := await process.stdout.read(SAID_MAX_BYTES):
            said = (said + part)[-SAID_MAX_BYTES:]
    return said.decode("utf-8", "replace").strip()
