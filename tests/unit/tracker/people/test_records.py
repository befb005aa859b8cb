"""Golden bytes of what is kept of people and services: a change here is another format, and needs another number."""

from __future__ import annotations

from typing import Any

import pytest

from swarm import canonical
from swarm.limits import RECORD_MAX_BYTES
from tests.property.shown import KEPT_ISSUER, SERVICE, SESSION, SIGNED_OUT, USER

GOLDEN = {
    "user": (
        "9501a5616c69636591a36f707394c4100000000000000000000000000000000003ce04000000c42000000000000000000000"
        "00000000000000000000000000000000000000000000ce6b49d200"
    ),
    "service": (
        "9701c4080000000000000000a2636990c4200000000000000000000000000000000000000000000000000000000000000000"
        "ce6b49d200ce6b49d23c"
    ),
    "issuer": (
        "930199a4636f7270b668747470733a2f2f69642e6578616d706c652e6f7267a86165746865726673a8616574686572667393"
        "a66f70656e6964a770726f66696c65ae6f66666c696e655f616363657373a3737562a667726f75707392a55253323536a545"
        "53323536a0ce6b49d200"
    ),
    "signed out": ("9301af757365723a636f72702f616c696365ce6b49d200"),
    "session": (
        "9701c4080000000000000000a6626561726572a5616c696365c41000000000000000000000000000000000ce6b49d200ce6b49d23c"
    ),
}
MADE: dict[str, Any] = {
    "user": USER,
    "service": SERVICE,
    "issuer": KEPT_ISSUER,
    "signed out": SIGNED_OUT,
    "session": SESSION,
}


@pytest.mark.parametrize("name", MADE)
def test_the_same_bytes_are_made_and_read(name: str) -> None:
    made = MADE[name]
    assert canonical.encode(made).hex() == GOLDEN[name]
    assert canonical.decode(bytes.fromhex(GOLDEN[name]), type(made), limit_bytes=RECORD_MAX_BYTES) == made
