"""syncthing, one to one: both devices stand connected, and the consumer knows the file's blocks already.

It ignores the file until the clock starts; the timed command takes that away and waits for the event that the file is
whole, so scanning, index exchange and connecting are not in the time.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from bench.contenders import Pull
from bench.contenders.curl_nginx import free_port
from bench.contenders.syncthing import EVENTS, LOOPBACK, Device, device, program_settings
from bench.debian import missing_program
from bench.payload import Payload

RELEASE: Final = """\
curl -sS --noproxy '*' --fail -H "X-API-Key: $2" -d '{"ignore": []}' "$1/rest/db/ignores?folder=bench" >/dev/null &&
curl -sS --noproxy '*' --fail -H "X-API-Key: $2" "$1/rest/events?events=ItemFinished&since=0&timeout=200" |
grep -q '"error": null'
"""


class SyncthingPair:
    """Two devices that share one folder."""

    name = "syncthing"

    @property
    def settings(self) -> Mapping[str, str]:
        return {
            **program_settings(),
            "pull": "the file is no longer ignored, over the device's API; its end told by ItemFinished",
        }

    def missing(self) -> str | None:
        is_root = os.geteuid() == 0
        return missing_program("syncthing", "syncthing", is_root=is_root) or missing_program(
            "curl", "curl", is_root=is_root
        )

    @contextmanager
    def origin(self, payload: Payload, folder: Path) -> Iterator[DeviceOrigin]:
        with device(folder, f"{LOOPBACK}:{free_port()}", free_port()) as standing:
            standing.share(payload.directory, payload.file.name, [])
            standing.wait_scanned()
            yield DeviceOrigin(standing, payload)


@dataclass(frozen=True, slots=True)
class DeviceOrigin:
    """A device that has the payload."""

    device: Device
    payload: Payload

    def pids(self) -> list[int]:
        return self.device.process.pids()

    def sent_bytes(self) -> int | None:
        return None

    @contextmanager
    def consumer(self, folder: Path) -> Iterator[DeviceConsumer]:
        name = self.payload.file.name
        with device(folder, f"{LOOPBACK}:{free_port()}", free_port()) as other:
            other.know(self.device)
            self.device.know(other)
            received = folder / "received"
            other.share(received, ".stfolder", [self.device.identity])
            other.ignore([name])
            self.device.share(self.payload.directory, name, [other.identity])
            other.wait_shared(name)
            # The first question makes the subscription.
            other.ask("GET", f"{EVENTS}&timeout=1")
            yield DeviceConsumer(other, received / name)


@dataclass(frozen=True, slots=True)
class DeviceConsumer:
    """A device that ignores the file until it is told not to."""

    device: Device
    received: Path

    def pids(self) -> list[int]:
        return self.device.process.pids()

    def pull(self, directory: Path) -> Pull:
        address = f"http://{LOOPBACK}:{self.device.control}"
        return Pull(["bash", "-c", RELEASE, "bench", address, self.device.key], self.received)
