"""Where the uplinks' capacity goes: a line of JSON every half second of a run.

Of each class of line (Mbit/s up) the share of its uplinks that was used, and of what was not, why: nobody near lacks
what the peer holds (``nothing``), who lacks it has asked others for it (``elsewhere``) or asked nobody though it may
(``unasked``), what is asked for waits though there are slots (``withheld``), all slots are taken and receivers' lines
are full (``receivers``). And how many blocks at least 1, 10, 100 peers hold, the age of what is spread, and what is
asked for. For looking at a run; nothing depends on it.
"""

from __future__ import annotations

import json
from collections import defaultdict
from typing import Final, TextIO

from swarm.sim.links import MBIT
from swarm.sim.peer import Peer
from swarm.sim.swarm import Swarm

EVERY_S: Final = 0.5
# An uplink with less than this share unused is full.
FULL: Final = 0.97
REACHES: Final = (1, 10, 100)


class Trace:
    """Writes to ``out`` what ``swarm`` does, as long as it runs."""

    def __init__(self, swarm: Swarm, out: TextIO) -> None:
        self._swarm = swarm
        self._out = out
        self._sent: dict[str, float] = {}
        swarm.clock.after(EVERY_S, self._look)

    def _look(self) -> None:
        swarm = self._swarm
        classes: dict[str, list[Peer]] = defaultdict(list)
        for peer in swarm.peers.values():
            if not peer.gone:
                name = "origin" if peer.origin else f"{peer.access.up / MBIT:.0f}/{peer.access.down / MBIT:.0f}"
                classes[name].append(peer)
        told = {
            "s": round(swarm.now, 2),
            "used": {name: self._used(peers) for name, peers in sorted(classes.items())},
            "idle": {name: _reasons(peers) for name, peers in sorted(classes.items())},
            "held": self._held(),
            "asked": {name: _asked(peers) for name, peers in sorted(classes.items())},
            "blocks": {
                name: round(sum(peer.held.bit_count() for peer in peers) / len(peers))
                for name, peers in sorted(classes.items())
            },
        }
        self._out.write(json.dumps(told) + "\n")
        swarm.clock.after(EVERY_S, self._look)

    def _used(self, peers: list[Peer]) -> float:
        """Of all that these uplinks could carry since the last look."""
        sent = 0.0
        for peer in peers:
            now = peer.up.sent + sum(
                flow.size - flow.left + flow.rate * (self._swarm.now - flow.since) for flow in peer.up.flows
            )
            sent += now - self._sent.get(peer.name, 0.0)
            self._sent[peer.name] = now
        return round(sent / EVERY_S / sum(peer.up.rate for peer in peers), 3)

    def _held(self) -> dict[int, int]:
        peers = [peer for peer in self._swarm.peers.values() if not peer.origin]
        copies = [sum(peer.held >> index & 1 for peer in peers) for index in range(len(self._swarm.sizes))]
        return {reach: sum(count >= reach for count in copies) for reach in (*REACHES, len(peers))}


def _asked(peers: list[Peer]) -> list[float]:
    """At a giver of these, on average: runs that wait, and that are sent."""
    waiting = sum(peer.uploads.waiting for peer in peers)
    sending = sum(len(peer.sending) for peer in peers)
    return [round(waiting / len(peers), 1), round(sending / len(peers), 1)]


def _reasons(peers: list[Peer]) -> dict[str, float]:
    """Shares of these uplinks together that are unused at this moment, by reason."""
    unused: dict[str, float] = defaultdict(float)
    for peer in peers:
        if peer.up.used < FULL * peer.up.rate:
            unused[_reason(peer)] += peer.up.rate - peer.up.used
    total = sum(peer.up.rate for peer in peers)
    return {reason: round(rate / total, 3) for reason, rate in sorted(unused.items())}


def _reason(peer: Peer) -> str:
    if peer.uploads.waiting:
        return "receivers" if len(peer.sending) >= peer.uploads.slots.number else "withheld"
    if len(peer.sending) > 2:
        return "receivers"
    lacking = [n for n in peer.neighbours.values() if n.is_fetching and peer.held & ~n.held]
    if not lacking:
        return "nothing"
    free = [n for n in lacking if n.scheduler is not None and peer.held & n.scheduler.picker.missing]
    return "unasked" if free else "elsewhere"
