"""What a peer knows of the time besides its machine's clock (``swarm.clock``), over restarts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from swarm import canonical, clock
from swarm.errors import AetherError
from swarm.records import Credential, term_of

if TYPE_CHECKING:
    from swarm.peer.node import PeerNode

STATE: Final = "clock"


def know_time(node: PeerNode) -> None:
    """Take the floor that our papers give, and what was seen before the last process ended."""
    try:
        issued, expires = term_of(node.papers.credential, Credential, node.access.authority)
    except AetherError:
        return  # Papers under a key that is not known yet say nothing.
    clock.have_papers(issued)
    seen = canonical.try_decode(node.home.read_state(STATE) or b"", int, limit_bytes=16)
    if seen is not None:
        clock.have_seen(seen, expires)


def keep_time(node: PeerNode) -> None:
    """Write down how late it is, where the machine will not know."""
    if clock.is_wrong():
        node.home.write_state(STATE, canonical.encode(int(clock.wall_now())))
