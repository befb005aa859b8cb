"""The nodes that were known last time, kept as canonical msgpack: places to start from, to be asked before they
count.
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import Final, Literal

import msgspec

from swarm import canonical
from swarm.dht.wire import Contact

SAVED_MAX: Final = 200
STATE_MAX_BYTES: Final = 64 * 1024


class _State(msgspec.Struct, array_like=True, frozen=True, forbid_unknown_fields=True):
    format: Literal[1]
    contacts: tuple[Contact, ...]


def save_contacts(path: Path, contacts: list[Contact]) -> None:
    """Write beside and rename. State that cannot be written is given up: it is only a head start."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    with contextlib.suppress(OSError):
        temporary.write_bytes(canonical.encode(_State(1, tuple(contacts[-SAVED_MAX:]))))
        os.replace(temporary, path)


def load_contacts(path: Path) -> tuple[Contact, ...]:
    """What was saved; nothing if there is none or it is damaged."""
    with contextlib.suppress(OSError):
        state = canonical.try_decode(path.read_bytes(), _State, limit_bytes=STATE_MAX_BYTES)
        if state is not None:
            return state.contacts
    return ()
