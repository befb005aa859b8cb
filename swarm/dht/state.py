"""The nodes that were known last time, as canonical msgpack: places to start from, asked before they count."""

from __future__ import annotations

import logging
import os
from pathlib import Path
from typing import Annotated, Literal

import msgspec

from swarm import canonical
from swarm.dht.wire import Contact
from swarm.limits import DHT_SAVED_NODES_MAX

STATE_MAX_BYTES = 128 * DHT_SAVED_NODES_MAX

log = logging.getLogger("aetherfs.dht")


class _State(msgspec.Struct, array_like=True, frozen=True, forbid_unknown_fields=True):
    format: Literal[1]
    contacts: Annotated[tuple[Contact, ...], msgspec.Meta(max_length=DHT_SAVED_NODES_MAX)]


def save_contacts(path: Path, contacts: list[Contact]) -> None:
    """Write beside and rename. State that cannot be written is given up: it is only a head start."""
    if not contacts:
        return
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        temporary.write_bytes(canonical.encode(_State(1, tuple(contacts[:DHT_SAVED_NODES_MAX]))))
        os.replace(temporary, path)
    except OSError as error:
        log.info("the known DHT nodes are not saved: %s", error)
        temporary.unlink(missing_ok=True)


def load_contacts(path: Path) -> tuple[Contact, ...]:
    """What was saved; nothing if there is none or it is damaged."""
    try:
        with path.open("rb") as file:
            data = file.read(STATE_MAX_BYTES + 1)
    except OSError as error:
        log.debug("no DHT nodes are known from before: %s", error)
        return ()
    state = canonical.try_decode(data, _State, limit_bytes=STATE_MAX_BYTES)
    return () if state is None else state.contacts
