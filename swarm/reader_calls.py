"""Calls of a program to the agent that reads for it: the one that runs on its home, or one started for it.

Blocking, and safe to use from several threads: each call has a connection of its own. An agent that went away is looked
for again. Refusals are the exceptions that a program expects of files (``OSError`` and its like).
"""

from __future__ import annotations

import atexit
import contextlib
import errno
import http.client
import json
import os
import subprocess
import sys
import threading
import time
import weakref
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NoReturn
from urllib.parse import urlsplit

from swarm.config import FILE_NAME, load
from swarm.errors import AetherError, UsageError
from swarm.local_agent import AgentClient
from swarm.named_signers import required_in
from swarm.signers import parse_required
from swarm.standing import AgentInfo, agent_of

if TYPE_CHECKING:
    from swarm.config import Settings

TIMEOUT_S: Final = 120.0
START_S: Final = 60.0
_started: dict[str, subprocess.Popen[str]] = {}
_starting: Final = threading.Lock()


class ReaderCalls:
    """Calls to one agent: at ``address`` (``http://host:port``), or on ``home``, by default AETHERFS_HOME.
    ``starts_agent``: where none runs on the home, one is started. Where the settings require a signer (``settings``; by
    default the home's and the environment's), an agent that takes entries of others too is refused.
    """

    def __init__(
        self,
        home: str | None = None,
        address: str | None = None,
        *,
        starts_agent: bool = True,
        settings: Settings | None = None,
    ) -> None:
        settings = settings or load({"home": home} if home else {}, os.environ, None)
        self._home = str(settings.home)
        self._required = required_in(settings) if settings.require_signer else None
        self._trusted: AgentInfo | None = None
        self._address = address
        self._starts_agent = starts_agent
        self._resting = _Resting()
        weakref.finalize(self, self._resting.close)

    def body(self, target: str, headers: Mapping[str, str] | None = None) -> bytes:
        """The whole body of the answer to a GET. A refusal is an exception."""
        with self._answer(target, headers or {}) as response:
            return response.read()

    def json(self, target: str) -> Any:
        return json.loads(self.body(target))

    def parts(self, target: str, part_bytes: int) -> Iterator[bytes]:
        """The same, part by part."""
        with self._answer(target, {}) as response:
            while part := response.read(part_bytes):
                yield part
            if response.length:
                raise http.client.IncompleteRead(b"", response.length)

    @contextlib.contextmanager
    def _answer(self, target: str, headers: Mapping[str, str]) -> Iterator[http.client.HTTPResponse]:
        """An answer to be read to its end; its connection then rests for the next call."""
        connection, response = self._ask(target, headers)
        is_whole = False
        try:
            if response.status >= 400:
                _refuse(response)
            yield response
            is_whole = response.isclosed() and not response.will_close
        except http.client.HTTPException as error:
            raise ConnectionError(f"the agent broke off: {error or type(error).__name__}") from error
        finally:
            if is_whole:
                self._resting.put(connection)
            else:
                connection.close()

    def _ask(
        self, target: str, headers: Mapping[str, str]
    ) -> tuple[http.client.HTTPConnection, http.client.HTTPResponse]:
        """Ask over a connection that rests, or a new one when that is gone."""
        while True:
            connection, is_new = self._resting.take(), False
            if connection is None:
                connection, is_new = http.client.HTTPConnection(*self._found(), timeout=TIMEOUT_S), True
            try:
                connection.request("GET", target, headers=dict(headers))
                return connection, connection.getresponse()
            except (OSError, http.client.HTTPException) as error:
                connection.close()
                if is_new:
                    raise ConnectionError(f"the agent does not answer: {error or type(error).__name__}") from error

    def _found(self) -> tuple[str, int]:
        """Where the agent answers, once it is seen to require what is required here."""
        if self._address is not None:
            parts = urlsplit(self._address)
            if self._required is not None:
                info = agent_of(Path(self._home))
                self._check(info if info is not None and info.port == parts.port else None)
            return parts.hostname or "127.0.0.1", parts.port or 80
        with _starting:
            info = _agent(self._home, self._starts_agent)
            self._check(info)
            return "127.0.0.1", info.port

    def _check(self, info: AgentInfo | None) -> None:
        """PermissionError for an agent that takes entries that are not to be taken here. Each is asked once."""
        if self._required is None or (info is not None and info == self._trusted):
            return
        if info is None:
            raise PermissionError(
                errno.EACCES,
                f"a signer is required (see `aetherfs config`), and the agent at {self._address} is not that of "
                f"{self._home}, so it cannot be asked whether it does too: give `home` in place of `agent`",
            )
        told = _status(info)
        try:
            of_agent = parse_required(str(told.get("require_signer", "")), {}, str(told.get("signer_moves", "own")))
        except UsageError:
            of_agent = None
        if of_agent is None or not of_agent.holds_all_of(self._required):
            raise PermissionError(
                errno.EACCES,
                f"a signer is required here, and the agent on {self._home} takes others' entries too: set "
                f"require_signer in {self._home}/{FILE_NAME}, and start the agent again",
            )
        self._trusted = info


