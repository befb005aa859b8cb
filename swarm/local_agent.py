"""Talks to the process that runs on a home, over loopback HTTP with the home's token.

A verb answers with lines of JSON: progress, then one result or error. ``GoneError`` and ``BrokenOffError`` mean that
the process ended meanwhile: the caller then does it itself. This side needs only a little of the standard library, so
that ``status`` is quick.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

from swarm import errors
from swarm.errors import AetherError, IncompleteError, UnreachableError
from swarm.loopback import Answer, answer, ask, connect

if TYPE_CHECKING:
    from io import BufferedReader

    from swarm.standing import AgentInfo

CONNECT_TIMEOUT_S: Final = 10.0
LINE_MAX_BYTES: Final = 64 * 1024 * 1024
READ_BYTES: Final = 256 * 1024
_ALL: Final = (
    errors.UsageError,
    errors.NotFoundError,
    errors.NotAllowedError,
    errors.ConflictError,
    errors.IntegrityError,
    errors.UnreachableError,
    errors.IncompleteError,
    errors.FullError,
)
_BY_EXIT_CODE: Final[dict[int, type[AetherError]]] = {error.exit_code: error for error in _ALL}
_BY_STATUS: Final[dict[int, type[AetherError]]] = {error.http_status: error for error in _ALL}


def kind_of_exit_code(exit_code: object) -> type[AetherError]:
    """The exception that an exit code stands for."""
    return _BY_EXIT_CODE.get(exit_code, AetherError) if isinstance(exit_code, int) else AetherError


class GoneError(UnreachableError):
    """The process on this home ended before it took the request."""


class BrokenOffError(UnreachableError):
    """The process on this home took the request and did not answer it to the end."""


class AgentClient:
    """Calls the agent that ``info`` tells of, one connection a call."""

    def __init__(self, info: AgentInfo) -> None:
        self._info = info

    def call(
        self, verb: str, arguments: Mapping[str, Any], progress: Callable[[dict[str, Any]], None]
    ) -> dict[str, Any]:
        """The verb's result. Raises what the agent refused with, and GoneError."""
        with self._asked("POST", f"/api/v1/agent/{verb}", arguments) as answered:
            for line in _lines(answered):
                event = told_by(line)
                if event.get("event") == "done" and isinstance(event.get("result"), dict):
                    return dict(event["result"])
                progress(event)
        raise BrokenOffError(
            "the process that runs on this home ended before it was done; see its log, repeat the command"
        )

    def parts(self, verb: str, arguments: Mapping[str, Any]) -> Iterator[bytes]:
        """The bytes that a verb answers with. IncompleteError when they end too soon."""
        come = 0
        try:
            with self._asked("POST", f"/api/v1/agent/{verb}", arguments) as answered:
                while data := answered.body.read1(READ_BYTES):
                    come += len(data)
                    yield data
        except BrokenOffError as error:
            if not come:
                raise
            raise IncompleteError(f"only {come} bytes came before the agent ended: repeat the command") from error

    @contextmanager
    def file(self, path: str) -> Iterator[BufferedReader]:
        """The body that a path is answered with, as a file; it ends in a ConnectionError where the agent ends."""
        with self._asked("GET", path, None) as answered:
            yield answered.body

    def is_alive(self) -> bool:
        """Whether it answers at all."""
        try:
            with connect(self._info.port, CONNECT_TIMEOUT_S) as connection:
                ask(connection, "GET", "/livez", {})
                return answer(connection).status == 200
        except OSError:
            return False

    def lines(self, path: str) -> Iterator[bytes]:
        """The lines that a path is answered with, as they come. UnreachableError when the agent ends."""
        with self._asked("GET", path, None) as answered:
            yield from _lines(answered)
        raise BrokenOffError("the process that runs on this home ended the answer: ask again to go on")

    @contextmanager
    def _asked(self, method: str, path: str, arguments: Mapping[str, Any] | None) -> Iterator[Answer]:
        headers = {"Authorization": f"Bearer {self._info.token}", "Content-Type": "application/json"}
        body = json.dumps(arguments).encode() if arguments is not None else b""
        begun = False
        try:
            with connect(self._info.port, CONNECT_TIMEOUT_S) as connection:
                # The agent may rightly be silent for long, and its end closes the connection.
                connection.settimeout(None)
                ask(connection, method, path, headers, body)
                begun = True
                answered = answer(connection)
                if answered.status != 200:
                    raise refusal_of(answered.status, answered.body.read())
                yield answered
        except BrokenPipeError:
            raise  # Of our own output: reading does not raise it.
        except (ConnectionError, TimeoutError) as error:
            kind = BrokenOffError if begun else GoneError
            raise kind(f"the process that runs on this home does not answer ({error}); see its log") from error


def _lines(answered: Answer) -> Iterator[bytes]:
    while line := answered.body.readline(LINE_MAX_BYTES):
        yield line


def told_by(line: bytes) -> dict[str, Any]:
    """What a line of an answer tells. Raises the error that it tells of, and BrokenOffError for half a line."""
    try:
        event = json.loads(line)
    except ValueError as error:
        raise BrokenOffError(
            "the process that runs on this home broke off its answer; see its log, repeat the command"
        ) from error
    if not isinstance(event, dict):
        return {}
    if event.get("event") == "error":
        kind = kind_of_exit_code(event.get("exit_code"))
        raise kind(str(event.get("detail", "the agent failed and does not say why: see its log")))
    return event


def refusal_of(status: int, data: bytes) -> AetherError:
    """The exception that an answer with a failing status stands for."""
    try:
        document = json.loads(data)
    except ValueError:
        document = {}
    detail = document.get("detail") if isinstance(document, dict) else None
    kind = _BY_STATUS.get(status, AetherError)
    return kind(str(detail or f"the agent answered with status {status}: see its log"))
