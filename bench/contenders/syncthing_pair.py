"""syncthing, one to one: both devices stand connected, and the consumer knows the file's blocks already.

It ignores the file until the clock starts; the timed command takes that away and waits for the event that the file is
whole, so scanning, index exchange and connecting are not in the time. TCP only, nothing announced, no relays.
"""

from __future__ import annotations

import http.client
import json
import os
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from bench.contenders import Pull
from bench.contenders.curl_nginx import HOST, free_port
from bench.debian import missing_program, program_path
from bench.payload import Payload
from bench.processes import BenchError, Standing, run_plain

FOLDER: Final = "bench"
READY_DEADLINE_S: Final = 60.0
POLL_S: Final = 0.1
OFF: Final = ("globalAnnounceEnabled", "localAnnounceEnabled", "relaysEnabled", "natEnabled", "crashReportingEnabled")
EVENTS: Final = "/rest/events?events=ItemFinished&since=0"
RELEASE: Final = """\
curl -sS --noproxy '*' --fail -H "X-API-Key: $2" -d '{"ignore": []}' "$1/rest/db/ignores?folder=bench" >/dev/null &&
curl -sS --noproxy '*' --fail -H "X-API-Key: $2" "$1/rest/events?events=ItemFinished&since=0&timeout=200" |
grep -q '"error": null'
"""


class SyncthingPair:
    """Two devices that share one folder."""

    name = "syncthing"
    protection = "TLS 1.3, mutual"

    def missing(self) -> str | None:
        is_root = os.geteuid() == 0
        return missing_program("syncthing", "syncthing", is_root=is_root) or missing_program(
            "curl", "curl", is_root=is_root
        )

    @contextmanager
    def origin(self, payload: Payload, folder: Path) -> Iterator[Device]:
        with _device(folder) as device:
            device.share(payload.directory, payload.file.name, [])
            device.wait("its scan", lambda: device.ask("GET", f"/rest/db/status?folder={FOLDER}")["localBytes"] > 0)
            yield Device(device.process, device.identity, device.listen, device.control, device.key, payload)


@dataclass(frozen=True, slots=True)
class Device:
    """One syncthing. The payload is known at the origin, which also makes consumers."""

    process: Standing
    identity: str
    listen: int
    control: int
    key: str
    payload: Payload | None = None

    def pids(self) -> list[int]:
        return self.process.pids()

    @contextmanager
    def consumer(self, folder: Path) -> Iterator[DeviceConsumer]:
        if self.payload is None:
            raise BenchError("only an origin has consumers")
        name = self.payload.file.name
        with _device(folder) as other:
            other.ask("POST", "/rest/config/devices", _known(self))
            self.ask("POST", "/rest/config/devices", _known(other))
            received = folder / "received"
            other.share(received, ".stfolder", [self.identity])
            other.ask("POST", f"/rest/db/ignores?folder={FOLDER}", {"ignore": [name]})
            self.share(self.payload.directory, name, [other.identity])
            asked = f"/rest/db/file?folder={FOLDER}&file={name}"
            other.wait("the index", lambda: other.ask("GET", asked)["global"]["size"] > 0)
            # The first question makes the subscription.
            other.ask("GET", f"{EVENTS}&timeout=1")
            yield DeviceConsumer(other, received / name)

    def share(self, path: Path, marker: str, devices: list[str]) -> None:
        """Share a directory with these devices."""
        members = [{"deviceID": device} for device in (self.identity, *devices)]
        told = {"id": FOLDER, "path": str(path), "markerName": marker, "fsWatcherEnabled": False, "devices": members}
        self.ask("PUT", f"/rest/config/folders/{FOLDER}", told)

    def ask(self, method: str, path: str, body: object = None) -> Any:
        """One request to its own API; the decoded answer, or an empty object where it answered with an error."""
        connection = http.client.HTTPConnection(HOST, self.control, timeout=30)
        content = None if body is None else json.dumps(body)
        connection.request(method, path, body=content, headers={"X-API-Key": self.key})
        with connection.getresponse() as answer:
            text = answer.read()
            if answer.status == http.client.NOT_FOUND:
                return {"global": {"size": 0}, "localBytes": 0}
            if answer.status >= http.client.BAD_REQUEST:
                raise BenchError(f"syncthing refused {method} {path}: {text.decode(errors='replace')[:200]}")
        return json.loads(text) if text.strip().startswith((b"{", b"[")) else {}

    def wait(self, what: str, is_done: Any) -> None:
        """Return when it is done. Raises BenchError when it takes too long."""
        deadline = time.monotonic() + READY_DEADLINE_S
        while not is_done():
            if time.monotonic() > deadline:
                raise BenchError(f"syncthing did not finish {what}")
            time.sleep(POLL_S)


@dataclass(frozen=True, slots=True)
class DeviceConsumer:
    """A device that ignores the file until it is told not to."""

    device: Device
    received: Path

    def pids(self) -> list[int]:
        return self.device.pids()

    def pull(self, directory: Path) -> Pull:
        address = f"http://{HOST}:{self.device.control}"
        return Pull(["bash", "-c", RELEASE, "bench", address, self.device.key], self.received)


@contextmanager
def _device(folder: Path) -> Iterator[Device]:
    program = program_path("syncthing")
    home = folder / "home"
    run_plain([program, "generate", f"--home={home}", "--no-default-folder", "--skip-port-probing"])
    identity = run_plain([program, "--device-id", f"--home={home}"]).strip()
    listen, control = free_port(), free_port()
    configuration = (home / "config.xml").read_text()
    for setting in OFF:
        configuration = configuration.replace(f"<{setting}>true<", f"<{setting}>false<")
    configuration = configuration.replace(">127.0.0.1:8384<", f">{HOST}:{control}<")
    configuration = configuration.replace("<listenAddress>default<", f"<listenAddress>tcp://{HOST}:{listen}<")
    configuration = re.sub(r"<reconnectionIntervalS>\d+<", "<reconnectionIntervalS>5<", configuration)
    (home / "config.xml").write_text(configuration)
    key = re.search(r"<apikey>(.+?)<", configuration)
    if key is None:
        raise BenchError("syncthing made no key of its API")
    with Standing(
        [program, "serve", f"--home={home}", "--no-browser", "--no-restart", "--logfile=-"], folder / "log"
    ) as process:
        device = Device(process, identity, listen, control, key[1])
        device.wait("its start", lambda: _answers(device))
        yield device


def _answers(device: Device) -> bool:
    try:
        return bool(device.ask("GET", "/rest/system/ping"))
    except OSError:
        return False


def _known(device: Device) -> dict[str, object]:
    return {"deviceID": device.identity, "addresses": [f"tcp://{HOST}:{device.listen}"]}
