"""The directories of a home, opened to be served: what it has pulled or published is there again after a start."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING

from swarm.errors import RemoteProtocolError
from swarm.peer.holdings import Holding, StoreSource
from swarm.peer.trees import TreeRecord
from swarm.peer.wire import NOT_ORIGIN, PRODUCER, SEED, Origin
from swarm.tree import TreeStore

if TYPE_CHECKING:
    from swarm.peer.node import PeerNode

log = logging.getLogger("aetherfs.node")


def open_trees(node: PeerNode, only: bytes | None = None) -> None:
    """Serve every directory that is as it was; ``only`` those with one version."""
    for record in node.trees.of(only):
        manifest = node.trees.manifest(record.version)
        if manifest is None or not Path(record.directory).is_dir():
            continue
        if node.access.is_purged(record.dataset, record.version):
            continue
        try:
            node.access.learn(record.entry)
        except RemoteProtocolError as error:
            log.warning("%s is not served: %s", record.directory, error)
            continue
        store = TreeStore(Path(record.directory), manifest, follow_links=record.origin)
        origin = _origin_of(node, record)
        node.hold(Holding(record.dataset, manifest, record.entry, StoreSource(store), None, origin=origin), store)


def _origin_of(node: PeerNode, record: TreeRecord) -> Origin:
    """What this peer is for a directory's version."""
    if not record.origin:
        return NOT_ORIGIN
    return PRODUCER if node.extension is None else SEED
