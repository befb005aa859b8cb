"""A site behind address translation, in namespaces: it takes, it gives, and its devices find each other by themselves.

One set of processes: ``up`` in the open, two devices of profile edge behind the translation, one peer in the open.
"""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from bench.contenders.ours import PROGRAM, READY_DEADLINE_S, home_environment
from bench.network import Host, make_network, missing_nat
from bench.processes import BenchError, Standing, run_plain
from bench.scenarios import Link, Scenario
from tests.e2e.harness import wait_for

pytestmark = pytest.mark.root
FAST = Link(200_000_000, 200_000_000)
HIDDEN = Link(200_000_000, 200_000_000, site=1)
REFERENCE = "maps/roads:latest"


class Devices:
    """Homes by name, each at its host."""

    def __init__(self, folder: Path, hosts: dict[str, Host], stack: ExitStack) -> None:
        self.folder = folder
        self.hosts = hosts
        self.standing: dict[str, Standing] = {}
        self._stack = stack

    def start(self, name: str, *role: str) -> None:
        host = self.hosts[name]
        command = host.command(str(PROGRAM), *role, "--listen", host.address, "--json", "--quiet")
        one = self._stack.enter_context(Standing(command, self.folder / f"{name}.log", self.environment(name)))
        one.wait_line(READY_DEADLINE_S)
        self.standing[name] = one

    def environment(self, name: str) -> dict[str, str]:
        return dict(home_environment(self.folder / name))

    def run(self, name: str, *arguments: str) -> str:
        return run_plain(self.hosts[name].command(str(PROGRAM), *arguments), self.environment(name))

    def status(self, name: str) -> dict[str, Any]:
        return dict(json.loads(self.run(name, "status", "--json")))


@pytest.fixture(scope="module")
def devices(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Devices]:
    if why := missing_nat():
        pytest.skip(f"addresses cannot be translated here: {why}")
    folder = tmp_path_factory.mktemp("nat")
    scenario = Scenario("nat", FAST, (HIDDEN, HIDDEN, FAST), wan_bits_per_s=100_000_000, is_nat=True)
    with ExitStack() as stack:
        try:
            network = stack.enter_context(make_network(scenario))
        except BenchError as error:
            pytest.skip(f"no such network can be made here: {error}")
        made = Devices(folder, dict(zip(("up", "one", "two", "open"), network.hosts, strict=True)), stack)
        made.start("up", "up")
        (folder / "token").write_text(made.run("up", "token", "create", "--uses", "3", "--quiet"))
        for name in ("one", "two"):
            made.start(name, "peer", "--profile", "edge", "--join-file", str(folder / "token"))
        made.start("open", "peer", "--join-file", str(folder / "token"))
        yield made


def test_nobody_outside_can_dial_a_device(devices: Devices) -> None:
    port = int(devices.status("one")["addresses"]["exchange"][0].rpartition(":")[2])
    at = (devices.hosts["one"].address, port)

    def dial(timeout_s: float) -> None:
        socket.create_connection(at, timeout=timeout_s).close()

    devices.hosts["two"].inside(lambda: dial(30.0))
    with pytest.raises(OSError, match=r"unreachable|timed out"):
        devices.hosts["open"].inside(lambda: dial(1.0))


def test_a_device_gives_what_it_holds_to_a_peer_outside_and_one_beside_it_when_all_else_is_gone(
    devices: Devices,
) -> None:
    source = devices.folder / "source"
    source.mkdir()
    (source / "roads.bin").write_bytes(bytes(range(256)) * 4096 * 3)
    devices.run("one", "publish", str(source), REFERENCE, "--quiet")
    peers = {name: devices.status(name)["peer_id"] for name in ("one", "two", "open")}
    wait_for("the device has dialled out", lambda: peers["one"] in devices.status("open")["neighbours"])
    devices.standing["up"].process.kill()
    # What is pulled outside can come from nobody but the device, which nobody can dial.
    for name in ("open", "two"):
        pulled = json.loads(devices.run(name, "pull", REFERENCE, str(devices.folder / f"{name}-pulled"), "--json"))
        assert pulled["from"]["peers"] + pulled["from"]["origin"] > 0
        assert (devices.folder / f"{name}-pulled" / "roads.bin").read_bytes() == (source / "roads.bin").read_bytes()
    assert devices.status("one")["sent_bytes"][peers["open"]] > 0


def test_devices_of_a_site_hear_each_other_and_nobody_else_hears_them(devices: Devices) -> None:
    both = {"state": "on", "heard": 1}
    wait_for("they hear each other", lambda: [devices.status(name)["lan"] for name in ("one", "two")] == [both, both])
    assert devices.status("open")["lan"] == {"state": "off"}
    memory = devices.status("one")["memory"]
    assert memory["blocks_bytes"] <= memory["blocks_most_bytes"]
