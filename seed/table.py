"""Searching packed signatures: sorted, 32 bytes each, end to end. A million of them are one object and not a million.

Signatures are hashes, so their values are spread evenly and a guess by proportion lands close. Somebody may have chosen
others: after a few guesses the rest is halved. Pure.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from operator import lt
from typing import Final

from swarm.signature import SIGNATURE_BYTES

# So many guesses, and none among as few as these: then halving is quicker (m).
GUESSES_MAX: Final = 6
FEW: Final = 4
_HEAD: Final = 8
_HEAD_VALUES: Final = 1 << 8 * _HEAD


def packed(signatures: Iterable[bytes]) -> bytes:
    """Signatures, sorted, each once."""
    return b"".join(sorted(set(signatures)))


def each(signatures: bytes) -> Iterator[bytes]:
    """One after another."""
    return (signatures[at : at + SIGNATURE_BYTES] for at in range(0, len(signatures), SIGNATURE_BYTES))


def count(signatures: bytes) -> int:
    return len(signatures) // SIGNATURE_BYTES


def is_packed(signatures: bytes) -> bool:
    """Whether these are whole signatures that rise."""
    later = each(signatures)
    next(later, None)
    return len(signatures) % SIGNATURE_BYTES == 0 and all(map(lt, each(signatures), later))


def find(signatures: bytes, wanted: bytes) -> int:
    """The number of a signature among packed ones, or -1."""
    low, high = _narrowed(signatures, wanted)
    while low < high:
        middle = (low + high) >> 1
        if signatures[middle * SIGNATURE_BYTES : (middle + 1) * SIGNATURE_BYTES] < wanted:
            low = middle + 1
        else:
            high = middle
    at = low * SIGNATURE_BYTES
    return low if signatures[at : at + SIGNATURE_BYTES] == wanted else -1


def _narrowed(signatures: bytes, wanted: bytes) -> tuple[int, int]:
    """From where to where a signature can stand: guessed by its first bytes between those of the bounds."""
    key = int.from_bytes(wanted[:_HEAD], "big")
    low, high = 0, len(signatures) // SIGNATURE_BYTES
    low_key, high_key = 0, _HEAD_VALUES
    for _ in range(GUESSES_MAX):
        if high - low <= FEW or not low_key <= key < high_key:
            break
        guess = low + (key - low_key) * (high - low) // (high_key - low_key)
        at = guess * SIGNATURE_BYTES
        found = signatures[at : at + SIGNATURE_BYTES]
        if found < wanted:
            low, low_key = guess + 1, int.from_bytes(found[:_HEAD], "big")
        else:
            high, high_key = guess, int.from_bytes(found[:_HEAD], "big")
            if found == wanted:
                return guess, guess
    return low, high
