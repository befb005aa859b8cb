"""What a peer does when a key of the CA was stolen and replaced: it believes nothing that only that key has sealed.

Entries of the ledger that no other key vouches for are forgotten, with the serials that they brought: so a thief's
entry with a high serial bars nobody's way (fast-forward). Entries of what is held are asked for again; trackers have
them with the next key's seal. Until then those versions are not shown to anybody.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Final

from swarm.errors import AetherError, NotFoundError, RemoteProtocolError
from swarm.names import Reference
from swarm.peer.open_trees import open_trees

if TYPE_CHECKING:
    from swarm.peer.node import PeerNode

# The first lookups may come before papers under the new key.
AGAIN_S: Final = 0.5
AGAIN_MAX_S: Final = 30.0

log = logging.getLogger("aetherfs.reproving")


def begin_reproving(node: PeerNode) -> None:
    """At the start, and when a key is known to be stolen: nothing where none was."""
    if node.access.authority.stolen:
        forget_unproved(node)
        node.tasks.start(prove_again(node))


def forget_unproved(node: PeerNode) -> None:
    """Forget what is not proved any more."""
    node.access.forget()
    node.exchange.trackers.forget_unproved()
    gone = node.ledger.keep_only(lambda entry: is_proved(node, entry))
    if gone:
        log.warning("%d entries that only a stolen key had sealed are forgotten", gone)


def is_proved(node: PeerNode, entry: bytes) -> bool:
    """Whether publisher and tracker sealed an entry with keys that count."""
    try:
        node.access.learn(entry)
    except RemoteProtocolError:
        return False
    return True


async def prove_again(node: PeerNode) -> None:
    """Ask for the entries of what is held until all of it is proved again, or known to be gone."""
    again_s = AGAIN_S
    while pending := _pending(node):
        for dataset, version in pending:
            scope, _, name = dataset.partition("/")
            try:
                found = await node.tracker.lookup(Reference(scope, name, None, version))
            except NotFoundError:
                log.warning("%s@%s is not in the log: it is not served any more", dataset, version.hex()[:16])
                node.let_go(dataset, version)
            except AetherError as error:
                log.info("%s@%s is still to be proved again: %s", dataset, version.hex()[:16], error)
            else:
                node.ledger.record(node.access.learn(found.data), found.data)
                show_by(node, dataset, version, found.data)
        await asyncio.sleep(again_s)
        again_s = min(2 * again_s, AGAIN_MAX_S)


def show_by(node: PeerNode, dataset: str, version: bytes, entry: bytes) -> None:
    """Show this entry for a version from now on. A directory that was not served without one is."""
    node.trees.prove(dataset, version, entry)
    holding = node.holdings.get(dataset, version)
    if holding is not None:
        holding.entry = entry
    else:
        open_trees(node, version)


def _pending(node: PeerNode) -> list[tuple[str, bytes]]:
    held = [(holding.dataset, holding.version, holding.entry) for holding in node.holdings]
    held += [(record.dataset, record.version, record.entry) for record in node.trees.records.values()]
    unproved = [(dataset, version) for dataset, version, entry in held if not is_proved(node, entry)]
    return list(dict.fromkeys(each for each in unproved if not node.access.is_purged(*each)))
