"""What it means that an address cannot be listened on: one line, and the class that says whose matter it is."""

from __future__ import annotations

import errno
import socket

from swarm.errors import AetherError, ConflictError, NotAllowedError, UsageError


def cannot_listen(host: str, port: int, error: OSError, *, over: str = "tcp") -> AetherError:
    """The error to raise instead."""
    where = f"cannot listen on {host}:{port}/{over}"
    if error.errno == errno.EADDRINUSE:
        return ConflictError(f"{where}: another process does; take another --port-base, or 0 for free ports")
    if error.errno in (errno.EACCES, errno.EPERM):
        return NotAllowedError(f"{where}: this user may not use that port; take a --port-base above 1023")
    if error.errno == errno.EADDRNOTAVAIL or isinstance(error, socket.gaierror):
        return UsageError(f"{where}: this machine has no such address; check --listen")
    return AetherError(f"{where}: {error.strerror or error}; take another --port-base, or 0 for free ports")
