"""``swarm.Client`` and ``swarm.AsyncClient``: the agent of a home, from Python.

    from swarm import Client

    client = Client()                                     # of AETHERFS_HOME, or of the home that is given
    client.publish("roads", "maps/roads:v2", progress=print)
    client.subscribe("maps/roads:stable", "/srv/roads")
    for event in client.watch("maps/roads:stable"):
        ...

Every method is a call of ``swarm.agent_methods``, sent to the process that runs on the home; the results are the types
of ``swarm.agent_messages``, the failures the exceptions of ``swarm.errors``. UnreachableError says that no process runs
there. ``progress`` is called with each report while a call lasts. Both are cheap to make, and hold no connection.
"""

from __future__ import annotations

import inspect
import os
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Coroutine, Iterator, Mapping
from contextlib import aclosing
from functools import wraps
from pathlib import Path
from typing import Any, Concatenate, Final, ParamSpec, Self, TypeVar

import msgspec

from swarm import agent_methods
from swarm.agent_messages import SubscriptionChanged, TagMoved
from swarm.agent_methods import Call
from swarm.config import DEFAULT_HOME, HOME_VARIABLE
from swarm.errors import UnreachableError
from swarm.local_agent import AgentClient, BrokenOffError, GoneError, refusal_of, told_by
from swarm.standing import AgentInfo, agent_of

P = ParamSpec("P")
R = TypeVar("R")
EVENT_KINDS: Final = {"tag": TagMoved, "subscription": SubscriptionChanged}
LINE_MAX_BYTES: Final = 64 * 1024 * 1024
Event = TagMoved | SubscriptionChanged
Progress = Callable[[dict[str, Any]], None]


class _Home:
    """The home that a client is for."""

    def __init__(self, home: str | os.PathLike[str] | None = None) -> None:
        given = os.fspath(home) if home is not None else os.environ.get(HOME_VARIABLE) or DEFAULT_HOME
        self.home = Path(os.path.abspath(os.path.expanduser(given)))

    def _agent(self) -> AgentInfo:
        info = agent_of(self.home)
        if info is None:
            raise UnreachableError(f"no process runs on {self.home}: start `aetherfs peer` or `aetherfs up -d` on it")
        return info

    def __repr__(self) -> str:
        return f"{type(self).__name__}({str(self.home)!r})"


def _shown(make: Callable[..., Any]) -> inspect.Signature:
    """How the method of a call is shown: with its object, and giving the result."""
    signature = inspect.signature(make)
    own = inspect.Parameter("self", inspect.Parameter.POSITIONAL_ONLY)
    result = str(signature.return_annotation).removeprefix("Call[").removesuffix("]")
    return signature.replace(parameters=[own, *signature.parameters.values()], return_annotation=result)


def _sync(make: Callable[P, Call[R]]) -> Callable[Concatenate[Client, P], R]:
    @wraps(make)
    def method(self: Client, /, *args: P.args, **kwargs: P.kwargs) -> R:
        call = make(*args, **kwargs)
        told = AgentClient(self._agent()).call(call.verb, call.arguments, call.progress)
        return call.result_of(told)

    method.__signature__ = _shown(make)  # type: ignore[attr-defined]
    return method


def _async(make: Callable[P, Call[R]]) -> Callable[Concatenate[AsyncClient, P], Coroutine[Any, Any, R]]:
    @wraps(make)
    async def method(self: AsyncClient, /, *args: P.args, **kwargs: P.kwargs) -> R:
        call = make(*args, **kwargs)
        return call.result_of(await self._told(call.verb, call.arguments, call.progress))

    method.__signature__ = _shown(make)  # type: ignore[attr-defined]
    return method


class Client(_Home):
    """Calls that return when they are done."""

    publish = _sync(agent_methods.publish)
    pull = _sync(agent_methods.pull)
    datasets = _sync(agent_methods.datasets)
    files = _sync(agent_methods.files)
    inspect = _sync(agent_methods.inspect)
    history = _sync(agent_methods.history)
    verify = _sync(agent_methods.verify)
    tag = _sync(agent_methods.tag)
    rollback = _sync(agent_methods.rollback)
    rm = _sync(agent_methods.rm)
    pin = _sync(agent_methods.pin)
    unpin = _sync(agent_methods.unpin)
    keep = _sync(agent_methods.keep)
    subscribe = _sync(agent_methods.subscribe)
    unsubscribe = _sync(agent_methods.unsubscribe)
    subscription = _sync(agent_methods.subscription)
    subscriptions = _sync(agent_methods.subscriptions)
    pause = _sync(agent_methods.pause)
    resume = _sync(agent_methods.resume)
    status = _sync(agent_methods.status)
    shutdown = _sync(agent_methods.shutdown)

    def read(self, ref: str) -> bytes:
        """All bytes of one file of a version: ``[scope/]name:tag/path``."""
        return b"".join(self.parts(ref))

    def parts(self, ref: str) -> Iterator[bytes]:
        """The bytes of one file as they come."""
        return AgentClient(self._agent()).parts("cat", {"ref": ref})

    def watch(self, ref: str = "") -> Iterator[Event]:
        """What is so now and then each change: of a tag and its subscriptions, or of all. Ends with UnreachableError
        when the agent does.
        """
        kind = b""
        for line in AgentClient(self._agent()).lines(agent_methods.watch_path(ref)):
            kind, event = _event(kind, line)
            if event is not None:
                yield event


