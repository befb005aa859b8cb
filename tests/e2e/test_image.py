"""The image of docker/Dockerfile: built where docker or buildah is, and run confined as docker/compose.yaml has it."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

import swarm
from tests.e2e import engines
from tests.e2e.contained import Container
from tests.e2e.engines import Engine
from tests.e2e.harness import wait_for
from tests.e2e.local_services import HOME, health_check

# What the image holds beyond its base: 90 MB when this was written, of which half are the libraries of zstandard,
# cryptography, pygments and aiohttp.
OWN_MAX_BYTES = 110_000_000

pytestmark = pytest.mark.timeout(900)


@pytest.fixture(scope="module")
def engine() -> Iterator[Engine]:
    why = engines.missing()
    if why:
        pytest.skip(why)
    folder = Path(tempfile.mkdtemp(prefix="aetherfs-image-"))
    made = engines.make_engine(folder)
    try:
        try:
            made.make_base()
        except AssertionError as error:
            pytest.skip(f"no base image can be made here: {error}")
        made.build()
        yield made
    finally:
        made.close()


def test_the_image_is_small_and_confined_and_makes_a_swarm(engine: Engine) -> None:
    """One test, as the image takes a minute to build, and tests are spread over processes."""
    _check_what_it_says(engine)
    assert 0 < engine.size_bytes - engine.base_bytes < OWN_MAX_BYTES

    hub = _start(engine, "hub", "up")
    assert swarm.__version__ in _ok(hub, "aetherfs", "--version")
    _check_confined(hub)
    _ok(hub, "sh", "-c", "mkdir roads && head -c 3000000 /dev/urandom > roads/a.bin")
    _ok(hub, "aetherfs", "publish", "roads", "maps/roads:v1")
    _ok(hub, "sh", "-c", "aetherfs token create > /join/token")

    peer = _start(engine, "peer", "peer", "--join-file", "/join/token")
    _ok(peer, "aetherfs", "pull", "maps/roads:v1", "copy")
    published = _ok(hub, "sha256sum", "roads/a.bin").split()[0]
    assert _ok(peer, "sha256sum", "copy/a.bin").split()[0] == published

    assert [container.stop() for container in (peer, hub)] == [0, 0]
    hub = _start(engine, "hub", "up")
    kept = _ok(hub, "sh", "-c", "aetherfs cat maps/roads:v1/a.bin | sha256sum")
    assert kept.split()[0] == published


def _start(engine: Engine, name: str, *command: str) -> Container:
    """A container with a home and a folder for data of its own, once it is healthy."""
    volumes = {HOME: f"{name}-home", "/data": f"{name}-data", "/join": "join"}
    container = engine.start(volumes, *command, "--port-base", "0")
    wait_for(f"{name} is well", lambda: container.run(*health_check()).exit_code == 0)
    return container


def _ok(container: Container, *command: str) -> str:
    done = container.run(*command)
    assert done.exit_code == 0, f"{command} ended with {done.exit_code}: {done.stderr}"
    return done.text


def _check_what_it_says(engine: Engine) -> None:
    assert engine.config["User"] == "10001:10001"
    assert engine.config["StopSignal"] == "SIGTERM"
    assert engine.config["Entrypoint"] == ["aetherfs"]
    assert engine.config["Healthcheck"]["Test"] == ["CMD", *health_check()]
    assert list(engine.config["Volumes"]) == [HOME]
    assert set(engine.config["ExposedPorts"]) == {"7070/tcp", "7071/tcp", "7071/udp"}


def _check_confined(container: Container) -> None:
    """Process 1, a user without rights, nowhere to write but volumes and /tmp; nothing of the builder's settings."""
    facts = dict(line.split(":\t", 1) for line in _ok(container, "cat", "/proc/1/status").splitlines())
    assert facts["Name"] == "aetherfs"
    assert facts["Uid"].split() == ["10001"] * 4
    assert int(facts["CapEff"], 16) == int(facts["CapBnd"], 16) == 0
    assert facts["NoNewPrivs"] == "1"
    mounts = [line.split() for line in _ok(container, "cat", "/proc/1/mountinfo").splitlines()]
    assert [mount[5].split(",")[0] for mount in mounts if mount[4] == "/"][-1] == "ro"
    assert _ok(container, "sh", "-c", "ls /etc/pip.conf /opt/aetherfs/bin/pip 2>/dev/null || true") == ""
