"""A network of namespaces for one measurement: a host each, veth pairs to a bridge, rates on both directions.

Hosts beside the origin share the core's bridge (10.77.0.0/24). A site is a namespace of its own that bridges its hosts
(10.77.SITE.0/24) and routes over one WAN link to the core, or translates addresses there (nftables): then the core
knows no way into the site. Rates are token buckets on both ends of each link, and
offloads are off, so that an interface's counters see every packet with its headers. All names carry this process's id;
whatever was made is deleted when the context ends. Needs root, and nothing leaves the namespaces.
"""

from __future__ import annotations

import ctypes
import os
import subprocess
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeVar

from bench.debian import missing_program, program_path
from bench.leftovers import namespace_prefix
from bench.processes import BenchError, run_plain
from bench.scenarios import Link, Scenario

NETWORK: Final = "10.77"
WAN: Final = "10.78"
CORE: Final = "core"
BUCKET: Final = ("burst", "32kb", "latency", "20ms")
FOLDER: Final = Path("/run/netns")
# As a home router does it: what goes out comes from the router's one address, and only answers come in.
NAT_RULES: Final = (
    "table ip nat { chain out { type nat hook postrouting priority 100; oifname wan masquerade; }; "
    "chain in { type filter hook forward priority 0; iifname wan ct state != { established, related } drop; }; }"
)
Result = TypeVar("Result")
_CLONE_NEWNET: Final = 0x40000000
_libc: Final = ctypes.CDLL(None, use_errno=True)


@dataclass(frozen=True, slots=True)
class Host:
    """One machine of the network. ``site`` is its site's name, empty beside the origin."""

    number: int
    namespace: str
    address: str
    site: str

    def command(self, *command: str) -> list[str]:
        """That command, inside this host; its process is the command's own."""
        return [program_path("ip"), "netns", "exec", self.namespace, *command]

    def enter(self) -> None:
        """Let the calling thread be inside this host: the sockets it opens from now on are there."""
        descriptor = os.open(FOLDER / self.namespace, os.O_RDONLY)
        try:
            if _libc.setns(descriptor, _CLONE_NEWNET):
                raise BenchError(f"cannot enter {self.namespace}: {os.strerror(ctypes.get_errno())}")
        finally:
            os.close(descriptor)

    def inside(self, work: Callable[[], Result]) -> Result:
        """What ``work`` returns when it runs inside this host."""

        def enter_and_work() -> Result:
            self.enter()
            return work()

        with ThreadPoolExecutor(1) as pool:
            return pool.submit(enter_and_work).result()


@dataclass(frozen=True, slots=True)
class Network:
    """What was made. ``hosts[0]`` is the origin, then the peers in their order."""

    hosts: tuple[Host, ...]
    counters: Path
    sites: int

    def origin_sent_bytes(self) -> int:
        """What has come out of the origin's interface so far, headers and all."""
        return self._received("h0")

    def sent_by(self, number: int) -> int:
        """What has come out of that host's interface so far."""
        return self._received(f"h{number}")

    def received_by(self, number: int) -> int:
        """What has gone into that host's interface so far."""
        return self._sent(f"h{number}")

    def site_received_bytes(self) -> list[int]:
        """What has gone into each site over its WAN link so far."""
        return [self._sent(f"w{site}") for site in range(1, self.sites + 1)]

    def _received(self, device: str) -> int:
        return int(self._fields(device)[0])

    def _sent(self, device: str) -> int:
        return int(self._fields(device)[8])

    def _fields(self, device: str) -> list[str]:
        for line in self.counters.read_text().splitlines():
            name, _, numbers = line.partition(":")
            if name.strip() == device:
                return numbers.split()
        raise BenchError(f"the core has no interface {device}")


def missing_network() -> str | None:
    """Why no network can be made here; None when one can. Installs what is missing, as root."""
    if os.geteuid() != 0:
        return "network namespaces need root: run it as root"
    for program, package in (("ip", "iproute2"), ("tc", "iproute2"), ("ethtool", "ethtool")):
        if why := missing_program(program, package, is_root=True):
            return why
    return None


def missing_nat() -> str | None:
    """Why no addresses can be translated here; None when they can."""
    return missing_network() or missing_program("nft", "nftables", is_root=True)


@contextmanager
def make_network(scenario: Scenario) -> Iterator[Network]:
    """Make the scenario's network. Raises BenchError when the kernel has not what it takes."""
    with ExitStack() as stack:
        builder = _Builder(stack, namespace_prefix())
        builder.switch(CORE, f"{NETWORK}.0.1")
        for site in range(1, scenario.sites + 1):
            builder.site(site, scenario.wan_bits_per_s, is_nat=scenario.is_nat)
        hosts = [
            builder.host(number, link, is_told=not scenario.is_nat)
            for number, link in enumerate((scenario.origin, *scenario.peers))
        ]
        yield Network(tuple(hosts), builder.counters(), scenario.sites)


