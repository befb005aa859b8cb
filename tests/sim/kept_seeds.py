"""Seeds that once failed, or were the worst: scenario, peers, blocks, seed. Each is run at every test from then on."""

from __future__ import annotations

from typing import Final

KEPT: Final = (
    # Blocks that were given to free riders were asked for at the origin again and again without insistence.
    ("freeriders", 20, 64, 1),
    ("freeriders", 20, 64, 2),
    ("freeriders", 20, 64, 3),
    # A slow neighbour holds everything, and the origin was left alone for too long.
    ("slow-neighbour-holds-all", 8, 64, 1),
    # The only holder is slow: of twenty seeds the last peer's worst, 1.41 of its bound. Who waits long insists, and the
    # last blocks are sent to ten at once.
    ("only-holder-slow", 12, 32, 13),
    # What a liar sent was also asked of another, whose run was then forgotten with it.
    ("churn", 30, 32, 1),
    ("churn", 30, 32, 14),
)

# Of news: scenario, peers, seed, and within how many seconds the last has heard. All neighbours of one vanish, or take
# news and pass none on; it heard when their heartbeats were missed, after 15 to 18 s.
KEPT_NEWS: Final = (("news-no-tracker", 1000, 11, 10.0),)
