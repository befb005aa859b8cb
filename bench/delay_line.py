"""Two namespaces, far from one another: what one sends comes to the other after a delay, in order.

The line is two TUN devices, one a namespace, and threads here that carry packets between: so handshakes of TCP and TLS
take their round trips as on a long way, with nothing of the programs altered. Needs root. All names carry this
process's id, and the namespaces go with the context.
"""

from __future__ import annotations

import fcntl
import os
import struct
import threading
import time
from collections import deque
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Final

from bench.leftovers import namespace_prefix
from bench.network import Host, ip

ADDRESSES: Final = ("10.79.0.1", "10.79.0.2")
DEVICE: Final = "far"
PACKET_MAX_BYTES: Final = 65_536
_TUNSETIFF: Final = 0x400454CA
_TUN_WITHOUT_HEAD: Final = 0x0001 | 0x1000


@contextmanager
def delay_line(one_way_s: float) -> Iterator[tuple[Host, Host]]:
    """Two hosts, ``one_way_s`` apart."""
    with ExitStack() as stack:
        hosts = tuple(_host(stack, number, address) for number, address in enumerate(ADDRESSES))
        ends = [_end(stack, host) for host in hosts]
        for this, that in (ends, reversed(ends)):
            _carry(this, that, one_way_s)
        yield hosts[0], hosts[1]


def _host(stack: ExitStack, number: int, address: str) -> Host:
    space = f"{namespace_prefix()}d{number}"
    stack.callback(ip, "netns", "delete", space)
    ip("netns", "add", space)
    ip("-n", space, "link", "set", "lo", "up")
    return Host(number, space, address, "")


def _end(stack: ExitStack, host: Host) -> int:
    """The device's other side: what the host sends is read there, what is written there it receives."""
    descriptor = host.inside(lambda: os.open("/dev/net/tun", os.O_RDWR))
    stack.callback(os.close, descriptor)
    fcntl.ioctl(descriptor, _TUNSETIFF, struct.pack("16sH22x", DEVICE.encode(), _TUN_WITHOUT_HEAD))
    ip("-n", host.namespace, "addr", "add", f"{host.address}/24", "dev", DEVICE)
    ip("-n", host.namespace, "link", "set", DEVICE, "up")
    return descriptor


def _carry(source: int, target: int, delay_s: float) -> None:
    """Two threads, which end when a descriptor is closed or the process ends."""
    under_way: deque[tuple[float, bytes]] = deque()
    arrived = threading.Semaphore(0)

    def take() -> None:
        while packet := _read(source):
            under_way.append((time.monotonic() + delay_s, packet))
            arrived.release()

    def give() -> None:
        while arrived.acquire():
            due, packet = under_way.popleft()
            time.sleep(max(0.0, due - time.monotonic()))
            try:
                os.write(target, packet)
            except OSError:
                return

    for work in (take, give):
        threading.Thread(target=work, daemon=True).start()


def _read(descriptor: int) -> bytes:
    try:
        return os.read(descriptor, PACKET_MAX_BYTES)
    except OSError:
        return b""
