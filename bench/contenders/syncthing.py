"""A standing syncthing device and its own HTTP API. TCP only, nothing announced, no relays."""

from __future__ import annotations

import http.client
import json
import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from bench.debian import program_path
from bench.network import Host
from bench.processes import BenchError, Standing, run_plain

LOOPBACK: Final = "127.0.0.1"
FOLDER: Final = "bench"
READY_DEADLINE_S: Final = 60.0
POLL_S: Final = 0.1
OFF: Final = ("globalAnnounceEnabled", "localAnnounceEnabled", "relaysEnabled", "natEnabled", "crashReportingEnabled")
EVENTS: Final = "/rest/events?events=ItemFinished&since=0"
# What a device has of a file that it is still fetching is told to the others at this interval; 5 unless set.
TEMPORARY_INDEX_S: Final = 1
NO_OPTIONS: Final[Mapping[str, object]] = {}


def program_settings() -> Mapping[str, str]:
    """What is so wherever it is measured. It is installed."""
    version = run_plain([program_path("syncthing"), "--version"]).split()[1]
    return {"version": version, "encryption": "TLS 1.3, mutual"}


@dataclass(frozen=True, slots=True)
class Device:
    """One syncthing that listens on ``listen`` (address:port); its API on a port of the loopback of its host."""

    process: Standing
    identity: str
    listen: str
    control: int
    key: str
    host: Host | None = None

    def know(self, other: Device) -> None:
        """Connect to that device, and let it connect."""
        self.ask("POST", "/rest/config/devices", {"deviceID": other.identity, "addresses": [f"tcp://{other.listen}"]})

    def share(
        self, path: Path, marker: str, devices: Sequence[str], options: Mapping[str, object] = NO_OPTIONS
    ) -> None:
        """Share a directory with these devices."""
        members = [{"deviceID": device} for device in (self.identity, *devices)]
        told = {"id": FOLDER, "path": str(path), "markerName": marker, "fsWatcherEnabled": False, "devices": members}
        self.ask("PUT", f"/rest/config/folders/{FOLDER}", {**told, **options})

    def ignore(self, names: Sequence[str]) -> None:
        """Fetch everything that is shared but those files."""
        self.ask("POST", f"/rest/db/ignores?folder={FOLDER}", {"ignore": list(names)})

    def ask(self, method: str, path: str, body: object = None, timeout_s: float = 30) -> Any:
        """One request to its API; the decoded answer, or an empty one where there is nothing such."""
        if self.host is not None:
            return self.host.inside(lambda: self._ask(method, path, body, timeout_s))
        return self._ask(method, path, body, timeout_s)

    def wait_shared(self, name: str) -> None:
        """Return when it has the index of that file."""
        asked = f"/rest/db/file?folder={FOLDER}&file={name}"
        self.wait("the index", lambda: self.ask("GET", asked)["global"]["size"] > 0)

    def wait_scanned(self) -> None:
        """Return when it knows its own files."""
        self.wait("its scan", lambda: self.ask("GET", f"/rest/db/status?folder={FOLDER}")["localBytes"] > 0)

    def is_connected(self, other: Device) -> bool:
        """Whether it has a connection to that device."""
        return bool(self.ask("GET", "/rest/system/connections")["connections"][other.identity]["connected"])

    def is_idle(self) -> bool:
        """Whether its folder is at rest."""
        return bool(self.ask("GET", f"/rest/db/status?folder={FOLDER}").get("state") == "idle")

    def wait(self, what: str, is_done: Callable[[], bool]) -> None:
        """Return when it is done. Raises BenchError when it takes too long."""
        deadline = time.monotonic() + READY_DEADLINE_S
        while not is_done():
            if time.monotonic() > deadline:
                raise BenchError(f"syncthing did not finish {what}")
            time.sleep(POLL_S)

    def _ask(self, method: str, path: str, body: object, timeout_s: float) -> Any:
        connection = http.client.HTTPConnection(LOOPBACK, self.control, timeout=timeout_s)
        content = None if body is None else json.dumps(body)
        connection.request(method, path, body=content, headers={"X-API-Key": self.key})
        with connection.getresponse() as answer:
            text = answer.read()
            if answer.status == http.client.NOT_FOUND:
                return {"global": {"size": 0}, "localBytes": 0}
            if answer.status >= http.client.BAD_REQUEST:
                raise BenchError(f"syncthing refused {method} {path}: {text.decode(errors='replace')[:200]}")
        return json.loads(text) if text.strip().startswith((b"{", b"[")) else {}


@contextmanager
def device(folder: Path, listen: str, control: int, host: Host | None = None) -> Iterator[Device]:
    """A device with a new identity that shares nothing yet."""
    program = program_path("syncthing")
    home = folder / "home"
    run_plain([program, "generate", f"--home={home}", "--no-default-folder", "--skip-port-probing"])
    identity = run_plain([program, "--device-id", f"--home={home}"]).strip()
    configuration = configured((home / "config.xml").read_text(), listen, control)
    (home / "config.xml").write_text(configuration)
    key = re.search(r"<apikey>(.+?)<", configuration)
    if key is None:
        raise BenchError("syncthing made no key of its API")
    command = [program, "serve", f"--home={home}", "--no-browser", "--no-restart", "--logfile=-"]
    with Standing(host.command(*command) if host else command, folder / "log") as process:
        standing = Device(process, identity, listen, control, key[1], host)
        standing.wait("its start", lambda: _answers(standing))
        yield standing


def configured(configuration: str, listen: str, control: int) -> str:
    """Its configuration, on these addresses and silent but for its peers."""
    for setting in OFF:
        configuration = configuration.replace(f"<{setting}>true<", f"<{setting}>false<")
    configuration = configuration.replace(">127.0.0.1:8384<", f">{LOOPBACK}:{control}<")
    configuration = configuration.replace("<listenAddress>default<", f"<listenAddress>tcp://{listen}<")
    configuration = re.sub(r"<reconnectionIntervalS>\d+<", "<reconnectionIntervalS>5<", configuration)
    interval = f"<progressUpdateIntervalS>{TEMPORARY_INDEX_S}<"
    return re.sub(r"<progressUpdateIntervalS>-?\d+<", interval, configuration)


def _answers(standing: Device) -> bool:
    try:
        return bool(standing.ask("GET", "/rest/system/ping"))
    except OSError:
        return False
