"""Walking a directory that is to be published: what lies there, in path order, or one clear refusal.

A link that stays inside is published as a link. One that leaves, by itself or by way of others, is refused, skipped or
followed, as the caller says. Nothing is read but directories and links.
"""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, field
from operator import attrgetter
from pathlib import Path
from typing import Final, Literal

import msgspec

from swarm.errors import AetherError, IncompleteError, NotFoundError, RemoteProtocolError, UsageError
from swarm.paths import check_link, check_path, is_staging, leaving_links, shown
from swarm.scan_cache import FileState
from swarm.segments import EMPTY_DIRECTORY, FILE, SYMLINK

Links = Literal["refuse", "skip", "follow"]

# A link has no mode of its own on Linux; elsewhere it differs and means nothing.
LINK_MODE: Final = 0o777


class Found(msgspec.Struct, frozen=True, gc=False):
    """One thing to publish: its path in the dataset, the directory that it lies in ("" for the topmost), its kind (see
    segments), what the filesystem says of it, its mode, and a link's target. Of a million there is no room for more.
    """

    path: str
    directory: str
    kind: Literal[0, 1, 2]
    state: FileState
    mode: int
    target: str = ""

    @property
    def location(self) -> str:
        """Where it lies."""
        return f"{self.directory}/{self.path.rpartition('/')[2]}"

    @property
    def size(self) -> int:
        return self.state.size if self.kind == FILE else 0


class Changed(Exception):
    """Something is not what it was a moment ago: look again."""

    def __init__(self, location: str) -> None:
        super().__init__(location)
        self.location = location


def walk(root: Path, links: Links, should_stop: Callable[[], bool] = lambda: False) -> list[Found]:
    """Everything below ``root`` in path order; a single file yields itself.

    Raises NotFoundError without a root, UsageError for names and links that cannot be published, AetherError for what
    cannot be read, Changed for what vanishes meanwhile, IncompleteError when told to stop.
    """
    try:
        status = root.stat()
    except OSError as error:
        raise NotFoundError(f"cannot publish {shown(str(root))}: {error.strerror}; check the path") from error
    if stat.S_ISREG(status.st_mode):
        return [_found(_checked(root.name, str(root)), str(root.absolute().parent).rstrip("/"), FILE, status)]
    if not stat.S_ISDIR(status.st_mode):
        raise UsageError(f"cannot publish {shown(str(root))}: it is neither a directory nor a file")
    leaving: set[str] = set()
    while True:
        found: list[Found] = []
        walker = _Walker(links, should_stop, found, leaving)
        walker.below(_Where(str(root).rstrip("/"), "", "", frozenset({(status.st_dev, status.st_ino)})))
        more = leaving_links({item.path: item.target for item in found if item.kind == SYMLINK})
        if not more:
            # Strings compare by code points, which is the order of their UTF-8 bytes.
            return sorted(found, key=attrgetter("path"))
        leaving |= more


@dataclass(frozen=True, slots=True)
class _Where:
    """Where in the walk: the directory, what paths begin with in it, the part of it down to the last link followed,
    directories above.
    """

    directory: str
    prefix: str
    followed: str
    above: frozenset[tuple[int, int]]


@dataclass(frozen=True, slots=True)
class _Walker:
    """``found`` takes what is there. ``leaving`` are paths of links that are known to leave by way of others."""

    links: Links
    should_stop: Callable[[], bool]
    found: list[Found]
    leaving: Collection[str] = field(default_factory=frozenset)

    def below(self, where: _Where) -> None:
        directory = where.directory or "/"
        inner: list[tuple[str, str, os.stat_result, bool]] = []
        with _opened(directory) as descriptor:
            try:
                with os.scandir(descriptor) as listed:
                    entries = [entry for entry in listed if not is_staging(entry.name)]
            except OSError as error:
                raise unreadable(directory, error) from error
            # Looked at by way of the descriptor, which is quicker than by the whole path.
            for entry in entries:
                if self.should_stop():
                    raise IncompleteError("the scan was stopped: publish again to go on")
                location = f"{where.directory}/{entry.name}"
                self._one(_checked(where.prefix + entry.name, location), location, entry, where, inner)
        for path, location, status, is_link in inner:
            self._directory(path, location, where, status, is_link=is_link)

    def _one(
        self,
        path: str,
        location: str,
        entry: os.DirEntry[str],
        where: _Where,
        inner: list[tuple[str, str, os.stat_result, bool]],
    ) -> None:
        """Take what is there, but for a directory, which goes to ``inner``."""
        try:
            status = entry.stat(follow_symlinks=False)
            is_link = stat.S_ISLNK(status.st_mode)
            target = os.readlink(location) if is_link else ""
        except FileNotFoundError as error:
            raise Changed(location) from error
        except OSError as error:
            raise unreadable(location, error) from error
        if is_link:
            if path not in self.leaving and _stays(path.removeprefix(where.followed), target):
                self.found.append(_found(path, where.directory, SYMLINK, status, target))
                return
            if self.links == "skip":
                return
            status = self._behind(location, target)
        if stat.S_ISREG(status.st_mode):
            self.found.append(_found(path, where.directory, FILE, status))
        elif stat.S_ISDIR(status.st_mode):
            inner.append((path, location, status, is_link))
        else:
            raise UsageError(
                f"cannot publish {shown(location)}: it is a socket, pipe or device; remove it from the directory"
            )

    def _behind(self, location: str, target: str) -> os.stat_result:
        """What lies behind a link that leaves, if it may be followed."""
        if self.links == "refuse":
            raise UsageError(
                f"cannot publish {shown(location)}: the link leads to {shown(target)}, outside the directory; "
                "remove it, or use --links skip or --links follow"
            )
        try:
            return os.stat(location)
        except OSError as error:
            raise UsageError(
                f"cannot publish {shown(location)}: the link leads to {shown(target)}, which cannot be followed: "
                f"{error.strerror}; remove it, or use --links skip"
            ) from error

    def _directory(self, path: str, location: str, where: _Where, status: os.stat_result, *, is_link: bool) -> None:
        inside = (status.st_dev, status.st_ino)
        if inside in where.above:
            raise UsageError(
                f"cannot publish {shown(location)}: following its link goes round in a circle; use --links skip"
            )
        prefix = path + "/"
        below = _Where(location, prefix, prefix if is_link else where.followed, where.above | {inside})
        before = len(self.found)
        self.below(below)
        if len(self.found) == before:
            self.found.append(_found(path, where.directory, EMPTY_DIRECTORY, status))


@contextlib.contextmanager
def _opened(directory: str) -> Iterator[int]:
    """A descriptor of a directory. Changed when it is gone."""
    try:
        descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except FileNotFoundError as error:
        raise Changed(directory) from error
    except OSError as error:
        raise unreadable(directory, error) from error
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _found(path: str, directory: str, kind: Literal[0, 1, 2], status: os.stat_result, target: str = "") -> Found:
    mode = LINK_MODE if kind == SYMLINK else status.st_mode & 0o777
    return Found(path, directory, kind, FileState.of(status), mode, target)


def _stays(path: str, target: str) -> bool:
    try:
        check_link(path, target)
    except RemoteProtocolError:
        return False
    return True


def _checked(path: str, location: str) -> str:
    try:
        return check_path(path)
    except RemoteProtocolError as error:
        raise UsageError(f"cannot publish {shown(location)}: {error}") from error


def unreadable(location: str, error: OSError) -> AetherError:
    """Our error for something that is there and cannot be read."""
    return AetherError(
        f"cannot read {shown(location)}: {error.strerror}; make it readable, or take it out of the directory"
    )
