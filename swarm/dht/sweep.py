"""Planning a sweep: which keys go to which nodes, in as few packets as can be.

Keys are taken in order. One lookup finds all nodes of the region around a key: the subtree that holds its closest
nodes. Every further key in that subtree has its closest nodes there too and needs no lookup. Per node, keys are then
gathered into batches. Pure.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

REPLICAS: Final = 8
# Nodes that a region's lookup asks for: a subtree with 8 nodes rarely holds more.
REGION_WIDTH: Final = 20
BITS: Final = 160


def region_bits(key: int, nodes: Sequence[int]) -> int:
    """The length of the prefix of ``key`` that REPLICAS of the nodes share: the region. 0 when there are fewer
    nodes.
    """
    distances = sorted(key ^ node for node in nodes)
    if len(distances) <= REPLICAS:
        return 0
    return BITS - distances[REPLICAS - 1].bit_length()


def in_region(key: int, around: int, bits: int) -> bool:
    """Whether two keys share a prefix of ``bits``."""
    return bits == 0 or (key ^ around) >> (BITS - bits) == 0


def assign(keys: Sequence[bytes], nodes: Sequence[bytes]) -> dict[bytes, list[bytes]]:
    """For each node, the keys that it is among the REPLICAS closest of."""
    numbers = [(int.from_bytes(node, "big"), node) for node in nodes]
    assigned: dict[bytes, list[bytes]] = {}
    for key in keys:
        number = int.from_bytes(key, "big")
        for _, node in sorted(numbers, key=lambda item: item[0] ^ number)[:REPLICAS]:
            assigned.setdefault(node, []).append(key)
    return assigned


def batches(keys: Sequence[bytes], size: int) -> Iterator[list[bytes]]:
    """The keys, ``size`` at a time."""
    for start in range(0, len(keys), size):
        yield list(keys[start : start + size])
