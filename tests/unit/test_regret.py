"""Stores count what they dropped and had to take again."""

from __future__ import annotations

from pathlib import Path

import pytest

from swarm.encoding import encode_block
from swarm.signature import signature_of
from swarm.store.disk import DiskStore
from swarm.store.memory import MemoryStore
from swarm.store.regret import Regret
from tests.datasets import seeded

BLOCKS = [seeded(f"block{number}", 1000) for number in range(4)]


@pytest.mark.parametrize("kind", ["memory", "disk"])
def test_what_was_evicted_and_comes_again_is_regretted(tmp_path: Path, kind: str) -> None:
    store = MemoryStore(2100) if kind == "memory" else DiskStore(tmp_path / "blocks", 2100)
    for plain in BLOCKS[:3]:
        store.put(signature_of(plain), encode_block(plain))
    assert (store.regret.evicted, store.regret.blocks) == (1, 0)
    store.put(signature_of(BLOCKS[0]), encode_block(BLOCKS[0]))
    assert (store.regret.evicted, store.regret.blocks, store.regret.bytes) == (2, 1, 1001)
    # What is here already, or was removed because it was asked to be, is none.
    store.put(signature_of(BLOCKS[0]), encode_block(BLOCKS[0]))
    store.remove(signature_of(BLOCKS[0]))
    store.put(signature_of(BLOCKS[0]), encode_block(BLOCKS[0]))
    assert store.regret.blocks == 1


def test_it_remembers_so_many() -> None:
    regret = Regret(most=2)
    for number in range(3):
        regret.dropped(bytes([number]) * 32)
    for number in range(3):
        regret.came(bytes([number]) * 32, 10)
    assert (regret.evicted, regret.blocks, regret.bytes) == (3, 2, 20)
