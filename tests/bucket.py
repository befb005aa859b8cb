"""What lies in a bucket, looked at from outside: is all there that the logs promise, and what does nothing name.

Nothing of ``seed`` is run but what decodes an index. An object is named if it is an entry of a log, an index of a
version that a log published or one that tells where a block of such a version lies, a pack with such a block, a lease
in force or what its dataset's lease may be writing, or one of the swarm's own. What is left over is garbage: ``gc`` has
to find all of it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from seed import table
from seed.packs import Table, decode_index
from swarm import canonical, log
from swarm.claims import Lease
from swarm.encoding import open_block
from swarm.errors import AetherError
from swarm.limits import RECORD_MAX_BYTES
from swarm.manifest import assemble, parse_root
from tests.histories.checks import not_dense

PAGE: Final = 1000
# What is kept for its own sake: the logs and names (a mark without a log is of a publish that was killed before its
# commit, and the next one rests on it), the swarm's keys and members, what each process cost, whose turn it is, what
# people ordered.
OWN: Final = ("datasets/", "names/", "swarm/", "costs/", "turns/", "keep/", "quotas/", "purges/", "purged/", "gone/")

Version = tuple[str, bytes]
Place = tuple[str, int, int]


@dataclass(frozen=True, slots=True)
class Lying:
    """An object by its size and age."""

    size_bytes: int
    age_s: float


@dataclass(slots=True)
class Bucket:
    """``objects`` by key. Of ``read`` each object is asked for once, whole."""

    objects: Mapping[str, Lying]
    read: Callable[[str], bytes]
    _packs: dict[str, bytes] = field(default_factory=dict)

    def below(self, prefix: str) -> list[str]:
        return sorted(key for key in self.objects if key.startswith(prefix))

    # ---- what the logs promise ----------------------------------------------------------------------------------

    def logs(self) -> dict[str, list[bytes]]:
        """The entries of each dataset, in order."""
        found: dict[str, list[bytes]] = {}
        for key in self.below("datasets/"):
            dataset, is_entry, _ = key.removeprefix("datasets/").partition("/log/")
            if is_entry:
                found.setdefault(dataset, []).append(self.read(key))
        return found

    def published(self) -> dict[Version, int]:
        """Each version that an entry brought, and the first serial."""
        found: dict[Version, int] = {}
        for dataset, entries in self.logs().items():
            for entry in (log.parse_entry(data)[1] for data in entries):
                for version in {move.version for move in entry.moves} - {None}:
                    assert version is not None
                    found.setdefault((dataset, version), entry.serial)
        return found

    def broken(self) -> list[str]:
        """What the logs promise and is not there, or not whole: gaps, blocks without a place, wrong bytes."""
        wrong = [f"{dataset}: {text}" for dataset, entries in self.logs().items() for text in not_dense(entries)]
        places = self.places()
        for (dataset, version), serial in self.published().items():
            try:
                self._read_version(version, places)
            except (AetherError, KeyError) as error:
                wrong.append(f"{dataset}@{version.hex()[:12]} of entry {serial} is not whole: {error!r}")
        return wrong

    def _read_version(self, version: bytes, places: Mapping[bytes, list[Place]]) -> None:
        """Every block of a version, verified."""
        root = self._block(version, places)
        segments = {ref.signature: self._block(ref.signature, places) for ref in parse_root(root).segment_refs}
        for block in assemble(root, segments).unique:
            if len(self._block(block.signature, places)) != block.size:
                raise KeyError(f"block {block.signature.hex()[:12]} has another size")

    def _block(self, signature: bytes, places: Mapping[bytes, list[Place]]) -> bytes:
        pack, offset, length = places[signature][0]
        if pack not in self._packs:
            self._packs[pack] = self.read(pack)
        return bytes(open_block(self._packs[pack][offset : offset + length], signature))

    # ---- what indexes say ---------------------------------------------------------------------------------------

    def indexes(self) -> dict[str, Named]:
        return {key: _named_by(self.read(key)) for key in self.below("indexes/")}

    def places(self) -> dict[bytes, list[Place]]:
        """Where each block lies: key of the pack, offset, length."""
        found: dict[bytes, list[Place]] = {}
        for named in self.indexes().values():
            for signature, place in named.places.items():
                if place[0] in self.objects:
                    found.setdefault(signature, []).append(place)
        return found

    # ---- what nothing names -------------------------------------------------------------------------------------

    def garbage(self, wall_now: float) -> dict[str, Lying]:
        """Objects that neither a log nor an index nor a lease in force names, by key."""
        in_force = {key: lease.dataset for key, lease in self.leases().items() if lease.expires > wall_now}
        held = set(in_force.values())
        named = self._named_by_indexes(held) | in_force.keys()
        if held:
            # What it writes has no index yet.
            named.update(self.below("packs/"), self.below("indexes/"))
        for own in OWN:
            named.update(self.below(own))
        named.update(self._kept_rollouts())
        return {key: lying for key, lying in self.objects.items() if key not in named}

    def _kept_rollouts(self) -> list[str]:
        """How the moves of tags that an entry tells of went out."""
        serials = {dataset: range(1, len(entries) + 1) for dataset, entries in self.logs().items()}
        found = ((key, key.removeprefix("rollouts/").split("/")) for key in self.below("rollouts/"))
        return [key for key, (scope, name, _, serial) in found if int(serial) in serials.get(f"{scope}/{name}", ())]

    def _named_by_indexes(self, held: set[str]) -> set[str]:
        """The indexes with a version that a log published or of a dataset that is held, or with a place of a block of
        such a version, and the packs of these places. An index may have been merged with one of a publish that never
        was.
        """
        published, indexes = set(self.published()), self.indexes()
        needed: set[bytes] = set()
        named: set[str] = set()
        for key, index in indexes.items():
            wanted = {version for version in index.versions if version in published or version[0] in held}
            named |= {key} if wanted else set()
            needed.update(*(index.versions[version] for version in wanted))
        for key, index in indexes.items():
            packs = {place[0] for signature, place in index.places.items() if signature in needed}
            named |= {key, *packs} if packs else set()
        return named

    def leases(self) -> dict[str, Lease]:
        """By key."""
        return {
            key: canonical.decode(self.read(key), Lease, limit_bytes=RECORD_MAX_BYTES) for key in self.below("uploads/")
        }

    def without(self, keys: Iterable[str]) -> Bucket:
        """As it is when these objects are gone, their indexes rewritten: an index stays for what else it says."""
        gone = {key for key in keys if not key.startswith("indexes/")}
        return Bucket({key: lying for key, lying in self.objects.items() if key not in gone}, self.read)


@dataclass(frozen=True, slots=True)
class Named:
    """What an index names: versions with their blocks, and where blocks lie, by the key of the pack."""

    versions: Mapping[Version, frozenset[bytes]]
    places: Mapping[bytes, Place]


def _named_by(data: bytes) -> Named:
    """The one thing here that knows the format of an index."""
    index = decode_index(data)
    places = {signature: (f"packs/{at.pack}", at.offset, at.length) for signature, at in Table(index).places()}
    versions = {(kept.dataset, kept.version): frozenset(table.each(kept.blocks)) for kept in index.versions}
    return Named(versions, places)


def bucket_on(client: Any, name: str, prefix: str) -> Bucket:
    """What lies below a prefix of a bucket, by a client of boto3's."""
    now = time.time()
    found: dict[str, Lying] = {}
    folders = client.list_objects_v2(Bucket=name, Prefix=f"{prefix}/", Delimiter="/")["CommonPrefixes"]
    for folder in (each["Prefix"] for each in folders):
        page = client.list_objects_v2(Bucket=name, Prefix=folder, MaxKeys=PAGE)
        assert not page["IsTruncated"], f"more than {PAGE} objects below {folder}: look at them in parts"
        for each in page.get("Contents", []):
            age_s = now - each["LastModified"].timestamp()
            found[each["Key"].removeprefix(prefix + "/")] = Lying(each["Size"], age_s)
    seen: dict[str, bytes] = {}

    def read(key: str) -> bytes:
        if key not in seen:
            seen[key] = client.get_object(Bucket=name, Key=f"{prefix}/{key}")["Body"].read()
        return seen[key]

    return Bucket(found, read)
