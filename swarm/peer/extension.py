"""What a role adds to a peer: a seed, which keeps versions for good."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from typing import TYPE_CHECKING, Any, Protocol

from swarm.http.routes import Route
from swarm.manifest import Manifest
from swarm.peer.holdings import Holding

if TYPE_CHECKING:
    from swarm.encoding import Encoded
    from swarm.peer.node import PeerNode


class Keeping(Protocol):
    """A version that this node publishes, being kept."""

    def take(self, signature: bytes, raw: bytes) -> None:
        """Take a block, raw encoded, before the whole version is known. For the thread that reads, which waits when
        it is ahead.
        """
        ...

    def all_taken(self) -> None:
        """All has been read, and the manifest is made next. For the same thread."""
        ...

    async def finish(
        self, manifest: Manifest, encode: Callable[[bytes], bytes], progress: Callable[[int], None]
    ) -> tuple[bytes, list[bytes], int]:
        """Keep the whole version: the receipt, the blocks that were new, their encoded bytes.

        ``encode`` gives the bytes of a block that was not taken, in a thread; ``progress`` gets the number of blocks
        done.
        """
        ...

    async def done(self) -> None:
        """The log names the version: who keeps it need not hold it for us any longer."""
        ...


class Extension(Protocol):
    """What a role adds to a peer: a seed."""

    def routes(self, node: PeerNode) -> list[Route]:
        """More routes on the exchange's listener."""
        ...

    async def load(self, dataset: str, version: bytes) -> Holding | None:
        """A version that the extension can serve."""
        ...

    async def read(self, signature: bytes) -> Encoded | None:
        """A block of a version that it keeps, encoded."""
        ...

    def keeping(self, dataset: str) -> AbstractAsyncContextManager[Keeping]:
        """Keep a version that this node is about to publish; nothing counts until ``finish``."""
        ...

    def receiving(self) -> int:
        """The node is ending: begin no upload of others any more, and tell how many are under way."""
        ...

    def blocks_of(self, dataset: str, version: bytes) -> Sequence[bytes]:
        """What a version consists of, that is to be purged: nothing if that is not known."""
        ...

    async def repair(self, progress: Callable[[dict[str, Any]], None]) -> dict[str, Any]:
        """Check the object store, and mend what this node or another peer still holds: what was found, and is left."""
        ...
