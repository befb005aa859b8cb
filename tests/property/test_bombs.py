"""Bombs are refused under a ceiling of memory: in a process of its own, which has no more than it needs."""

from __future__ import annotations

import subprocess
import sys

from swarm.limits import MIB
from tests.property.bombs import bombs


def test_no_decoder_is_blown_up() -> None:
    done = subprocess.run([sys.executable, "-m", "tests.property.bombs"], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_bombs_are_some() -> None:
    """What a bomb becomes where nobody looks before."""
    import zstandard

    thrown = bombs()
    assert all(len(bomb) < 200_000 for bomb in thrown.values())
    silent = zstandard.ZstdDecompressor().decompressobj().decompress(thrown["does not state it"][1:])
    assert len(silent) == 64 * MIB
    window = thrown["a large window"][1:]
    assert zstandard.get_frame_parameters(window).window_size == 1 << 31
    assert zstandard.ZstdDecompressor().decompress(window) == bytes(256)
