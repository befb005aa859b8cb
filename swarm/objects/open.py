"""An object store from its address, as ``--store`` takes it."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import unquote, urlsplit

from swarm.errors import UsageError
from swarm.objects import ObjectStore
from swarm.objects.counted import CountedStore
from swarm.objects.folder import FolderObjectStore


def open_store(url: str) -> ObjectStore:
    """``file:///path`` gives a folder store, ``s3://bucket/prefix`` one on S3, whose server is looked at first.

    Blocking. UsageError for any other address, and for a server that cannot be a store.
    """
    parts = urlsplit(url)
    if parts.scheme == "file" and parts.netloc in ("", "localhost") and parts.path.startswith("/"):
        return CountedStore(FolderObjectStore(Path(unquote(parts.path))))
    if parts.scheme == "s3":
        from swarm.objects.s3_address import parse_s3_address

        address = parse_s3_address(url)
        # boto3 takes longer to import than most commands to run.
        from swarm.objects.s3_probe import open_s3

        return open_s3(address)
    raise UsageError(f"{url[:80]!r} is not a store: write file:///path or s3://bucket/prefix")
