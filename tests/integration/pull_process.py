"""A process that pulls one directory into another, to be killed: SOURCE TARGET [PREVIOUS].

PREVIOUS is a directory that holds the version which the target held before.

It prints ``recovered N`` when it begins to write and ``finished`` when the target is in place.
"""

from __future__ import annotations

import sys
from pathlib import Path

from swarm.encoding import open_block
from swarm.scan import scan
from swarm.scan_cache import ScanCache
from swarm.staging import Staging
from swarm.tree import TreeStore


def main(source: Path, target: Path, previous: Path | None) -> None:
    cache = ScanCache.load(source.with_suffix(".cache"))
    found = scan(source, cache=cache)
    before = {} if previous is None else {entry.path: entry for entry in scan(previous).manifest.files}
    store = TreeStore(found.root, found.manifest)
    staging = Staging(target, found.manifest)
    staging.adopt(before, force=False)
    held = staging.recover()
    print(f"recovered {len(held)}", flush=True)
    for index, block in enumerate(found.manifest.unique):
        if index not in held:
            encoded = store.get(block.signature)
            if encoded is None:
                sys.exit(f"block {index} is not in the source")
            staging.write(index, open_block(encoded, block.signature, block.size))
    staging.finish()
    print("finished", flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), Path(sys.argv[3]) if len(sys.argv) > 3 else None)
