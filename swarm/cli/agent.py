"""Talks to the process that runs on a home, over loopback HTTP with the home's token.

A verb answers with lines of JSON: progress, then one result or error. ``GoneError`` and ``BrokenOffError`` mean that
the process ended meanwhile: the caller then does it itself. This side needs nothing but the standard library, so that
``status`` is quick.
"""

from __future__ import annotations

import http.client
import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, BinaryIO, Final

from swarm import errors
from swarm.cli.output import write_all
from swarm.errors import AetherError, IncompleteError, UnreachableError

if TYPE_CHECKING:
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
        with self._post(verb, arguments) as response:
            for line in _lines(response):
                event = _parsed(line)
                if event.get("event") == "done" and isinstance(event.get("result"), dict):
                    return dict(event["result"])
                if event.get("event") == "error":
                    kind = kind_of_exit_code(event.get("exit_code"))
                    raise kind(str(event.get("detail", "the agent failed and does not say why: see its log")))
                progress(event)
        raise BrokenOffError(
            "the process that runs on this home ended before it was done; see its log, repeat the command"
        )

    def cat(self, arguments: Mapping[str, Any], sink: BinaryIO) -> None:
        """Write the bytes of a file to ``sink``. IncompleteError when they end too soon."""
        written = 0
        try:
            with self._post("cat", arguments) as response:
                while data := response.read1(READ_BYTES):
                    written += write_all(sink, data)
        except BrokenOffError as error:
            if not written:
                raise
            raise IncompleteError(f"only {written} bytes came before the agent ended: repeat the command") from error

    def is_alive(self) -> bool:
        """Whether it answers at all."""
        connection = http.client.HTTPConnection("127.0.0.1", self._info.port, timeout=CONNECT_TIMEOUT_S)
        try:
            connection.request("GET", "/livez")
            return connection.getresponse().status == 200
        except (http.client.HTTPException, OSError):
            return False
        finally:
            connection.close()

    def shutdown(self) -> None:
        """Ask the agent to end. It answers at once and ends soon."""
        with self._post("shutdown", {}) as response:
            response.read()

    @contextmanager
    def _post(self, verb: str, arguments: Mapping[str, Any]) -> Iterator[http.client.HTTPResponse]:
        connection = http.client.HTTPConnection("127.0.0.1", self._info.port, timeout=CONNECT_TIMEOUT_S)
        headers = {"Authorization": f"Bearer {self._info.token}", "Content-Type": "application/json"}
        begun = False
        try:
            connection.connect()
            # The agent may rightly be silent for long, and its end closes the connection.
            connection.sock.settimeout(None)
            connection.request("POST", f"/api/v1/agent/{verb}", json.dumps(arguments).encode(), headers)
            begun = True
            response = connection.getresponse()
            if response.status != 200:
                raise _refusal(response)
            yield response
        except BrokenPipeError:
            raise  # Of our own output: reading does not raise it.
        except (http.client.HTTPException, ConnectionError, TimeoutError) as error:
            kind = BrokenOffError if begun else GoneError
            raise kind(f"the process that runs on this home does not answer ({error}); see its log") from error
        finally:
            connection.close()


def _lines(response: http.client.HTTPResponse) -> Iterator[bytes]:
    while line := response.readline(LINE_MAX_BYTES):
        yield line


def _parsed(line: bytes) -> dict[str, Any]:
    try:
        event = json.loads(line)
    except ValueError as error:
        raise BrokenOffError(
            "the process that runs on this home broke off its answer; see its log, repeat the command"
        ) from error
    return event if isinstance(event, dict) else {}


def _refusal(response: http.client.HTTPResponse) -> AetherError:
    data = response.read()
    try:
        document = json.loads(data)
    except ValueError:
        document = {}
    detail = document.get("detail") if isinstance(document, dict) else None
    kind = _BY_STATUS.get(response.status, AetherError)
    return kind(str(detail or f"the agent answered with status {response.status}: see its log"))