class AsyncClient(_Home):
    """The same calls, awaited. One that is cancelled is broken off at the agent too, but for a subscription."""

    publish = _async(agent_methods.publish)
    pull = _async(agent_methods.pull)
    datasets = _async(agent_methods.datasets)
    files = _async(agent_methods.files)
    inspect = _async(agent_methods.inspect)
    history = _async(agent_methods.history)
    verify = _async(agent_methods.verify)
    tag = _async(agent_methods.tag)
    rollback = _async(agent_methods.rollback)
    rm = _async(agent_methods.rm)
    pin = _async(agent_methods.pin)
    unpin = _async(agent_methods.unpin)
    keep = _async(agent_methods.keep)
    subscribe = _async(agent_methods.subscribe)
    unsubscribe = _async(agent_methods.unsubscribe)
    subscription = _async(agent_methods.subscription)
    subscriptions = _async(agent_methods.subscriptions)
    pause = _async(agent_methods.pause)
    resume = _async(agent_methods.resume)
    status = _async(agent_methods.status)
    shutdown = _async(agent_methods.shutdown)

    async def __aenter__(self) -> Self:
        """For who is used to it: there is nothing to open or to close."""
        return self

    async def __aexit__(self, *_failure: object) -> None: ...

    async def read(self, ref: str) -> bytes:
        """All bytes of one file of a version: ``[scope/]name:tag/path``."""
        return b"".join([part async for part in self.parts(ref)])

    async def parts(self, ref: str) -> AsyncIterator[bytes]:
        """The bytes of one file as they come."""
        async with aclosing(self._stream("POST", agent_methods.path_of("cat"), {"ref": ref})) as parts:
            async for part in parts:
                yield part

    async def watch(self, ref: str = "") -> AsyncIterator[Event]:
        """See ``Client.watch``."""
        kind = b""
        async with aclosing(self._stream("GET", agent_methods.watch_path(ref), None)) as parts:
            async for line in _lines(parts):
                kind, event = _event(kind, line)
                if event is not None:
                    yield event
        raise BrokenOffError("the process that runs on this home ended the watch: watch again to go on")

    async def _told(self, verb: str, arguments: Mapping[str, Any], progress: Progress) -> dict[str, Any]:
        async with aclosing(self._stream("POST", agent_methods.path_of(verb), arguments)) as parts:
            async for line in _lines(parts):
                told = told_by(line)
                if told.get("event") == "done":
                    return dict(told["result"])
                progress(told)
        raise BrokenOffError("the process that runs on this home ended before it was done; see its log, repeat")

    async def _stream(self, method: str, path: str, arguments: Mapping[str, Any] | None) -> AsyncGenerator[bytes, None]:
        import aiohttp

        info, begun = self._agent(), False
        headers = {"Authorization": f"Bearer {info.token}"}
        try:
            async with (
                aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=None), auto_decompress=False) as session,
                session.request(
                    method, f"http://127.0.0.1:{info.port}{path}", json=arguments, headers=headers
                ) as answer,
            ):
                begun = True
                if answer.status != 200:
                    raise refusal_of(answer.status, await answer.read())
                async for part in answer.content.iter_any():
                    yield part
        except (aiohttp.ClientError, ConnectionError) as error:
            kind = BrokenOffError if begun else GoneError
            raise kind(f"the process that runs on {self.home} does not answer ({error}); see its log") from error


async def _lines(parts: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    pending = b""
    async for part in parts:
        *lines, pending = (pending + part).split(b"\n")
        if len(pending) > LINE_MAX_BYTES:
            raise BrokenOffError("the process that runs on this home sends a line without end")
        for line in lines:
            yield line


def _event(kind: bytes, line: bytes) -> tuple[bytes, Event | None]:
    """The kind that stands now, and the event that a line completes."""
    if line.startswith(b"event: "):
        return line[len(b"event: ") :].strip(), None
    if line.startswith(b"data: ") and (wanted := EVENT_KINDS.get(kind.decode())) is not None:
        return b"", msgspec.json.decode(line[len(b"data: ") :], type=wanted)
    return kind, None
