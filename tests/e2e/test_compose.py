"""What docker/ says fits the program, and its services make a swarm: as processes on loopback, without containers."""

from __future__ import annotations

import os
import re
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import pytest

import swarm
from swarm.cli.enrol import TOKEN_VARIABLE
from swarm.cli.main import program_commands
from swarm.config import HOME_VARIABLE
from swarm.known_settings import DEFAULT_PORT_BASE, SETTINGS
from swarm.secret_text import PASSPHRASE_VARIABLE
from tests.e2e.compose_file import DOCKER, read, services
from tests.e2e.local_services import HOME, LocalServices, health_check
from tests.s3_server import ACCESS_KEY, SECRET_KEY, S3Server

DOCKERFILE = (DOCKER / "Dockerfile").read_text(encoding="utf-8")
COMPOSE = (DOCKER / "compose.yaml").read_text(encoding="utf-8")
OURS = {name: service for name, service in services().items() if name != "s3"}
KEEPERS = ["tracker1", "tracker2", "seed1", "seed2"]
PEERS = ["peer1", "peer2", "peer3"]
VALUES = {"S3_ACCESS_KEY": ACCESS_KEY, "S3_SECRET_KEY": SECRET_KEY, "SWARM_PASSPHRASE": "a passphrase of the tests"}


# ---- what is written ------------------------------------------------------------------------------------------------


def test_two_trackers_two_seeds_three_peers_and_an_s3_server() -> None:
    roles = {name: " ".join(service["command"]) for name, service in OURS.items() if "entrypoint" not in service}
    assert roles == {name: name[:-1] for name in KEEPERS + PEERS}
    assert services()["s3"]["image"].partition(":")[0] == "chrislusf/seaweedfs"


@pytest.mark.parametrize("name", sorted(OURS))
def test_commands_and_settings_exist(name: str) -> None:
    known = {setting.variable for setting in SETTINGS} | {HOME_VARIABLE, TOKEN_VARIABLE, PASSPHRASE_VARIABLE}
    given = {key for key in OURS[name].get("environment", {}) if key.startswith("AETHERFS_")}
    assert given <= known
    for arguments in _commands(OURS[name]):
        assert _unknown(arguments) == []


def test_the_images_own_commands_exist() -> None:
    assert health_check()[0] == "aetherfs"
    assert _unknown(health_check()[1:]) == []
    assert re.search(r'(?m)^ENTRYPOINT \["aetherfs"\]\nCMD \["up"\]$', DOCKERFILE)


def test_a_command_that_does_not_exist_would_be_found() -> None:
    assert _unknown(["tracker", "--no-such"]) == ["--no-such"]
    assert _unknown(["token", "create", "--uses", "3"]) == []
    assert _unknown(["fetch"]) == ["fetch"]


def test_ports_and_paths_fit() -> None:
    assert f"EXPOSE {DEFAULT_PORT_BASE} {DEFAULT_PORT_BASE + 1} {DEFAULT_PORT_BASE + 1}/udp\n" in DOCKERFILE
    assert f"AETHERFS_HOME={HOME}\n" in DOCKERFILE
    for name, service in OURS.items():
        targets = [volume.split(":")[1] for volume in service["volumes"]]
        assert HOME in targets, name
        assert all(target in DOCKERFILE for target in targets), f"{name}: a folder that root would own"
        assert service["read_only"] == "true"
    volumes = {volume.split(":")[0] for service in services().values() for volume in service["volumes"]}
    assert volumes == set(read(COMPOSE)["volumes"])


def test_versions_are_pinned() -> None:
    assert {service["image"] for service in OURS.values()} == {f"aetherfs:{swarm.__version__}"}
    base = re.search(r"(?m)^ARG BASE=(\S+)$", DOCKERFILE)
    assert base is not None
    for image in [base[1], *(service["image"] for service in services().values())]:
        assert re.fullmatch(r"[a-z/]+:\d\S*", image), image
    assert set(re.findall(r"(?m)^FROM (\S+)", DOCKERFILE)) == {"${BASE}"}
    assert set(re.findall(r"(?m)^USER (.*)$", DOCKERFILE)) == {"10001:10001"}


