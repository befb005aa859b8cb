"""Walking a directory that is to be published: what lies there, in path order, or one clear refusal."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from swarm.errors import AetherError, NotFoundError, RemoteProtocolError, UsageError
from swarm.paths import check_link, check_path
from swarm.segments import EMPTY_DIRECTORY, FILE, SYMLINK

Links = Literal["refuse", "skip", "follow"]


@dataclass(frozen=True, slots=True)
class Found:
    """One thing to publish: its path in the dataset, where it lies, its kind (see segments), stat, and a link's target."""

    path: str
    location: Path
    kind: Literal[0, 1, 2]
    stat: os.stat_result
    target: str = ""


def walk(root: Path, links: Links, should_stop: Callable[[], bool]) -> list[Found]:
    """Everything below ``root`` in path order; a single file yields itself.

    Raises NotFoundError without a root, UsageError for names and links that cannot be published, AetherError for what
    cannot be read.
    """
    try:
        status = root.stat()
    except OSError as error:
        raise NotFoundError(f"cannot publish {root}: {error.strerror}; check the path") from error
    if stat.S_ISREG(status.st_mode):
        found = [Found(_checked(root.name, root), root, FILE, status)]
    elif stat.S_ISDIR(status.st_mode):
        found = list(_below(root, "", links, should_stop, frozenset({(status.st_dev, status.st_ino)})))
    else:
        raise UsageError(f"cannot publish {root}: it is neither a directory nor a file")
    return sorted(found, key=lambda item: item.path.encode())


def _below(
    directory: Path, prefix: str, links: Links, should_stop: Callable[[], bool], above: frozenset[tuple[int, int]]
) -> Iterator[Found]:
    try:
        with os.scandir(directory) as entries:
            listed = list(entries)
    except OSError as error:
        raise _unreadable(directory, error) from error
    for entry in listed:
        if should_stop():
            raise KeyboardInterrupt
        path = _checked(prefix + entry.name, Path(entry.path))
        yield from _one(path, Path(entry.path), links, should_stop, above)


def _one(
    path: str, location: Path, links: Links, should_stop: Callable[[], bool], above: frozenset[tuple[int, int]]
) -> Iterator[Found]:
    try:
        status = location.lstat()
        if stat.S_ISLNK(status.st_mode):
            target = os.readlink(location)
            if _stays(path, target):
                yield Found(path, location, SYMLINK, status, target)
                return
            if links == "skip":
                return
            if links == "refuse":
                raise UsageError(
                    f"cannot publish {location}: the link leads to {target!a}, outside the directory; "
                    "remove it, or use --links skip or --links follow"
                )
            status = location.stat()
    except OSError as error:
        raise _unreadable(location, error) from error
    if stat.S_ISREG(status.st_mode):
        yield Found(path, location, FILE, status)
    elif stat.S_ISDIR(status.st_mode):
        inside = (status.st_dev, status.st_ino)
        if inside in above:
            raise UsageError(f"cannot publish {location}: following its link would go round in a circle; use --links skip")
        below = list(_below(location, path + "/", links, should_stop, above | {inside}))
        yield from below or [Found(path, location, EMPTY_DIRECTORY, status)]
    else:
        raise UsageError(f"cannot publish {location}: it is a socket, pipe or device; remove it from the directory")


def _stays(path: str, target: str) -> bool:
    try:
        check_link(path, target)
    except RemoteProtocolError:
        return False
    return True


def _checked(path: str, location: Path) -> str:
    try:
        return check_path(path)
    except RemoteProtocolError as error:
        raise UsageError(f"cannot publish {str(location)!a}: {error}") from error


def _unreadable(location: Path, error: OSError) -> AetherError:
    return AetherError(f"cannot read {location}: {error.strerror}; make it readable, or take it out of the directory")
