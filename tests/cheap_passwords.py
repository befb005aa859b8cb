"""Password hashes that cost little, for tests that count how many are made."""

from __future__ import annotations

import pytest

from swarm.tracker.people import passwords
from swarm.tracker.people.passwords import NOBODYS, PasswordHash

MEMORY_BYTES = 8192


def make_passwords_cheap(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have everybody's hash, nobody's too, made with the least that argon2id takes."""
    monkeypatch.setattr(passwords, "PASSES", 1)
    monkeypatch.setattr(passwords, "MEMORY_BYTES", MEMORY_BYTES)
    monkeypatch.setattr(passwords, "NOBODYS", PasswordHash(NOBODYS.salt, 1, MEMORY_BYTES, NOBODYS.digest))
