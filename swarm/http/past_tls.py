"""Reading and writing past the TLS of a connection that has it, in a thread, with the system doing the waiting.

A blocking call with a time limit in the system costs one step into it however many packets it waits for; Python's own
timeouts cost a step to wait and one to read for each. What is read or written here must not be TLS's.
"""

from __future__ import annotations

import socket
import struct


def limit_waits(connection: socket.socket, option: int, limit_s: float) -> None:
    """End a wait of a blocking call after this long. ``option``: socket.SO_RCVTIMEO or SO_SNDTIMEO."""
    connection.setsockopt(socket.SOL_SOCKET, option, struct.pack("@ll", int(limit_s), int(limit_s % 1 * 1e6)))


def read_past(connection: socket.socket, view: memoryview) -> int:
    """Fill the view: how many bytes came before that, the end (0) or the time limit. BlockingIOError when none did."""
    return socket.socket.recv_into(connection, view, 0, socket.MSG_WAITALL)


def read_ready(connection: socket.socket, view: memoryview) -> int:
    """What is there already, as far as the view goes: how many bytes, 0 at the end. BlockingIOError when none is."""
    return socket.socket.recv_into(connection, view, 0, socket.MSG_DONTWAIT)


def write_past(connection: socket.socket, view: memoryview) -> int:
    """Hand all of it to the system: how many bytes it took in the time limit. BlockingIOError when it took none."""
    return socket.socket.send(connection, view)
