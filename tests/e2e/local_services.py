"""Runs the services of docker/compose.yaml as processes on loopback: the same commands and settings, no containers.

A container's paths become folders, its name 127.0.0.1 and free ports, and a service that ends is started again as its
restart policy says. The S3 server is not started here: its address is given.
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from tests.e2e.compose_file import DOCKER, filled, services
from tests.e2e.harness import DEADLINE_S, Done, wait_for
from tests.s3_server import die_with_parent

HOME: Final = "/var/lib/aetherfs"


class LocalServices:
    """``values`` fill in what compose.yaml leaves to docker/.env."""

    def __init__(self, folder: Path, endpoint: str, values: Mapping[str, str]) -> None:
        self.folder = folder
        self.services = {name: service for name, service in services().items() if name != "s3"}
        self.running: dict[str, subprocess.Popen[bytes]] = {}
        self._endpoint = endpoint
        self._values = values

    def start(self, name: str) -> None:
        service = self.services[name]
        inside = [*service.get("entrypoint", ["aetherfs"]), *service["command"]]
        command = [self._outside(name, part) for part in inside]
        with (self.folder / f"{name}.log").open("ab") as log:
            self.running[name] = subprocess.Popen(
                [_program(command[0]), *command[1:]],
                env=self.environment(name),
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                preexec_fn=die_with_parent,
            )

    def tend(self) -> None:
        """Start again what has ended, as its policy says."""
        for name, process in self.running.items():
            if process.poll() is not None and (process.returncode or self.services[name]["restart"] != "on-failure"):
                self.start(name)

    def wait_for(self, what: str, names: list[str]) -> None:
        """Until each of the services is healthy, or has done its work."""

        def all_well() -> bool:
            self.tend()
            return all(self.is_well(name) for name in names)

        wait_for(what, all_well)

    def is_well(self, name: str) -> bool:
        if self.services[name]["restart"] == "on-failure":
            return self.running[name].poll() == 0
        return self.run(name, *health_check()).exit_code == 0

    def run(self, name: str, *command: str) -> Done:
        """A command in a service's surroundings, as ``docker compose exec`` has it, to its end."""
        done = subprocess.run(
            [_program(command[0]), *command[1:]],
            env=self.environment(name),
            cwd=self.path(name, "/data") if name.startswith("peer") else self.folder,
            capture_output=True,
            timeout=DEADLINE_S,
            check=False,
        )
        return Done(done.returncode, done.stdout, done.stderr.decode())

    def ok(self, name: str, *command: str) -> Done:
        """A command that must succeed."""
        done = self.run(name, *command)
        assert done.exit_code == 0, f"{name}: {command} ended with {done.exit_code}: {done.stderr}{self._logs()}"
        return done

    def stop(self, name: str, how: signal.Signals) -> None:
        """End a service; it is not started again by itself."""
        process = self.running.pop(name)
        process.send_signal(how)
        process.wait(DEADLINE_S)

    def path(self, name: str, inside: str) -> Path:
        """Where a path of a service's container is here."""
        return Path(self._outside(name, inside))

    def environment(self, name: str) -> dict[str, str]:
        """What a service's processes are given, with our paths, addresses and ports."""
        given = {"AETHERFS_HOME": HOME, **self.services[name].get("environment", {})}
        ours = {key: self._outside(name, filled(value, self._values)) for key, value in given.items()}
        if "AETHERFS_LISTEN" in ours:
            assert ours["AETHERFS_LISTEN"] == name
            ours |= {"AETHERFS_LISTEN": "127.0.0.1", "AETHERFS_PORT_BASE": "0"}
        kept = {key: value for key, value in os.environ.items() if not key.startswith(("AETHERFS_", "AWS_"))}
        path = f"{Path(sys.executable).parent}{os.pathsep}{kept['PATH']}"
        return {**kept, **ours, "PATH": path, "AWS_EC2_METADATA_DISABLED": "true"}

    def close(self) -> None:
        """End everything as ``docker compose down`` does, and fail for what does not end well."""
        for process in self.running.values():
            if process.poll() is None:
                process.terminate()
        ended = {}
        for name, process in self.running.items():
            try:
                ended[name] = process.wait(DEADLINE_S)
            except subprocess.TimeoutExpired:
                process.kill()
                ended[name] = process.wait()
        assert set(ended.values()) <= {0}, f"ended with {ended}: {self._logs()}"

    def _outside(self, name: str, text: str) -> str:
        """A text of compose.yaml with paths inside the container as paths out here."""
        places = {}
        for volume in self.services[name]["volumes"]:
            source, inside = volume.split(":")[:2]
            places[inside] = self.folder / "volumes" / source
            places[inside].mkdir(parents=True, exist_ok=True)
        inside = "|".join(map(re.escape, places))
        text = re.sub(rf"(?<![\w/])({inside})(?![\w-])", lambda found: str(places[found[1]]), text)
        return text.replace("http://s3:8333", self._endpoint)

    def _logs(self) -> str:
        return "".join(
            f"\n{path.stem}: {path.read_text(encoding='utf-8', errors='replace')[-500:]}"
            for path in sorted(self.folder.glob("*.log"))
        )


def health_check() -> list[str]:
    """The command of the image that tells whether a container is well."""
    found = re.search(r"(?m)^HEALTHCHECK .*?CMD (\[.*\])$", (DOCKER / "Dockerfile").read_text(encoding="utf-8"))
    assert found is not None
    command: Any = json.loads(found[1])
    return [str(part) for part in command]


def _program(name: str) -> str:
    """Ours is the one beside the running Python."""
    return str(Path(sys.executable).with_name(name)) if name == "aetherfs" else name
