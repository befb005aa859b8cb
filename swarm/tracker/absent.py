"""What is said of what is not there. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from swarm.errors import HiddenError, NotFoundError
from swarm.snapshot import TagState

NAMED_MAX: Final = 8


def no_dataset(dataset: str) -> HiddenError:
    """What is said of a dataset that is not there, and of one that the caller may not know of: the very same."""
    return HiddenError(f"there is no dataset {dataset}, or no grant of yours covers it: check the name and the token")


def no_tag(dataset: str, tag: str, tags: Sequence[TagState]) -> NotFoundError:
    """To who may read the dataset, and so know its tags: those that it has, the last moved first."""
    latest = [each.tag for each in sorted(tags, key=lambda each: -each.serial)]
    if not latest:
        return NotFoundError(
            f"{dataset} has no tag {tag!r}, nor any other: `aetherfs history {dataset}` shows what it had"
        )
    more = f" and {len(latest) - NAMED_MAX} more" if len(latest) > NAMED_MAX else ""
    named = f"{', '.join(latest[:NAMED_MAX])}{more}"
    return NotFoundError(f"{dataset} has no tag {tag!r}: it has {named}; name one, as {dataset}:{latest[0]}")
