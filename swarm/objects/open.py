"""An object store from its address, as ``--store`` takes it."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import unquote, urlsplit

from swarm.errors import NotFoundError, UsageError
from swarm.objects import ObjectStore
from swarm.objects.counted import CountedStore
from swarm.objects.folder import FolderObjectStore, holds_object


def open_store(url: str) -> ObjectStore:
    """``file:///path`` gives a folder store, ``s3://bucket/prefix`` one on S3, whose server is looked at first.

    Blocking. UsageError for any other address, and for a server that cannot be a store.
    """
    folder = _folder_of(url)
    if folder is not None:
        return CountedStore(FolderObjectStore(folder))
    if urlsplit(url).scheme == "s3":
        from swarm.objects.s3_address import parse_s3_address

        address = parse_s3_address(url)
        # boto3 takes longer to import than most commands to run.
        from swarm.objects.s3_probe import open_s3

        return open_s3(address)
    raise _no_store(url)


def check_address(url: str) -> None:
    """UsageError for what is no store's address; nothing is opened."""
    if urlsplit(url).scheme == "s3":
        from swarm.objects.s3_address import parse_s3_address

        parse_s3_address(url)
    elif _folder_of(url) is None:
        raise _no_store(url)


def open_holding(url: str, key: str) -> ObjectStore:
    """``open_store`` of a store that holds an object already. NotFoundError for any other, where nothing is made."""
    folder = _folder_of(url)
    if folder is not None and not holds_object(folder, key):
        raise NotFoundError(f"{url} holds no object {key}")
    objects = open_store(url)
    try:
        if key not in objects.list(key, limit=1):
            raise NotFoundError(f"{url} holds no object {key}")
    except BaseException:
        objects.close()
        raise
    return objects


def _no_store(url: str) -> UsageError:
    return UsageError(f"{url[:80]!r} is not a store: write file:///path or s3://bucket/prefix")


def _folder_of(url: str) -> Path | None:
    parts = urlsplit(url)
    if parts.scheme == "file" and parts.netloc in ("", "localhost") and parts.path.startswith("/"):
        return Path(unquote(parts.path))
    return None