class _Builder:
    """Makes namespaces and links, and leaves their removal on the stack."""

    def __init__(self, stack: ExitStack, prefix: str) -> None:
        self._stack = stack
        self._prefix = prefix

    def switch(self, name: str, address: str) -> None:
        """A namespace whose bridge joins hosts, and routes for them."""
        space = self._namespace(name)
        ip("-n", space, "link", "add", "name", "br0", "type", "bridge")
        ip("-n", space, "addr", "add", f"{address}/24", "dev", "br0")
        ip("-n", space, "link", "set", "br0", "up")
        self._set(space, "net.ipv4.ip_forward", "1")
        for protocol in ("iptables", "ip6tables", "arptables"):
            self._set(space, f"net.bridge.bridge-nf-call-{protocol}", "0", needed=False)

    def site(self, site: int, wan_bits_per_s: int, *, is_nat: bool) -> None:
        """A site's switch, and its WAN link to the core."""
        name = f"s{site}"
        self.switch(name, f"{NETWORK}.{site}.1")
        core, space = self._space(CORE), self._space(name)
        self._pair(space, "wan", core, f"w{site}", wan_bits_per_s, wan_bits_per_s)
        for side, device, last in ((core, f"w{site}", 1), (space, "wan", 2)):
            ip("-n", side, "addr", "add", f"{WAN}.{site}.{last}/30", "dev", device)
        ip("-n", space, "route", "add", "default", "via", f"{WAN}.{site}.1")
        if is_nat:
            ip("netns", "exec", space, program_path("nft"), NAT_RULES)
        else:
            ip("-n", core, "route", "add", f"{NETWORK}.{site}.0/24", "via", f"{WAN}.{site}.2")

    def host(self, number: int, link: Link, *, is_told: bool) -> Host:
        """One host on its switch. ``is_told``: contenders are told its site."""
        space = self._namespace(f"h{number}")
        switch = self._space(f"s{link.site}" if link.site else CORE)
        address = f"{NETWORK}.{link.site}.{number + 10}"
        self._pair(space, "eth0", switch, f"h{number}", link.up_bits_per_s, link.down_bits_per_s)
        ip("-n", switch, "link", "set", f"h{number}", "master", "br0")
        ip("-n", space, "addr", "add", f"{address}/24", "dev", "eth0", "broadcast", "+")
        ip("-n", space, "route", "add", "default", "via", f"{NETWORK}.{link.site}.1")
        return Host(number, space, address, f"site{link.site}" if link.site and is_told else "")

    def counters(self) -> Path:
        """The core's interface counters: a process that sleeps there lends its view of them."""
        # A child that is still starting shows the caller's interfaces: when it has said something it is inside.
        inside = ["sh", "-c", "echo; exec sleep infinity"]
        command = [program_path("ip"), "netns", "exec", self._space(CORE), *inside]
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, start_new_session=True)
        self._stack.callback(_end, process)
        if process.stdout is None or not process.stdout.readline():
            raise BenchError("the core's namespace runs no process")
        return Path(f"/proc/{process.pid}/net/dev")

    def _space(self, name: str) -> str:
        return f"{self._prefix}{name}"

    def _namespace(self, name: str) -> str:
        space = self._space(name)
        # First: whatever interrupts the making of it, it is deleted.
        self._stack.callback(_delete, space)
        ip("netns", "add", space)
        ip("-n", space, "link", "set", "lo", "up")
        return space

    def _pair(self, space: str, device: str, switch: str, port: str, up: int, down: int) -> None:
        ip("link", "add", device, "netns", space, "type", "veth", "peer", "name", port, "netns", switch)
        for side, end, rate in ((space, device, up), (switch, port, down)):
            ip("netns", "exec", side, program_path("ethtool"), "-K", end, "gso", "off", "tso", "off", "gro", "off")
            shape = ("root", "tbf", "rate", f"{rate}bit", *BUCKET)
            run_plain([program_path("tc"), "-n", side, "qdisc", "add", "dev", end, *shape])
            ip("-n", side, "link", "set", end, "up")

    def _set(self, space: str, setting: str, value: str, *, needed: bool = True) -> None:
        path = Path("/proc/sys", *setting.split("."))
        try:
            ip("netns", "exec", space, "sh", "-c", f"echo {value} >{path}")
        except BenchError:
            if needed:
                raise


def ip(*arguments: str) -> None:
    """Run ip, or raise BenchError."""
    run_plain([program_path("ip"), *arguments])


def _delete(space: str) -> None:
    subprocess.run([program_path("ip"), "netns", "delete", space], capture_output=True, check=False)


def _end(process: subprocess.Popen[bytes]) -> None:
    process.kill()
    process.wait()
    if process.stdout is not None:
        process.stdout.close()
