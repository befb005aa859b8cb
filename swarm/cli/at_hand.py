"""An agent for a command that asks several things: the one that runs on this home, or a peer of our own meanwhile."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from swarm.cli.perform import required_of
from swarm.cli.program import Program
from swarm.errors import UnreachableError
from swarm.local_agent import AgentClient


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
def _peer_meanwhile(program: Program) -> Iterator[None]:
    """A peer on free ports, in a thread of its own, ended in every case."""
    import asyncio

    from swarm.cli.roles import node_settings
    from swarm.peer.agent import start_peer

    program.start_logging()
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name="peer")
    thread.start()
    try:
        node = asyncio.run_coroutine_threadsafe(start_peer(node_settings(program, port_base=0)), loop).result()
        try:
            yield
        finally:
            asyncio.run_coroutine_threadsafe(node.close(), loop).result()
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


__all__ = ["agent_at_hand", "required_of"]
