"""How many examples a property test takes: its own number, and in the profile ``soak`` as many times more."""

from __future__ import annotations

from hypothesis import settings

USUAL = 100


def examples(number: int) -> int:
    """``number`` where Hypothesis takes its usual 100."""
    return max(1, number * settings.default.max_examples // USUAL)  # type: ignore[union-attr, unused-ignore]
