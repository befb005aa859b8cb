"""Who of several is to do what: rendezvous hashing of blocks among peers.

Every peer computes the same shares from the same members without a word between them, and when one goes only its own
share moves (Thaler and Ravishankar, 1998: a block is the member's with the highest hash of both). Used twice: peers of
one site agree which of them fetches a block from afar, and of several origins each is asked for its share. Pure.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection
from typing import Final

# Blocks are hashed in at most so many groups of neighbouring ones: a million blocks must not cost seconds.
GROUPS_MAX: Final = 4096


# What is asked of one of several origins: neighbouring blocks of 20 to 40 MiB, for seeds read those of a pack together.
# Fewer, about 8 MiB, where there would else be less than so many groups to share.
ORIGIN_GROUP: Final = 128
ORIGIN_GROUP_LEAST: Final = 24
ORIGIN_GROUPS_LEAST: Final = 16


def group_of(count: int) -> int:
    """How many neighbouring blocks, of ``count``, are asked of the same origin. Seeds read by the same groups."""
    return max(-(-count // GROUPS_MAX), min(ORIGIN_GROUP, -(-count // ORIGIN_GROUPS_LEAST)), ORIGIN_GROUP_LEAST)


def shares(members: Collection[str], count: int, group: int = 1) -> dict[str, tuple[int, int]]:
    """For each member, the sets of those of ``count`` blocks for which it is first, and second, in rank.

    ``group``: so many neighbouring blocks are the same member's, or more.
    """
    group = max(group, -(-count // GROUPS_MAX))
    everything = (1 << count) - 1
    first = dict.fromkeys(members, 0)
    second = dict.fromkeys(members, 0)
    if len(first) == 1:
        return dict.fromkeys(first, (everything, 0))
    for number, start in enumerate(range(0, count, group)):
        blocks = ((1 << group) - 1) << start
        best, next_best = sorted(first, key=lambda member: _weight(member, number), reverse=True)[:2]
        first[best] |= blocks
        second[next_best] |= blocks
    return {member: (first[member] & everything, second[member] & everything) for member in first}


def first_of(members: Collection[str], number: int) -> str:
    """The member whose the group of that number is."""
    return max(members, key=lambda member: _weight(member, number))


def offset_of(members: Collection[str], count: int) -> int:
    """Where these members begin, all at the same block: another site likely begins elsewhere."""
    return int.from_bytes(_weight(min(members), count)) % max(1, count)


def _weight(member: str, number: int) -> bytes:
    return hashlib.blake2b(number.to_bytes(4, "big") + member.encode(), digest_size=8).digest()
