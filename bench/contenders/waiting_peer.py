"""The shell of a waiting peer: an engine that obeys lines of JSON on a control port of 127.0.0.1.

Run by the interpreter that has the contender's package, so that nothing here needs more than the standard library.
"""

from __future__ import annotations

import json
import signal
import socketserver
from collections.abc import Mapping
from typing import Any, Protocol


class Engine(Protocol):
    """One peer of a contender."""

    def address(self) -> str:
        """What others need to reach it; empty where a tracker tells them."""

    def join(self, addresses: list[str]) -> None:
        """Know those peers, and be connected with them where the contender can."""

    def offer(self, source: str) -> str:
        """Offer a file; what to ask for."""

    def get(self, offered: str, path: str) -> None:
        """Return when all of it is verified and at that path."""

    def sent_bytes(self) -> int | None:
        """Payload uploaded so far, where it is counted."""


def obey(engine: Engine, command: Mapping[str, Any]) -> object:
    """What the engine answers to a command of one key."""
    ((verb, value),) = command.items()
    match verb:
        case "address":
            return engine.address()
        case "join":
            engine.join(list(value))
        case "offer":
            return engine.offer(value)
        case "get":
            engine.get(value["offered"], value["path"])
        case "sent":
            return engine.sent_bytes()
        case _:
            raise ValueError(f"there is no command {verb}")
    return None


def serve(engine: Engine, port: int) -> None:
    """Obey until the process is ended; the line on standard output says that it listens."""
    # Some libraries take the signal for themselves, and then nobody ends.
    signal.signal(signal.SIGTERM, signal.SIG_DFL)

    class Commands(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            for line in self.rfile:
                try:
                    answer: dict[str, object] = {"answer": obey(engine, json.loads(line))}
                except Exception as error:  # Whatever it is, the bench tells it.
                    answer = {"failed": f"{type(error).__name__}: {error}"}
                self.wfile.write(json.dumps(answer).encode() + b"\n")

    socketserver.ThreadingTCPServer.allow_reuse_address = True
    socketserver.ThreadingTCPServer.daemon_threads = True
    with socketserver.ThreadingTCPServer(("127.0.0.1", port), Commands) as server:
        print("ready", flush=True)
        server.serve_forever()
