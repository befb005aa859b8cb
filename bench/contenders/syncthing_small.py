"""syncthing with many small files: two connected devices share an empty folder, the files are put in, it is scanned.

The consumer begins while the scan still runs, so what it takes beyond the scan is its pull.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from bench.contenders import Step
from bench.contenders.curl_nginx import free_port
from bench.contenders.syncthing import FOLDER, LOOPBACK, Device, device, program_settings
from bench.contenders.syncthing_pair import SyncthingPair

MARK: Final = ".stfolder"
TUNED: Final[Mapping[str, object]] = {
    "disableFsync": True,
    "scanProgressIntervalS": -1,
    "hashers": 2,
    "maxConcurrentWrites": 16,
}
SCAN: Final = """\
curl -sS --noproxy '*' --fail -H "X-API-Key: $2" -X POST "$1/rest/db/scan?folder=$3"
"""
# Whole when it is idle, lacks nothing, and knows of as many files as were put in.
WHOLE: Final = """\
while :; do
  told=$(curl -sS --noproxy '*' --fail -H "X-API-Key: $2" "$1/rest/db/status?folder=$3") || exit 1
  told=${told//[[:space:]]/}
  [[ $told == *'"globalFiles":'$4,* && $told == *'"needTotalItems":0,'* && $told == *'"state":"idle"'* ]] && exit 0
  sleep 0.05
done
"""


class SyncthingSmall:
    """Two devices that share one folder."""

    name = "syncthing"

    @property
    def settings(self) -> Mapping[str, str]:
        return {
            **program_settings(),
            "folder": ", ".join(f"{name} {value}" for name, value in TUNED.items()),
            "publish": "a rescan of the shared folder that the files were put in",
            "pull": "until its status says that it is idle and lacks nothing; looked at every 50 ms",
        }

    def missing(self) -> str | None:
        return SyncthingPair().missing()

    @contextmanager
    def pair(self, folder: Path) -> Iterator[DevicePair]:
        folder.mkdir()
        with (
            device(folder / "a", f"{LOOPBACK}:{free_port()}", free_port()) as sender,
            device(folder / "b", f"{LOOPBACK}:{free_port()}", free_port()) as receiver,
        ):
            pair = DevicePair(folder, sender, receiver)
            sender.know(receiver)
            receiver.know(sender)
            sender.share(pair.source, MARK, [receiver.identity], TUNED)
            receiver.share(pair.received, MARK, [sender.identity], TUNED)
            sender.wait("the connection", lambda: sender.is_connected(receiver) and receiver.is_connected(sender))
            sender.wait("the empty folder", lambda: sender.is_idle() and receiver.is_idle())
            yield pair


@dataclass(frozen=True, slots=True)
class DevicePair:
    """Connected devices with one empty folder."""

    folder: Path
    sender: Device
    receiver: Device
    marks = frozenset({MARK})

    @property
    def source(self) -> Path:
        return self.folder / "source"

    @property
    def received(self) -> Path:
        return self.folder / "received"

    def pids(self) -> list[int]:
        return [*self.sender.process.pids(), *self.receiver.process.pids()]

    def publish(self) -> Step:
        return Step(["bash", "-c", SCAN, "bench", *self._api(self.sender)])

    def pull(self) -> Step:
        folders = [folder for folder in self.source.iterdir() if folder.name != MARK]
        files = sum(len(names) for folder in folders for _, _, names in os.walk(folder))
        return Step(["bash", "-c", WHOLE, "bench", *self._api(self.receiver), str(files)])

    def _api(self, device: Device) -> list[str]:
        return [f"http://{LOOPBACK}:{device.control}", device.key, FOLDER]
