"""Giving entries back to a log that lacks them: the trackers' store was restored from a backup that is older.

Entries bear all their seals and follow one another, so what peers hold is the log, wherever it comes from. A peer does
it when a tracker states a head below what it knows: at a heartbeat, when it looks a tag up, and before it commits
anything, since an entry in the place of one that is lacking would part the log from its peers.
"""

from __future__ import annotations

import itertools
import logging
from typing import TYPE_CHECKING, Final

from swarm.errors import AetherError, ConflictError
from swarm.limits import JSON_BODY_MAX_BYTES, LOG_PAGE_MAX

if TYPE_CHECKING:
    from swarm.client import TrackerClient
    from swarm.peer.ledger import Ledger

# Entries that are given back at once, as JSON a third longer: less than a tracker reads.
GIVEN_MAX_BYTES: Final = JSON_BODY_MAX_BYTES // 2

log = logging.getLogger("aetherfs.lacking")


async def give_back(tracker: TrackerClient, ledger: Ledger, dataset: str, head: int) -> bool:
    """Give the log, whose last serial is said to be ``head``, what is known beyond it. Whether it was taken."""
    entries = ledger.above(dataset, head)
    try:
        while entries:
            sizes = itertools.accumulate(map(len, entries))
            count = sum(size <= GIVEN_MAX_BYTES for size in itertools.islice(sizes, LOG_PAGE_MAX))
            await tracker.give_back(dataset, entries[:count])
            entries = entries[count:]
    except ConflictError as error:
        log.warning("%s", error)
        return False
    except AetherError as error:
        # Who may not read a dataset any more is told that there is none; others may know what is lacking between.
        log.info("entries of %s are not given back: %s", dataset, error)
        return False
    return True


async def mend(tracker: TrackerClient, ledger: Ledger, dataset: str) -> bool:
    """Let the log have at least what is known here. Raises what the tracker client raises."""
    known = ledger.head(dataset)
    if not known:
        return True
    found = await tracker.head(dataset)
    head = found[1].serial if found is not None else 0
    return head >= known or await give_back(tracker, ledger, dataset, head)
