"""What all tests share: those that need root are named as skipped without it."""

from __future__ import annotations

import os

import pytest
from hypothesis import settings

# ``make soak`` chooses it; a test that asks for fewer or more examples than the usual 100 gets so many times more.
settings.register_profile("soak", deadline=None, max_examples=int(os.environ.get("EXAMPLES", "20000")))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip what is marked ``root`` for everybody else, by name and with the reason."""
    if os.geteuid() == 0:
        return
    for item in items:
        if item.get_closest_marker("root") is not None:
            item.add_marker(pytest.mark.skip(reason="needs root (namespaces, mounts or Debian packages)"))
