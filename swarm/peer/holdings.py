"""What this peer holds, version by version, and where the bytes of each lie.

A ``Holding`` is one version of one dataset with its manifest: the blocks held so far, and a source to read them from.
Blocks are served only within a holding, so a signature alone gets nobody anything. A loader (a seed's) may find
holdings that are not in memory. Watchers are told what is new, so that neighbours can be.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Iterator, Sequence
from typing import Any, Final, Protocol

from swarm.encoding import Encoded, encode_block
from swarm.manifest import Manifest
from swarm.peer.wire import NOT_ORIGIN, Origin, bitmap_of
from swarm.store import Store

LOADED_MAX: Final = 256

Wait = Callable[[Coroutine[Any, Any, "Encoded | None"]], "Encoded | None"]


class Source(Protocol):
    """Where encoded blocks are read from. None: not here (any more)."""

    def read(self, signature: bytes) -> Coroutine[Any, Any, Encoded | None]: ...


class StoreSource:
    """A Store, read in threads."""

    def __init__(self, store: Store) -> None:
        self.store = store

    async def read(self, signature: bytes) -> Encoded | None:
        return await asyncio.to_thread(self.store.get, signature)


class FirstOf:
    """Sources, asked in order: a directory may be altered or removed while others still have its blocks."""

    def __init__(self, sources: Sequence[Source]) -> None:
        self._sources = tuple(sources)

    async def read(self, signature: bytes) -> Encoded | None:
        for source in self._sources:
            encoded = await source.read(signature)
            if encoded is not None:
                return encoded
        return None

    def each(self) -> Iterator[Source]:
        """Every source, in order, that is none of several itself."""
        for source in self._sources:
            if isinstance(source, FirstOf):
                yield from source.each()
            else:
                yield source


class Holding:
    """``held`` are indices of unique blocks; None means all of them. ``origin``: this peer is where the version
    comes from.
    """

    def __init__(
        self,
        dataset: str,
        manifest: Manifest,
        entry: bytes,
        source: Source,
        held: set[int] | None,
        *,
        origin: Origin = NOT_ORIGIN,
    ) -> None:
        self.dataset = dataset
        self.manifest = manifest
        self.entry = entry
        self.source = source
        self.held = held
        self.origin = origin

    @property
    def version(self) -> bytes:
        return self.manifest.version

    @property
    def is_complete(self) -> bool:
        return self.held is None or len(self.held) == len(self.manifest.unique)

    def bits(self) -> bytes:
        """The availability bitmap; empty when complete."""
        if self.held is None or self.is_complete:
            return b""
        return bitmap_of(self.held, len(self.manifest.unique))

    async def read(self, signature: bytes) -> Encoded | None:
        """An encoded block of this version: the manifest's root, a segment, or a data block that is held."""
        found = self._of_manifest(signature)
        if found is not None:
            return found
        return await self.source.read(signature) if self._is_held(signature) else None

    def get(self, signature: bytes, wait: Wait) -> Encoded | None:
        """The same, in a thread; ``wait`` is given what has to be read on the loop."""
        found = self._of_manifest(signature)
        if found is not None or not self._is_held(signature):
            return found
        for source in self.source.each() if isinstance(self.source, FirstOf) else (self.source,):
            found = source.store.get(signature) if isinstance(source, StoreSource) else wait(source.read(signature))
            if found is not None:
                return found
        return None

    def shown(self, signature: bytes, most_bytes: int) -> Encoded | None:
        """The manifest's root or a segment of it, encoded, if that is short."""
        plain = self.manifest.root_bytes if signature == self.version else self.manifest.segments.get(signature)
        is_short = plain is not None and len(plain) < most_bytes  # a byte of it is the codec's
        return self._of_manifest(signature) if is_short else None

    def _of_manifest(self, signature: bytes) -> Encoded | None:
        """The manifest's root or a segment of it."""
        plain = self.manifest.root_bytes if signature == self.version else self.manifest.segments.get(signature)
        return encode_block(plain) if plain is not None else None

    def _is_held(self, signature: bytes) -> bool:
        """Whether it is a data block that is held."""
        index = self.manifest.index_of.get(signature)
        return index is not None and (self.held is None or index in self.held)

    def __repr__(self) -> str:
        held = len(self.manifest.unique) if self.held is None else len(self.held)
        return f"<Holding {self.dataset}@{self.version.hex()[:8]} {held}/{len(self.manifest.unique)}>"


Watcher = Callable[[Holding, "tuple[int, ...] | None"], None]
Loader = Callable[[str, bytes], Awaitable[Holding | None]]


class Holdings:
    """All holdings of a peer. ``loader`` is asked for a version that is not in memory."""

    def __init__(self, loader: Loader | None = None) -> None:
        self._holdings: dict[tuple[str, bytes], Holding] = {}
        self._loaded: dict[tuple[str, bytes], None] = {}
        self._watchers: list[Watcher] = []
        self._loader = loader

    def __iter__(self) -> Iterator[Holding]:
        return iter(list(self._holdings.values()))

    def watch(self, watcher: Watcher) -> None:
        """Call ``watcher(holding, indices)`` for new blocks, ``(holding, None)`` for a new holding."""
        self._watchers.append(watcher)

    def add(self, holding: Holding) -> None:
        """Hold a version from now on; another holding of the same version is replaced."""
        self._holdings[holding.dataset, holding.version] = holding
        for watcher in self._watchers:
            watcher(holding, None)

    def remove(self, holding: Holding) -> None:
        self._holdings.pop((holding.dataset, holding.version), None)

    def stored(self, holding: Holding, index: int) -> None:
        """One more block of a holding is stored and can be given on."""
        if holding.held is not None:
            holding.held.add(index)
            for watcher in self._watchers:
                watcher(holding, (index,))

    def get(self, dataset: str, version: bytes) -> Holding | None:
        """The holding in memory."""
        return self._holdings.get((dataset, version))

    async def find(self, dataset: str, version: bytes) -> Holding | None:
        """The holding, loaded if need be."""
        holding = self._holdings.get((dataset, version))
        if holding is not None or self._loader is None:
            return holding
        holding = await self._loader(dataset, version)
        if holding is not None:
            self._holdings[dataset, version] = holding
            self._loaded[dataset, version] = None
            if len(self._loaded) > LOADED_MAX:
                oldest = next(iter(self._loaded))
                del self._loaded[oldest]
                self._holdings.pop(oldest, None)
        return holding
