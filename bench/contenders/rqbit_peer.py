"""A waiting rqbit session: ADDRESS CONTROL-PORT FOLDER. An offer is a metainfo file and the payload's folder."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from typing import Any

from bench.contenders.waiting_peer import serve

LISTEN_PORT = 6881


class Rqbit:
    """One session and the one download in it. Without DHT; trackers tell it of peers."""

    def __init__(self, folder: str) -> None:
        rqbit: Any = importlib.import_module("pyrqbit")
        self.session = rqbit.Session(folder, listen_port=LISTEN_PORT, disable_dht=True)
        self.handle: Any = None

    def address(self) -> str:
        return ""

    def join(self, addresses: list[str]) -> None:
        """The tracker tells."""

    def offer(self, source: str) -> str:
        metainfo, _, folder = source.partition("\n")
        self._add(metainfo, folder)
        return metainfo

    def get(self, offered: str, path: str) -> None:
        self._add(offered, str(Path(path).parent))

    def sent_bytes(self) -> int | None:
        return int(self.handle.stats()["uploaded_bytes"])

    def _add(self, metainfo: str, folder: str) -> None:
        # What is there already is hashed, and only what is missing is fetched.
        self.handle = self.session.add_torrent(metainfo, output_folder=folder, overwrite=True)
        self.handle.wait_until_completed()


if __name__ == "__main__":
    serve(Rqbit(sys.argv[3]), int(sys.argv[2]))
