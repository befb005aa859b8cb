"""Each reason why an address cannot be listened on has the class, and so the exit code, that it should have."""

from __future__ import annotations

import errno
import socket

import pytest

from swarm.errors import AetherError, ConflictError, NotAllowedError, UsageError
from swarm.listening import cannot_listen


@pytest.mark.parametrize(
    ("error", "kind", "advice"),
    [
        (OSError(errno.EADDRINUSE, "in use"), ConflictError, "--port-base"),
        (OSError(errno.EACCES, "denied"), NotAllowedError, "above 1023"),
        (OSError(errno.EADDRNOTAVAIL, "no such"), UsageError, "--listen"),
        (socket.gaierror(socket.EAI_NONAME, "unknown"), UsageError, "--listen"),
        (OSError(errno.EMFILE, "too many files"), AetherError, "too many files"),
    ],
)
def test_why_nothing_listens_there(error: OSError, kind: type[AetherError], advice: str) -> None:
    told = cannot_listen("127.0.0.1", 80, error)
    assert type(told) is kind
    assert "127.0.0.1:80" in str(told)
    assert advice in str(told)
