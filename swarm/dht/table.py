"""The routing table: the ``kademlia`` package's buckets, with the searching and the replacing done without I/O.

Stock, the table pings by itself when a bucket is full, takes the first nodes that it meets for the closest, and puts
an id on a bucket's upper edge into the next. Here ``add`` names the node to be pinged, ``closest`` is exact, and only
nodes that answered a request of ours from their address are ever added. Reads no clock of its own but the buckets' age.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from typing import Any, Final

from kademlia.node import Node
from kademlia.routing import KBucket, RoutingTable

from swarm.dht.wire import Contact

K: Final = 8
# A bucket in which nobody was looked for this long is looked into.
STALE_S: Final = 900.0


class Table:
    """Contacts by node id, K in each bucket and some in reserve."""

    def __init__(self, own_id: bytes) -> None:
        self._own = Node(own_id)
        self._routing = RoutingTable(None, K, self._own)

    def add(self, id: bytes, contact: Contact) -> bytes | None:
        """Put a node in, or renew it. When its bucket is full, the id in it that was not heard of for longest."""
        node = Node(id, contact.host, contact.port)
        node.contact = contact
        node.is_doubtful = False
        while True:
            bucket = self._bucket_of(node)
            if bucket.add_node(node):
                return None
            if not bucket.has_in_range(self._own) and bucket.depth() % 5 == 0:
                return bytes(bucket.head().id)
            self._routing.split_bucket(self._routing.buckets.index(bucket))

    def doubt(self, id: bytes) -> None:
        """A node did not answer: it is named to nobody until it does, and the second time in a row it goes."""
        node = self._bucket_of(Node(id)).nodes.get(id)
        if node is not None and node.is_doubtful:
            self.remove(id)
        elif node is not None:
            node.is_doubtful = True

    def remove(self, id: bytes) -> None:
        """Take a node out; one in reserve takes its place."""
        self._bucket_of(Node(id)).remove_node(Node(id))

    def get(self, id: bytes) -> Contact | None:
        node = self._bucket_of(Node(id)).nodes.get(id)
        return None if node is None else node.contact

    def closest(self, key: bytes, count: int, *, doubtful: bool = False) -> list[tuple[bytes, Contact]]:
        """The ``count`` nodes whose ids are closest to a key, closest first. With ``doubtful``, also those."""
        target = int.from_bytes(key, "big")
        known = (node for node in self._nodes() if doubtful or not node.is_doubtful)
        nodes = heapq.nsmallest(count, known, key=lambda node: node.long_id ^ target)
        return [(node.id, node.contact) for node in nodes]

    def contacts(self) -> list[tuple[bytes, Contact]]:
        return [(node.id, node.contact) for node in self._nodes()]

    def stale_ranges(self, now: float) -> list[tuple[int, int]]:
        """The ranges of ids in which nobody was looked for lately."""
        return [bucket.range for bucket in self._routing.buckets if bucket.last_updated < now - STALE_S]

    def looked_for(self, key: bytes) -> None:
        """A lookup went to this part of the table."""
        self._bucket_of(Node(key)).touch_last_updated()

    def __len__(self) -> int:
        """Nodes that are not in doubt."""
        return sum(1 for node in self._nodes() if not node.is_doubtful)

    def _nodes(self) -> Iterator[Any]:
        return (node for bucket in self._routing.buckets for node in bucket.nodes.values())

    def _bucket_of(self, node: Any) -> KBucket:
        return next(bucket for bucket in self._routing.buckets if bucket.has_in_range(node))

    def check_invariants(self) -> None:
        """For tests."""
        for bucket in self._routing.buckets:
            assert len(bucket) <= K
            assert all(bucket.range[0] <= node.long_id <= bucket.range[1] for node in bucket.nodes.values())
