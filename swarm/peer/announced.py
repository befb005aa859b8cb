"""Under which DHT keys a peer is to be found: versions, tags and blocks that it gives."""

from __future__ import annotations

from typing import TYPE_CHECKING

from swarm.dht.keys import block_key, tag_key, trackers_key, version_key

if TYPE_CHECKING:
    from swarm.peer.node import PeerNode


def version_keys(node: PeerNode, secret: bytes) -> list[bytes]:
    """Keys to announce at once: versions held, and the tags that point to them. Whoever gives nothing beyond its site,
    where it is heard of anyway, is not looked for.
    """
    held = {(holding.dataset, holding.version) for holding in node.holdings if not node.settings.is_metered}
    keys = [version_key(secret, dataset, version) for dataset, version in held]
    tags = [(d, t) for d, t, version in node.ledger.tags() if version is not None and (d, version) in held]
    if node.tracker_address is not None:
        keys.append(trackers_key(secret))
    return keys + [tag_key(secret, dataset, tag) for dataset, tag in tags]


def block_keys(node: PeerNode, secret: bytes) -> list[bytes]:
    """Keys of every block held, for the sweep."""
    held = {
        block.signature
        for holding in node.holdings
        for index, block in enumerate(holding.manifest.unique)
        if holding.held is None or index in holding.held
    }
    return [block_key(secret, signature) for signature in sorted(held)]
