"""An object store from its address, as ``--store`` takes it."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import unquote, urlsplit

from swarm.errors import UsageError
from swarm.objects import ObjectStore
from swarm.objects.folder import FolderObjectStore


def open_store(url: str) -> ObjectStore:
    """``file:///path`` gives a folder store. UsageError for any other address."""
    parts = urlsplit(url)
    if parts.scheme == "file" and parts.netloc in ("", "localhost") and parts.path.startswith("/"):
        return FolderObjectStore(Path(unquote(parts.path)))
    if parts.scheme == "s3":
        raise UsageError("object stores on S3 are not supported by this version yet: use --store file:///path")
    raise UsageError(f"{url[:80]!r} is not a store: write file:///path")
