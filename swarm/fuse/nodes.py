"""The nodes that the kernel knows of a mount. Pure: no I/O, no clock.

What the kernel keeps of a file's bytes it keeps by its node. So a file is the same node only while it is the same
content: when a tag moves, what changed is a new node, what is open goes on reading the old one, and what did not change
keeps its place in the page cache.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from swarm.fuse.wire import ROOT

DIRECTORY: Final[Mapping[str, Any]] = {"kind": "directory"}
Key = tuple[str, ...]


@dataclass(slots=True)
class Node:
    """``entry`` is as the agent lists it; ``version`` the latest that was seen to have it. ``lookups`` that the kernel
    has not forgotten.
    """

    number: int
    key: Key
    path: str
    entry: Mapping[str, Any]
    version: str
    inode: int
    lookups: int = 0


def key_of(path: str, entry: Mapping[str, Any]) -> Key:
    """What makes two entries one node."""
    kind = str(entry["kind"])
    if kind == "directory":
        return (path, kind)
    told = (entry.get("sha256", ""), entry.get("target", ""), entry.get("mode", ""), entry.get("mtime_ns", ""))
    return (path, kind, *map(str, told))


def inode_of(key: Key) -> int:
    """The number that programs see: the same at every mount, and never 0 or 1."""
    digest = hashlib.blake2b("\0".join(key).encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return int.from_bytes(digest, "little") | 2


class Nodes:
    """All nodes of a mount. The caller locks."""

    def __init__(self, version: str) -> None:
        key = key_of("", DIRECTORY)
        root = Node(ROOT, key, "", DIRECTORY, version, inode_of(key), lookups=1)
        self._by_number = {ROOT: root}
        self._by_key = {root.key: root}
        self._next = ROOT + 1

    def get(self, number: int) -> Node:
        """The kernel asks only for what it was told and has not forgotten. KeyError."""
        return self._by_number[number]

    def look_up(self, path: str, entry: Mapping[str, Any], version: str) -> Node:
        """The node of an entry, looked up once more."""
        key = key_of(path, entry)
        node = self._by_key.get(key)
        if node is None:
            node = Node(self._next, key, path, entry, version, inode_of(key))
            self._by_number[node.number] = self._by_key[key] = node
            self._next += 1
        node.version = version
        node.lookups += 1
        return node

    def forget(self, number: int, lookups: int) -> None:
        node = self._by_number.get(number)
        if node is None or number == ROOT:
            return
        node.lookups -= lookups
        if node.lookups <= 0:
            del self._by_number[number]
            del self._by_key[node.key]

    def __len__(self) -> int:
        return len(self._by_number)

    def check_invariants(self) -> None:
        assert len(self._by_number) == len(self._by_key)
        for number, node in self._by_number.items():
            assert node.number == number
            assert self._by_key[node.key] is node
            assert node.lookups > 0
