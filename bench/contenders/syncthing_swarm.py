"""syncthing to many: devices that all know each other and share one folder.

Everybody has the index and ignores the file; the release takes that away. What a device has of the file is told to the
others while it fetches (its temporary index), so that they give blocks to each other.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from bench.contenders import Fetched
from bench.contenders.syncthing import EVENTS, TEMPORARY_INDEX_S, Device, device, program_settings
from bench.debian import missing_program
from bench.network import Host
from bench.payload import Payload
from bench.processes import BenchError, end_together

PORT: Final = 22000
CONTROL: Final = 8384
STARTS_AT_ONCE: Final = 3
FETCH_DEADLINE_S: Final = 900
# Asking for 32 MiB at once, as it does unless set, asks the origin for everything before anybody else has anything.
PENDING_KIB: Final = 512


class SyncthingSwarm:
    """One device per host."""

    name = "syncthing"

    @property
    def settings(self) -> Mapping[str, str]:
        return {
            **program_settings(),
            "devices": "each knows all, TCP only; announcements, relays, NAT and the watcher are off",
            "temporary index": f"every {TEMPORARY_INDEX_S} s (5 unless set)",
            "asked for at once": f"{PENDING_KIB} KiB (32 MiB unless set)",
            "release": "the file is no longer ignored, over each device's API; its end told by ItemFinished",
        }

    def missing(self) -> str | None:
        return missing_program("syncthing", "syncthing", is_root=os.geteuid() == 0)

    @contextmanager
    def swarm(self, payload: Payload, hosts: Sequence[Host], folder: Path) -> Iterator[Devices]:
        folder.mkdir()
        with ExitStack() as stack:

            def start(host: Host) -> Device:
                home = folder / f"home{host.number}"
                home.mkdir()
                return stack.enter_context(device(home, f"{host.address}:{PORT}", CONTROL, host))

            with ThreadPoolExecutor(STARTS_AT_ONCE) as pool:
                devices = list(pool.map(start, hosts))
                stack.callback(end_together, [standing.process for standing in devices])
                swarm = Devices(devices, folder, payload)
                list(pool.map(swarm.introduce, range(len(devices))))
            for other in devices[1:]:
                other.wait_shared(payload.file.name)
                # The first question makes the subscription.
                other.ask("GET", f"{EVENTS}&timeout=1")
            yield swarm


@dataclass(frozen=True, slots=True)
class Devices:
    """Devices that ignore the file; the first one has it."""

    devices: Sequence[Device]
    folder: Path
    payload: Payload

    def introduce(self, number: int) -> None:
        """Let that device know all others, and share the folder with them."""
        own, name = self.devices[number], self.payload.file.name
        others = [other for other in self.devices if other is not own]
        for other in others:
            own.know(other)
        identities = [other.identity for other in others]
        if number == 0:
            own.share(self.payload.directory, name, identities)
            own.wait_scanned()
        else:
            options = {"pullerMaxPendingKiB": PENDING_KIB}
            own.share(self.received(number - 1).parent, ".stfolder", identities, options)
            own.ignore([name])

    def pids(self) -> list[int]:
        return [standing.process.process.pid for standing in self.devices]

    def fetch(self, peer: int) -> Fetched:
        own = self.devices[peer + 1]
        own.ignore([])
        finished = own.ask("GET", f"{EVENTS}&timeout={FETCH_DEADLINE_S}", timeout_s=FETCH_DEADLINE_S + 5)
        if not finished or finished[-1]["data"]["error"] is not None:
            raise BenchError(f"syncthing did not finish: {finished}")
        return Fetched()

    def received(self, peer: int) -> Path:
        return self.folder / f"out{peer + 1}" / self.payload.file.name

    def kill(self, peer: int) -> None:
        for process in self.devices[peer + 1].process.pids():
            os.kill(process, signal.SIGKILL)

    def origin_sent_bytes(self) -> int | None:
        return None
