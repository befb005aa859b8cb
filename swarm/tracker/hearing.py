"""What a tracker hears of peers that follow a dataset, for rollouts. Pure: presence and time are arguments."""

from __future__ import annotations

from swarm.rollout import Who
from swarm.rollout_health import Heard
from swarm.tracker.presence import Presence


def heard_of(presence: Presence, dataset: str, now: float) -> list[Heard]:
    """Everybody but seeds who holds or fetches some version of a dataset, and what of it is whole there."""
    found: list[Heard] = []
    for peer in presence.latest(now):
        held = [holding for (name, _), holding in peer.holdings.items() if name == dataset]
        if held and not peer.keeps:
            has = frozenset(holding.version for holding in held if holding.complete)
            found.append(Heard(Who(peer.peer_id, peer.labels), has))
    return found
