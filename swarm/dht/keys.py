"""Ids and keys: 20 bytes, keyed with the swarm's secret, so that a dump of the DHT tells nothing to an outsider."""

from __future__ import annotations

from typing import Final

from swarm.signature import keyed

ID_BYTES: Final = 20


def node_id(secret: bytes, public: bytes) -> bytes:
    """A node's id follows from its public key: none can choose where it sits without searching for a key."""
    return keyed(secret, b"node\0" + public, ID_BYTES)


def version_key(secret: bytes, dataset: str, version: bytes) -> bytes:
    return keyed(secret, b"version\0" + dataset.encode() + b"\0" + version, ID_BYTES)


def tag_key(secret: bytes, dataset: str, tag: str) -> bytes:
    return keyed(secret, b"tag\0" + dataset.encode() + b"\0" + tag.encode(), ID_BYTES)


def block_key(secret: bytes, signature: bytes) -> bytes:
    return keyed(secret, b"block\0" + signature, ID_BYTES)


def trackers_key(secret: bytes) -> bytes:
    """The one key under which trackers announce themselves."""
    return keyed(secret, b"trackers\0", ID_BYTES)


def packet_key(secret: bytes) -> bytes:
    """The key that seals every packet."""
    return keyed(secret, b"packets\0")
