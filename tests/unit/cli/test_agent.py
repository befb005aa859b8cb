"""The client of the agent against a real server on loopback, which answers as agents do, and as broken ones do."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

import pytest

from swarm.cli.demo.place import free_ports
from swarm.cli.output import write_all
from swarm.errors import AetherError, IncompleteError, NotFoundError, UsageError
from swarm.local_agent import AgentClient, BrokenOffError, GoneError, kind_of_exit_code
from swarm.standing import AgentInfo

TOKEN = "the-token"


class Handler(BaseHTTPRequestHandler):
    """Answers with what the test put on the server."""

    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        server: Any = self.server
        body = self.rfile.read(int(self.headers["Content-Length"]))
        server.asked.append((self.path, self.headers["Authorization"], json.loads(body)))
        self.send_response(server.status)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        for part in server.parts:
            self.wfile.write(b"%x\r\n%s\r\n" % (len(part), part))
        if server.whole:
            self.wfile.write(b"0\r\n\r\n")
        self.close_connection = True

    def log_message(self, format: str, *args: Any) -> None:
        return


@contextmanager
def _agent(parts: list[bytes], *, status: int = 200, whole: bool = True) -> Iterator[tuple[AgentClient, Any]]:
    server: Any = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.asked, server.parts, server.status, server.whole = [], parts, status, whole
    thread = Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield AgentClient(AgentInfo(1, server.server_address[1], TOKEN)), server
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _line(**event: object) -> bytes:
    return json.dumps(event).encode() + b"\n"


def test_a_verb_yields_progress_and_its_result() -> None:
    reports: list[dict[str, Any]] = []
    parts = [_line(event="progress", phase="scan")[:10], _line(event="progress", phase="scan")[10:]]
    with _agent([*parts, _line(event="done", result={"serial": 3})]) as (client, server):
        assert client.call("publish", {"path": "/x"}, reports.append) == {"serial": 3}
    assert reports == [{"event": "progress", "phase": "scan"}]
    assert server.asked == [("/api/v1/agent/publish", f"Bearer {TOKEN}", {"path": "/x"})]


@pytest.mark.parametrize("exit_code", range(2, 10))
def test_an_error_comes_back_as_its_exception(exit_code: int) -> None:
    with (
        _agent([_line(event="error", exit_code=exit_code, detail="why")]) as (client, _),
        pytest.raises(kind_of_exit_code(exit_code), match="why") as caught,
    ):
        client.call("pull", {}, print)
    assert caught.value.exit_code == exit_code


@pytest.mark.parametrize("exit_code", [0, 1, 99, "x", None])
def test_an_error_with_an_odd_code_is_a_failure(exit_code: object) -> None:
    with _agent([_line(event="error", exit_code=exit_code)]) as (client, _), pytest.raises(AetherError) as caught:
        client.call("pull", {}, print)
    assert type(caught.value) is AetherError


@pytest.mark.parametrize("parts", [[], [_line(event="progress")], [b'{"event":"done","res'], [b"[]\n"]])
@pytest.mark.parametrize("whole", [True, False])
def test_an_answer_that_breaks_off_is_told_from_one_never_begun(parts: list[bytes], whole: bool) -> None:
    with _agent(parts, whole=whole) as (client, _), pytest.raises(BrokenOffError):
        client.call("pull", {}, lambda _: None)


def test_nobody_there() -> None:
    client = AgentClient(AgentInfo(1, free_ports(), TOKEN))
    with pytest.raises(GoneError):
        client.call("status", {}, print)
    assert not client.is_alive()


def test_cat_gives_the_bytes() -> None:
    with _agent([b"ab", b"c" * 100_000]) as (client, _):
        assert b"".join(client.parts("cat", {"ref": "a:b/c"})) == b"ab" + b"c" * 100_000


def test_cat_cut_short_is_partial() -> None:
    with _agent([b"ab"], whole=False) as (client, _), pytest.raises(IncompleteError, match="only 2 bytes"):
        list(client.parts("cat", {"ref": "a:b/c"}))


@pytest.mark.parametrize(
    ("status", "kind"), [(404, NotFoundError), (400, UsageError), (500, AetherError), (418, AetherError)]
)
@pytest.mark.parametrize(
    ("body", "said"), [(b'{"detail":"no such file"}', "no such file"), (b"<html>", "status"), (b"[]", "status")]
)
def test_a_refusal_is_a_problem_document(status: int, kind: type[AetherError], body: bytes, said: str) -> None:
    with _agent([body], status=status) as (client, _), pytest.raises(kind, match=said):
        list(client.parts("cat", {"ref": "a:b/c"}))


def test_a_closed_sink_is_the_readers_doing_not_the_agents() -> None:
    class Closed(io.BytesIO):
        def write(self, data: Any) -> int:
            raise BrokenPipeError

    with _agent([b"ab"]) as (client, _), pytest.raises(BrokenPipeError):
        write_all(Closed(), next(client.parts("cat", {"ref": "a:b/c"})))


def test_what_asks_an_agent_loads_little() -> None:
    """A command that a standing process carries out starts without what only that process needs."""
    code = "import sys, swarm.cli.data, swarm.cli.perform; print(*{m.partition('.')[0] for m in sys.modules})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    unwanted = {"asyncio", "cryptography", "aiohttp", "nacl", "blake3", "msgspec", "http", "email", "ssl", "logging"}
    assert not unwanted & set(done.stdout.split())
