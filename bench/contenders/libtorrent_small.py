"""libtorrent with many small files: one session hashes the folder and seeds it, the other is handed the metainfo file.

Version 1 of the protocol, where many files share a hash; it keeps nothing of modes and times.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from bench.contenders import Step
from bench.contenders.curl_nginx import HOST, free_port
from bench.contenders.libtorrent_pair import QUEUES, order_command, standing_session
from bench.packages import missing_module, module_version
from bench.processes import Standing

# Tried beside it: 256 KiB to 4 MiB a part, 1 to 8 threads each, 10 to 500 open files, mapped files and plain ones: all
# within 10%.
PART_BYTES: Final = 256 * 1024
TUNED: Final[Mapping[str, Any]] = {**QUEUES, "hashing_threads": 2, "aio_threads": 4}


class LibtorrentSmall:
    """Two sessions in processes of their own."""

    name = "libtorrent"

    @property
    def settings(self) -> Mapping[str, str]:
        return {
            "version": module_version("libtorrent"),
            "encryption": "none",
            "part size": str(PART_BYTES),
            "session": json.dumps(TUNED),
            "publish": "list_files, create_torrent (v1_only), set_piece_hashes, then added in seed mode",
            "pull": "the metainfo file with the seed's address given to the waiting session",
        }

    def missing(self) -> str | None:
        return missing_module("libtorrent", "libtorrent")

    @contextmanager
    def pair(self, folder: Path) -> Iterator[SessionPair]:
        folder.mkdir()
        listen, seed_control, leech_control = free_port(), free_port(), free_port()
        with (
            standing_session(listen, seed_control, folder / "log-seed", TUNED) as seed,
            standing_session(free_port(), leech_control, folder / "log-leech", TUNED) as leech,
        ):
            yield SessionPair(folder, seed, leech, listen, seed_control, leech_control)


@dataclass(frozen=True, slots=True)
class SessionPair:
    """Two sessions that know of nothing yet."""

    folder: Path
    seed: Standing
    leech: Standing
    listen: int
    seed_control: int
    leech_control: int
    marks = frozenset[str]()

    @property
    def source(self) -> Path:
        return self.folder / "source"

    @property
    def received(self) -> Path:
        return self.folder / "received" / "source"

    def pids(self) -> list[int]:
        return [*self.seed.pids(), *self.leech.pids()]

    def publish(self) -> Step:
        metainfo = str(self.folder / "metainfo")
        making = {"make": str(self.source), "part": PART_BYTES, "file": metainfo}
        seeding = {"add": metainfo, "save": str(self.folder), "flags": ["seed_mode"], "wait": False}
        return Step(order_command(self.seed_control, {**making, **seeding}))

    def pull(self) -> Step:
        save = str(self.received.parent)
        order = {"add": str(self.folder / "metainfo"), "save": save, "peers": [[HOST, self.listen]]}
        return Step(order_command(self.leech_control, order))
