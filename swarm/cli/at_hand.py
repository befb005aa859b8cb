"""An agent for a command that asks several things: the one that runs on this home, or a peer of our own meanwhile."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

from swarm.cli.perform import HANDOVER_S, RETRY_S, required_of
from swarm.cli.program import Program
from swarm.errors import ConflictError, UnreachableError
from swarm.local_agent import AgentClient

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop

    from swarm.peer.node import PeerNode


@contextmanager
def agent_at_hand(program: Program) -> Iterator[AgentClient]:
    """The agent of this home. NotAllowedError where the home is no swarm's member."""
    info = program.agent()
    if info is not None:
        yield AgentClient(info)
        return
    program.home.check_enrolled()
    with _peer_meanwhile(program):
        info = program.agent()
        if info is None:
            raise UnreachableError("the peer that was started ended at once: repeat with --debug")
        yield AgentClient(info)


@contextmanager
def agent_throughout(program: Program) -> Iterator[Callable[[], None]]:
    """For a command that performs again and again: what it calls before each time, so that an agent is there.

    Without one, each verb would be done by a peer of its own, whose coming and going the swarm is told of. It begins
    one if none is there at first, and never later: whoever ended what ran on the home wants to have it.
    UnreachableError until another process runs there.
    """
    with ExitStack() as peer:
        was_there = False

        def be_there() -> None:
            nonlocal was_there
            deadline = time.monotonic() + HANDOVER_S
            while program.agent() is None:
                if was_there:
                    raise UnreachableError(
                        f"no process runs on {program.settings.home} any more: start one with `aetherfs up -d` or "
                        "`aetherfs peer`"
                    )
                try:
                    peer.enter_context(agent_at_hand(program))
                except ConflictError:
                    # A process that has the home does not answer yet, or any more.
                    if time.monotonic() > deadline:
                        raise
                    time.sleep(RETRY_S)
            was_there = True

        yield be_there


@contextmanager
def _peer_meanwhile(program: Program) -> Iterator[None]:
    """A peer on free ports, in a thread of its own, ended in every case, and before that if it is told to stop, as by
    `aetherfs down`; what it still does then is cancelled.
    """
    import asyncio

    from swarm.cli.roles import node_settings
    from swarm.peer.agent import start_peer

    program.start_logging()
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=_run, args=(loop,), name="peer")
    thread.start()
    try:
        node = asyncio.run_coroutine_threadsafe(start_peer(node_settings(program, port_base=0)), loop).result()
        running = asyncio.run_coroutine_threadsafe(_until_stopped(node), loop)
        try:
            yield
        finally:
            loop.call_soon_threadsafe(node.stop_requested.set)
            running.result()
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()


async def _until_stopped(node: PeerNode) -> None:
    try:
        await node.stop_requested.wait()
    finally:
        await node.close()


def _run(loop: AbstractEventLoop) -> None:
    """Until it is stopped; what was interrupted meanwhile then closes what it has opened."""
    try:
        loop.run_forever()
        loop.run_until_complete(_end_all())
        loop.run_until_complete(loop.shutdown_asyncgens())
        loop.run_until_complete(loop.shutdown_default_executor())
    finally:
        loop.close()


async def _end_all() -> None:
    import asyncio

    left = asyncio.all_tasks() - {asyncio.current_task()}
    for task in left:
        task.cancel()
    await asyncio.gather(*left, return_exceptions=True)


__all__ = ["agent_at_hand", "agent_throughout", "required_of"]
