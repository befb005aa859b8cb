"""A waiting libtorrent session, run by the interpreter that has the package: ADDRESS:PORT CONTROL-PORT SETTINGS.

Commands are lines of JSON on the control port of 127.0.0.1. {"add": file, "save": folder, "peers": [[address, port]],
"flags": [names]} is answered when all is there and verified; {"sent": true} with the payload bytes uploaded so far.
{"make": folder, "part": bytes, "file": file} hashes a folder and writes its metainfo file (version 1).
"""

from __future__ import annotations

import importlib
import json
import pathlib
import socketserver
import sys
import threading
from typing import Any

lt: Any = importlib.import_module("libtorrent")
WAIT_MS = 600_000
BASE = {
    "enable_dht": False,
    "enable_lsd": False,
    "enable_upnp": False,
    "enable_natpmp": False,
    "alert_mask": 0,
}


class Session:
    """One session and the one download in it."""

    def __init__(self, address: str, settings: dict[str, Any]) -> None:
        kinds = lt.alert.category_t
        told = int(kinds.status_notification) | int(kinds.error_notification) | int(kinds.storage_notification)
        listen = {"listen_interfaces": address, "alert_mask": told}
        self.session = lt.session({**BASE, **listen, **settings})
        self.handle: Any = None
        self.finished = threading.Event()
        threading.Thread(target=self._watch, daemon=True).start()

    def add(self, command: dict[str, Any]) -> None:
        parameters = lt.add_torrent_params()
        parameters.ti = lt.torrent_info(command["add"])
        parameters.save_path = command["save"]
        parameters.peers = [tuple(peer) for peer in command.get("peers", [])]
        parameters.flags &= ~lt.torrent_flags.auto_managed & ~lt.torrent_flags.paused
        for flag in command.get("flags", []):
            parameters.flags |= getattr(lt.torrent_flags, flag)
        self.handle = self.session.add_torrent(parameters)
        if command.get("wait", True):
            self.finished.wait()

    def make(self, command: dict[str, Any]) -> None:
        folder = pathlib.Path(command["make"])
        made = lt.create_torrent(lt.list_files(str(folder)), command["part"], lt.create_torrent.v1_only)
        lt.set_piece_hashes(made, str(folder.parent))
        pathlib.Path(command["file"]).write_bytes(lt.bencode(made.generate()))

    def sent_bytes(self) -> int:
        return int(self.handle.status().total_payload_upload)

    def _watch(self) -> None:
        while True:
            self.session.wait_for_alert(WAIT_MS)
            for alert in self.session.pop_alerts():
                if isinstance(alert, lt.torrent_finished_alert):
                    alert.handle.flush_cache()  # all is verified, and some of it not yet in the file
                elif isinstance(alert, lt.cache_flushed_alert):
                    self.finished.set()


def main(address: str, port: int, settings: dict[str, Any]) -> None:
    """Serve commands until the process is ended."""
    session = Session(address, settings)

    class Commands(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            for line in self.rfile:
                command = json.loads(line)
                answer: dict[str, Any] = {"done": True}
                if "make" in command:
                    session.make(command)
                if "add" in command:
                    session.add(command)
                elif "sent" in command:
                    answer["sent"] = session.sent_bytes()
                self.wfile.write(json.dumps(answer).encode() + b"\n")

    socketserver.ThreadingTCPServer.allow_reuse_address = True
    with socketserver.ThreadingTCPServer(("127.0.0.1", port), Commands) as server:
        print("ready", flush=True)
        server.serve_forever()


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), json.loads(sys.argv[3]))
