"""A peer for as long as another program wants one: ``python -m swarm.attached``, which ends with its standard input.

Programs that read through ``aetherfs://`` where no agent runs start this, and hold the other end of the pipe: however
they end, it ends. It prints a line when it answers, or why it cannot.
"""

from __future__ import annotations

import asyncio
import sys
import threading
from typing import Final

from swarm.cli.program import Program
from swarm.cli.roles import node_settings
from swarm.errors import AetherError
from swarm.peer.agent import start_peer

READY: Final = "ready"


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


async def _run() -> None:
    node = await start_peer(node_settings(Program(), port_base=0))
    loop = asyncio.get_running_loop()

    def wait() -> None:
        sys.stdin.read()
        loop.call_soon_threadsafe(node.stop_requested.set)

    try:
        _say(READY)
        threading.Thread(target=wait, daemon=True).start()
        await node.stop_requested.wait()
    finally:
        await node.close()


if __name__ == "__main__":
    try:
        asyncio.run(_run())
    except AetherError as error:
        _say(str(error))
        sys.exit(error.exit_code)