def test_no_secret_stands_there() -> None:
    for name, service in services().items():
        for key, value in service.get("environment", {}).items():
            if re.search("KEY|SECRET|PASS|TOKEN", key) and not key.endswith("_FILE"):
                assert re.fullmatch(r"\$\{[A-Z0-9_]+:\?[^}]+\}", value), f"{name}: {key}"
    assert not re.search(r"(?i)index-url|trusted-host|https?://", DOCKERFILE)
    wanted = set(re.findall(r"\$\{([A-Z0-9_]+):\?", COMPOSE))
    assert wanted == set(re.findall(r"\b([A-Z0-9_]+) \"\$\(random", (DOCKER / "secrets.sh").read_text("utf-8")))


def test_what_is_no_part_of_the_yaml_is_refused() -> None:
    for text in ("a: {b: c}", "a: b: c", "a: |\n  b", "a: 1\na: 2", "a:\n  b: 1\n c: 2", "- a", "a: b # c"):
        with pytest.raises(ValueError, match=r"."):
            read(text)


def _commands(service: dict[str, Any]) -> list[list[str]]:
    """The program's arguments in a service's command; a shell's line may hold several."""
    if "entrypoint" not in service:
        return [service["command"]]
    line = " ".join(service["command"])
    return [found.split() for found in re.findall(r"aetherfs ([^;>|&]*)", line)]


def _unknown(arguments: list[str]) -> list[str]:
    """The first word that is no command, or the options that the command does not have."""
    command: click.Command | None = program_commands
    context = click.Context(program_commands)
    words = list(arguments)
    while isinstance(command, click.Group) and words and not words[0].startswith("-"):
        word = words.pop(0)
        command = command.get_command(context, word)
        if command is None:
            return [word]
    assert command is not None
    known = {option for parameter in command.params for option in parameter.opts}
    return [word for word in words if word.startswith("-") and word not in known]


# ---- what it does ---------------------------------------------------------------------------------------------------


@pytest.fixture
def local(tmp_path: Path, s3: S3Server) -> Iterator[LocalServices]:
    s3.client.create_bucket(Bucket="aetherfs")
    made = LocalServices(tmp_path, s3.endpoint, VALUES)
    try:
        yield made
    finally:
        made.close()


def test_the_services_make_a_swarm_in_any_order(local: LocalServices) -> None:
    """Of all orders that in which everybody comes before those whom it needs."""
    names = sorted(local.services, key=lambda name: (not name.startswith("peer"), not name.startswith("seed"), name))
    for name in names:
        local.start(name)
    local.wait_for(f"the services are well, started as {names}", names)

    data = local.path("peer1", "/data") / "roads"
    data.mkdir()
    (data / "large.bin").write_bytes(os.urandom(3_000_000))
    local.ok("peer1", "aetherfs", "publish", "roads", "maps/roads:v1")
    local.ok("peer2", "aetherfs", "pull", "maps/roads:v1", "copy")

    local.stop("tracker1", signal.SIGKILL)
    local.stop("seed1", signal.SIGKILL)
    (data / "small.txt").write_text("small\n", encoding="ascii")
    local.ok("peer1", "aetherfs", "publish", "roads", "maps/roads:v2")
    local.ok("peer3", "aetherfs", "pull", "maps/roads:v2", "copy")
    assert (local.path("peer2", "/data") / "copy" / "large.bin").read_bytes() == (data / "large.bin").read_bytes()
    assert (local.path("peer3", "/data") / "copy" / "small.txt").read_text(encoding="ascii") == "small\n"
    assert "aetherfs-secret1." in (local.path("tracker1", "/secret") / "swarm").read_text(encoding="ascii")

    local.start("tracker1")
    local.start("seed1")
    local.wait_for("tracker and seed are well again", ["tracker1", "seed1"])
