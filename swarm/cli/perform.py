"""A verb done by whoever can: the agent that runs on this home, or a short-lived peer of our own.

A second command on a home joins the first, since that one's agent answers while it runs. Between two such processes
there is a moment when the lock is taken and nobody answers: it is waited for, not failed on.
"""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Coroutine, Mapping
from typing import TYPE_CHECKING, Any, BinaryIO, Final, TypeVar

from swarm.cli.output import write_all
from swarm.cli.program import Program
from swarm.cli.progress import showing
from swarm.errors import ConflictError, UnreachableError
from swarm.local_agent import AgentClient, BrokenOffError, GoneError

if TYPE_CHECKING:
    from swarm.peer.node import PeerNode
    from swarm.standing import AgentInfo

HANDOVER_S: Final = 20.0
RETRY_S: Final = 0.1
# Done twice these are not what they are when done once: a repetition is told since when it may have been done.
MOVING: Final = frozenset({"publish", "tag", "rollback", "rm"})
# Who reads may require signers.
READING: Final = frozenset(
    {"pull", "cat", "ls", "inspect", "verify", "export", "subscribe", "explain-version", "tables"}
)
# These need a process that stays: there is nothing to tell, or nobody to tell it, without one.
NEEDS_AGENT: Final = frozenset({"status", "store-cost", "token", "rotate", "repair", "people"})

T = TypeVar("T")
Report = Callable[[dict[str, Any]], None]


class LockedError(ConflictError):
    """Another process has this home and does not answer yet, or any more."""


def perform(program: Program, verb: str, arguments: Mapping[str, Any]) -> dict[str, Any]:
    """The result of a verb. Progress is shown meanwhile."""
    asked, began = dict(arguments) | required_of(program, verb), int(time.time())
    with showing(program.output, verb) as progress:

        def ask(client: AgentClient) -> dict[str, Any]:
            try:
                return client.call(verb, asked, progress)
            except BrokenOffError:
                if verb in MOVING:
                    asked["since"] = began
                raise

        async def do(node: PeerNode) -> dict[str, Any]:
            from swarm.peer import operations

            return await operations.run(node, verb, asked, progress)

        return _by_either(program, verb, ask, do)


def required_of(program: Program, verb: str) -> dict[str, str]:
    """What a verb that reads is told of required signers: their key ids."""
    return signers_of(program) if verb in READING else {}


def signers_of(program: Program) -> dict[str, str]:
    """What the settings say of required signers, as verbs are told; nothing where none is required."""
    if not program.settings.require_signer:
        return {}
    from swarm.named_signers import required_in

    required = required_in(program.settings)
    return required.told() if required is not None else {}


def perform_cat(program: Program, arguments: Mapping[str, Any], sink: BinaryIO) -> None:
    """Write the bytes of one file to ``sink``."""
    perform_stream(program, "cat", arguments, sink)


def perform_stream(program: Program, verb: str, arguments: Mapping[str, Any], sink: BinaryIO) -> None:
    """Write the bytes that a verb answers with to ``sink``."""

    arguments = dict(arguments) | required_of(program, verb)

    async def do(node: PeerNode) -> None:
        import asyncio

        from swarm.peer import operations

        async for data in operations.stream(node, verb, arguments):
            await asyncio.to_thread(write_all, sink, data)

    def ask(client: AgentClient) -> None:
        for data in client.parts(verb, arguments):
            write_all(sink, data)

    _by_either(program, verb, ask, do)


def run_interruptible(work: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine to its end. SIGINT and SIGTERM cancel it, and are a KeyboardInterrupt once it has cleaned up."""
    import asyncio

    async def guarded() -> T:
        task = asyncio.current_task()
        if task is not None:
            asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
        return await work

    previous = signal.getsignal(signal.SIGTERM)
    try:
        return asyncio.run(guarded())
    except asyncio.CancelledError as error:
        raise KeyboardInterrupt from error
    finally:
        signal.signal(signal.SIGTERM, previous)


def _by_either(
    program: Program, verb: str, ask: Callable[[AgentClient], T], do: Callable[[PeerNode], Coroutine[Any, Any, T]]
) -> T:
    deadline = time.monotonic() + HANDOVER_S
    while True:
        info = program.agent()
        try:
            if info is not None:
                return ask(AgentClient(info))
            if verb in NEEDS_AGENT:
                raise UnreachableError(
                    f"no process runs on {program.settings.home}: start one with `aetherfs up -d` or `aetherfs peer`, "
                    "or set AETHERFS_HOME"
                )
            program.home.check_enrolled()
            return run_interruptible(_alone(program, do))
        except BrokenOffError:
            if not _ends(program, info):
                raise
        except (GoneError, LockedError):
            if time.monotonic() > deadline:
                raise
        time.sleep(RETRY_S)


def _ends(program: Program, info: AgentInfo | None) -> bool:
    """Whether the agent that broke off its answer ends. One that goes on has a defect: asking again would not help."""
    deadline = time.monotonic() + HANDOVER_S
    while program.agent() == info:
        if time.monotonic() > deadline or (info is not None and AgentClient(info).is_alive()):
            return False
        time.sleep(RETRY_S)
    return True


async def _alone(program: Program, do: Callable[[PeerNode], Coroutine[Any, Any, T]]) -> T:
    """As a short-lived peer on free ports, ended in every case."""
    from swarm.cli.roles import node_settings
    from swarm.peer.agent import start_peer

    program.start_logging()
    try:
        node = await start_peer(node_settings(program, port_base=0))
    except ConflictError as error:
        raise LockedError(str(error)) from error
    try:
        return await do(node)
    finally:
        await node.close()