class _Resting:
    """Connections that no call is under way on: of this process, as one that was forked off must not share them."""

    def __init__(self) -> None:
        self._connections: list[http.client.HTTPConnection] = []
        self._pid = os.getpid()

    def take(self) -> http.client.HTTPConnection | None:
        if self._pid != os.getpid():
            self._connections, self._pid = [], os.getpid()
        try:
            return self._connections.pop()
        except IndexError:
            return None

    def put(self, connection: http.client.HTTPConnection) -> None:
        self._connections.append(connection)

    def close(self) -> None:
        while (connection := self.take()) is not None:
            connection.close()


def _status(info: AgentInfo) -> dict[str, Any]:
    """What an agent tells of itself. ConnectionError."""
    try:
        return AgentClient(info).call("status", {}, lambda event: None)
    except AetherError as error:
        raise ConnectionError(str(error)) from error


def _agent(home: str, starts_agent: bool) -> AgentInfo:
    """The agent on a home, started if none runs."""
    deadline = time.monotonic() + START_S
    while True:
        info = agent_of(Path(home))
        if info is not None:
            return info
        if not starts_agent:
            raise ConnectionError(f"no agent runs on {home}: start `aetherfs peer`")
        words = _start(home)
        if words != "ready" and time.monotonic() > deadline:
            raise PermissionError(errno.EACCES, words)
        if words != "ready" and "another process" not in words:
            raise PermissionError(errno.EACCES, words)


def _start(home: str) -> str:
    """Start a peer on a home, which ends with this process: what it says."""
    process = subprocess.Popen(
        [sys.executable, "-m", "swarm.attached"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**os.environ, "AETHERFS_HOME": home},
        text=True,
    )
    assert process.stdout is not None
    words = process.stdout.readline().strip()
    if words == "ready":
        _started[home] = process
        atexit.register(_end, process)
    else:
        _end(process)
    return words or "the peer that was to read for this program ended at once: try `aetherfs status`"


def _end(process: subprocess.Popen[str]) -> None:
    for stream in (process.stdin, process.stdout):
        if stream is not None:
            with contextlib.suppress(OSError):
                stream.close()
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(10)


def _refuse(response: http.client.HTTPResponse) -> NoReturn:
    """The exception that a refusal stands for."""
    try:
        detail = str(json.loads(response.read()).get("detail", "")) or response.reason
    except (ValueError, AttributeError, OSError, http.client.HTTPException):
        detail = response.reason
    match response.status:
        case 404:
            raise FileNotFoundError(errno.ENOENT, detail)
        case 403 | 401:
            raise PermissionError(errno.EACCES, detail)
        case 400:
            raise ValueError(detail)
        case 504:
            raise TimeoutError(errno.ETIMEDOUT, detail)
        case 503:
            raise ConnectionError(detail)
        case _:
            raise OSError(errno.EIO, detail)
