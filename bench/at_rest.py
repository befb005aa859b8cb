"""What sealing costs a peer's disk tier: blocks put and read again, plain and sealed by turns, as ratios of one run."""

from __future__ import annotations

import random
import shutil
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from swarm.at_rest import SealKey
from swarm.encoding import Encoded, encode_raw
from swarm.limits import BLOCK_TARGET_BYTES
from swarm.signature import signature_of
from swarm.store.disk import DiskStore

Block = tuple[bytes, Encoded]


@dataclass(frozen=True, slots=True)
class AtRest:
    """Megabytes a second of the median round, and sealed to plain."""

    put_plain: float
    put_sealed: float
    get_plain: float
    get_sealed: float

    @property
    def lines(self) -> list[str]:
        both = {"put": (self.put_plain, self.put_sealed), "get": (self.get_plain, self.get_sealed)}
        return [
            f"{name}: {plain:.0f} MB/s plain, {sealed:.0f} sealed: {sealed / plain:.2f}"
            for name, (plain, sealed) in both.items()
        ]


def run_at_rest(size_bytes: int, rounds: int, folder: Path) -> AtRest:
    """Measure both kinds of store by turns, in a fresh folder each."""
    rng = random.Random(1)
    plains = [rng.randbytes(BLOCK_TARGET_BYTES) for _ in range(max(1, size_bytes // BLOCK_TARGET_BYTES))]
    blocks: list[Block] = [(signature_of(plain), encode_raw(plain)) for plain in plains]
    puts: dict[str, list[float]] = {"plain": [], "sealed": []}
    gets: dict[str, list[float]] = {"plain": [], "sealed": []}
    for number in range(rounds):
        for kind in ("plain", "sealed") if number % 2 else ("sealed", "plain"):
            path = folder / f"{kind}-{number}"
            store = DiskStore(path, 1 << 40, SealKey(bytes(32)) if kind == "sealed" else None)
            puts[kind].append(_rate(blocks, lambda one, store=store: store.put(*one)))  # type: ignore[misc]
            gets[kind].append(_rate(blocks, lambda one, store=store: _found(store, one[0])))  # type: ignore[misc]
            shutil.rmtree(path)
    middle = {name: statistics.median(rates) for name, rates in puts.items()}
    read = {name: statistics.median(rates) for name, rates in gets.items()}
    return AtRest(middle["plain"], middle["sealed"], read["plain"], read["sealed"])


def _found(store: DiskStore, signature: bytes) -> None:
    if store.get(signature) is None:
        raise AssertionError("a block that was put is not there")


def _rate(
    blocks: list[tuple[bytes, bytes | bytearray]], work: Callable[[tuple[bytes, bytes | bytearray]], None]
) -> float:
    began = time.perf_counter()
    for one in blocks:
        work(one)
    return sum(len(encoded) for _, encoded in blocks) / 1e6 / (time.perf_counter() - began)
