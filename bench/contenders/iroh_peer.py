"""A waiting iroh node: ADDRESS CONTROL-PORT FOLDER. Nodes are told each other's addresses; no discovery, no relay.

A download of this version takes one provider at a time, and a node provides what it has completely: a star.
"""

from __future__ import annotations

import asyncio
import importlib
import sys
import threading
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

from bench.contenders.waiting_peer import serve

iroh: Any = importlib.import_module("iroh")
LISTEN_PORT = 4433


class Progress:
    """Hears of progress, and keeps the last of it."""

    def __init__(self) -> None:
        self.added = ""
        self.failure = ""

    async def progress(self, progress: Any) -> None:
        kind = progress.type()
        if kind == iroh.AddProgressType.ALL_DONE:
            self.added = str(progress.as_all_done().hash)
        elif kind in (iroh.AddProgressType.ABORT, iroh.DownloadProgressType.ABORT):
            self.failure = str(progress.as_abort().error)


class Iroh:
    """One node, on a loop of its own."""

    def __init__(self, address: str, folder: str) -> None:
        self.listen = f"{address}:{LISTEN_PORT}"
        self.origin = ""
        self.loop = asyncio.new_event_loop()
        threading.Thread(target=self.loop.run_forever, daemon=True).start()
        iroh.iroh_ffi.uniffi_set_event_loop(self.loop)
        self.node = self._run(self._start(folder))

    def address(self) -> str:
        return f"{self._run(self.node.net().node_id())} {self.listen}"

    def join(self, addresses: list[str]) -> None:
        self.origin = addresses[0]
        for address in addresses:
            self._run(self._know(address))

    def offer(self, source: str) -> str:
        return str(self._run(self._add(source)))

    def get(self, offered: str, path: str) -> None:
        self._run(self._download(offered, path))

    def sent_bytes(self) -> int | None:
        return None

    async def _start(self, folder: str) -> Any:
        discovery = iroh.NodeDiscoveryConfig.NONE
        options = iroh.NodeOptions(ipv4_addr=self.listen, node_discovery=discovery)
        return await iroh.Iroh.persistent_with_options(f"{folder}/store", options)

    async def _know(self, address: str) -> None:
        await self.node.net().add_node_addr(_node(address))

    async def _add(self, source: str) -> str:
        progress = Progress()
        tag, wrap = iroh.SetTagOption.auto(), iroh.WrapOption.no_wrap()
        await self.node.blobs().add_from_path(source, True, tag, wrap, progress)
        return progress.added

    async def _download(self, offered: str, path: str) -> None:
        progress = Progress()
        digest = iroh.Hash.from_string(offered)
        options = iroh.BlobDownloadOptions(iroh.BlobFormat.RAW, [_node(self.origin)], iroh.SetTagOption.auto())
        await self.node.blobs().download(digest, options, progress)
        if progress.failure:
            raise RuntimeError(progress.failure)
        Path(path).parent.mkdir()
        await self.node.blobs().export(digest, path, iroh.BlobExportFormat.BLOB, iroh.BlobExportMode.TRY_REFERENCE)

    def _run(self, work: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self.loop).result()


def _node(address: str) -> Any:
    identity, _, listen = address.partition(" ")
    return iroh.NodeAddr(iroh.PublicKey.from_string(identity), None, [listen])


if __name__ == "__main__":
    serve(Iroh(sys.argv[1], sys.argv[3]), int(sys.argv[2]))
