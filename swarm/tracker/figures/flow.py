"""Who feeds whom: bytes of each second by giver and taker, and a ring of them to be played again. Pure.

Up to ``PEERS_MAX`` peers an edge is between two peers, beyond between two sites: so a frame has a bounded number of
edges whatever the swarm's size. What is beyond the largest ``EDGES_MAX`` is one number.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

PEERS_MAX: Final = 200
EDGES_MAX: Final = 400
# Edges that are summed up in one frame; of more than that only the sum is known.
SUMMED_MAX: Final = 4096
FRAMES: Final[tuple[tuple[int, int], ...]] = ((1, 300), (10, 360))

# A peer id, or the name of a site.
Edge = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Frame:
    """What moved in ``seconds`` that ended at ``at``. The largest edges first."""

    at: float
    seconds: float
    by_site: bool
    edges: tuple[tuple[Edge, int], ...]
    others_bytes: int
    # Of all of it, what an origin gave to who is none.
    origin_bytes: int = 0

    @property
    def bytes(self) -> int:
        return self.others_bytes + sum(size for _, size in self.edges)


class FlowFigures:
    """Edges as they are reported, closed into frames."""

    def __init__(self) -> None:
        self.by_site = False
        self._frames = tuple(deque[Frame](maxlen=most) for _, most in FRAMES)
        self._open: tuple[dict[Edge, int], ...] = tuple({} for _ in FRAMES)
        self._others = [0 for _ in FRAMES]
        self._origin = [0 for _ in FRAMES]
        self._begun: list[float | None] = [None for _ in FRAMES]
        # The last frame of a second, empty or not; and a number that rises with each that is not empty.
        self.last: Frame | None = None
        self.number = 0

    def add(self, giver: str, taker: str, size: int, *, is_origin: bool = False) -> None:
        """So many bytes more have gone this way. ``is_origin``: an origin gave them to who is none."""
        edge = (giver, taker)
        for place, edges in enumerate(self._open):
            self._origin[place] += size if is_origin else 0
            if edge in edges or len(edges) < SUMMED_MAX:
                edges[edge] = edges.get(edge, 0) + size
            else:
                self._others[place] += size

    def tick(self, now: float, peers: int) -> None:
        """Close the frames whose time is over. ``peers``: how many there are."""
        for place, (step_s, _) in enumerate(FRAMES):
            begun = self._begun[place]
            if begun is None:
                self._begun[place] = now
            elif now - begun >= step_s * 0.9:
                self._close(place, now, now - begun)
        by_site = peers > PEERS_MAX
        if by_site != self.by_site:
            # What was summed up by other names goes into frames of its own.
            for place, (_, begun) in enumerate(zip(FRAMES, self._begun, strict=True)):
                self._close(place, now, max(0.001, now - (begun or now)))
            self.by_site = by_site

    def _close(self, place: int, now: float, seconds: float) -> None:
        edges, others, origin = self._open[place], self._others[place], self._origin[place]
        found = sorted(edges.items(), key=lambda item: item[1], reverse=True)
        others += sum(size for _, size in found[EDGES_MAX:])
        frame = Frame(now, seconds, self.by_site, tuple(found[:EDGES_MAX]), others, origin)
        edges.clear()
        self._others[place], self._origin[place], self._begun[place] = 0, 0, now
        if place == 0:
            self.last = frame
        if frame.edges or frame.others_bytes:
            self._frames[place].append(frame)
            self.number += place == 0

    def since(self, since: float) -> list[Frame]:
        """The frames after a moment, in order: of 1 s as far as these reach back, of 10 s before."""
        fine, coarse = self._frames
        first = fine[0].at - fine[0].seconds if fine else float("inf")
        before = [frame for frame in coarse if since < frame.at <= first]
        return before + [frame for frame in fine if frame.at > since]


def names_in(frames: Iterable[Frame]) -> list[str]:
    """Every giver and taker, in the order of first use."""
    return list(dict.fromkeys(name for frame in frames for edge, _ in frame.edges for name in edge))
