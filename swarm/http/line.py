"""What this process moves over its line, headers and all: what an interface's counters see of it.

Blocks are counted where they are given and taken; the packets that carry them are counted by the system, for each
connection (Linux, ``TCP_INFO``, since 4.19): bytes with those that were sent again, and segments, acknowledgements
among them. So headers are counted and not estimated: how large a segment is depends on the line, and how many
acknowledgements there are on both ends. Counted are all connections of the swarm (streams of blocks, channels, calls,
a tracker's listener) and the DHT's datagrams; not the object store's, an agent's own, beacons, and what a machine says
to itself over an address of its own, which does not come to its interface. Elsewhere than on Linux nothing is known.

One for a process, as the system's own counters are. Safe from any thread.
"""

from __future__ import annotations

import socket
import struct
import sys
import threading
from ipaddress import ip_address
from typing import Any, Final

# Of a packet: Ethernet's header, IP's by its version, TCP's without and with timestamps, UDP's.
ETHERNET: Final = 14
IPV4: Final = 20
IPV6: Final = 40
TCP: Final = 20
TIMESTAMPS: Final = 12
UDP: Final = 8
MAPPED: Final = "::ffff:"
# struct tcp_info of linux/tcp.h: tcpi_options, bytes_received, segs_out, segs_in, bytes_sent; and a bit of options.
_INFO_BYTES: Final = 232
_OPTIONS, _RECEIVED, _SEGMENTS, _SENT = struct.Struct("B"), struct.Struct("Q"), struct.Struct("II"), struct.Struct("Q")
_OPTIONS_AT, _RECEIVED_AT, _SEGMENTS_AT, _SENT_AT = 5, 128, 136, 200
_HAS_TIMESTAMPS: Final = 1


class Line:
    """Use ``LINE``."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        # With the size of a packet's headers but for TCP's.
        self._open: dict[socket.socket, int] = {}
        self._sent = self._received = 0

    def opened(self, connection: socket.socket) -> None:
        """Count what this connection moves, and has moved. It is connected, or about to be."""
        # Now, as a connection that has ended does not tell any more with whom it was.
        headers = _headers(connection)
        if headers:
            with self._lock:
                self._open[connection] = headers

    def closing(self, connection: socket.socket) -> None:
        """It is closed after this: its last word."""
        with self._lock:
            headers = self._open.pop(connection, None)
            if headers is not None:
                sent, received = _moved(connection, headers)
                self._sent += sent
                self._received += received

    def sent_datagram(self, size: int, *, is_v6: bool) -> None:
        with self._lock:
            self._sent += size + ETHERNET + UDP + (IPV6 if is_v6 else IPV4)

    def received_datagram(self, size: int, *, is_v6: bool) -> None:
        with self._lock:
            self._received += size + ETHERNET + UDP + (IPV6 if is_v6 else IPV4)

    def totals(self) -> tuple[int, int]:
        """Bytes sent and received since the process began."""
        with self._lock:
            for connection in [each for each in self._open if each.fileno() < 0]:
                del self._open[connection]
            moved = [_moved(connection, headers) for connection, headers in self._open.items()]
            return self._sent + sum(sent for sent, _ in moved), self._received + sum(received for _, received in moved)


LINE: Final = Line()


class CountedSocket(socket.socket):
    """A connection that is counted until it is closed: for who hands sockets to asyncio, which closes them itself.
    ``there`` is where it connects to.
    """

    there = ""

    def connect(self, address: Any) -> None:
        self.there = str(address[0])
        try:
            super().connect(address)
        finally:
            # It may go on by itself; where from is known.
            LINE.opened(self)

    def close(self) -> None:
        LINE.closing(self)
        super().close()

    def detach(self) -> int:
        LINE.closing(self)
        return super().detach()


def counted_socket(address: tuple[int, int, int, str, Any]) -> CountedSocket:
    """For aiohttp: a socket for an address as ``getaddrinfo`` tells it."""
    return CountedSocket(*address[:3])


def counted(connection: socket.socket) -> CountedSocket:
    """The same connection, counted from now on."""
    timeout = connection.gettimeout()
    made = CountedSocket(connection.family, connection.type, connection.proto, connection.detach())
    made.settimeout(timeout)
    LINE.opened(made)
    return made


def _headers(connection: socket.socket) -> int:
    """Of each packet, but for TCP's; 0 for what does not come to an interface, or has ended already."""
    there = connection.there if isinstance(connection, CountedSocket) else ""
    try:
        return headers_between(connection.getsockname()[0], there or connection.getpeername()[0])
    except OSError:
        return 0


def headers_between(here: str, there: str) -> int:
    """Of a packet between two addresses, but for TCP's: 0 if that is one machine, and not by its loopback."""
    if here == there and not ip_address(there.removeprefix(MAPPED)).is_loopback:
        return 0
    return ETHERNET + (IPV6 if ":" in there.removeprefix(MAPPED) else IPV4)


def _moved(connection: socket.socket, headers: int) -> tuple[int, int]:
    """Bytes on the line, sent and received."""
    if not sys.platform.startswith("linux"):
        return 0, 0
    try:
        info = connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _INFO_BYTES)
    except OSError:
        return 0, 0
    if len(info) < _SENT_AT + _SENT.size:
        return 0, 0
    (options,), (received,) = _OPTIONS.unpack_from(info, _OPTIONS_AT), _RECEIVED.unpack_from(info, _RECEIVED_AT)
    (segments_out, segments_in), (sent,) = _SEGMENTS.unpack_from(info, _SEGMENTS_AT), _SENT.unpack_from(info, _SENT_AT)
    headers += TCP + (TIMESTAMPS if options & _HAS_TIMESTAMPS else 0)
    return sent + segments_out * headers, received + segments_in * headers
