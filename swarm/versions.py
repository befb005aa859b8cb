"""The directory of a subscription: every version in a directory of its own, and a link to the current one.

    DIR/current -> versions/<version>
    DIR/versions/<version>/                    whole, or not there
    DIR/.aetherfs-home                         the home that follows there, by its key and its path
    DIR/versions/.<version>.aetherfs-<prefix>  being built, or being removed (``swarm.beside``)

``current`` is replaced by one rename, so who opens it gets one version whole, the old or the new; who keeps a directory
open stays in its version. What is removed becomes a staged directory first: broken off there, it is gone on with or
tidied away. Files are read-only, since versions may share them (``swarm.sharing``). Blocking; OSErrors become ours.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Final

from swarm.beside import remove_unless_locked
from swarm.errors import AetherError, ConflictError, UsageError
from swarm.paths import is_staging, shown
from swarm.placing import remove_tree
from swarm.rooted import failure
from swarm.signature import SIGNATURE_BYTES, from_hex
from swarm.staging import ALL_MODES, READ_ONLY

CURRENT: Final = "current"
VERSIONS: Final = "versions"
MARK: Final = ".aetherfs-home"
MARK_MAX_BYTES: Final = 8192


class Versions:
    """The versions in one directory. Construction makes nothing."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._link = root / CURRENT
        self._below = root / VERSIONS

    def open(self) -> None:
        """Make the directory. ConflictError if something of somebody else's is where our link has to be."""
        with _as_ours(f"cannot use {shown(str(self.root))}"):
            self._below.mkdir(parents=True, exist_ok=True)
        self.current()

    def claim(self, home: str, path: str) -> None:
        """Mark the directory as followed by the home with this id. ConflictError if another one follows there."""
        with _as_ours(f"cannot use {shown(str(self.root))}"):
            while (owner := self._owner()) is None:
                with contextlib.suppress(FileExistsError):
                    descriptor = os.open(self.root / MARK, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)
                    with open(descriptor, "wb") as mark:
                        mark.write(f"{home} {path}\n".encode(errors="surrogateescape"))
        if owner[0] != home:
            raise ConflictError(
                f"{shown(str(self.root))} is followed by the home {shown(owner[1])}: unsubscribe it there, or take "
                f"another directory; if that home is gone, remove {MARK} there"
            )

    def release(self, home: str) -> None:
        """Remove the mark of this home."""
        with contextlib.suppress(OSError):
            if (self._owner() or ("",))[0] == home:
                (self.root / MARK).unlink()

    def _owner(self) -> tuple[str, str] | None:
        """Id and path of the home that follows here. A mark that is not whole is of a killed process, and goes."""
        try:
            with (self.root / MARK).open("rb") as mark:
                text = mark.read(MARK_MAX_BYTES).decode(errors="surrogateescape")
        except FileNotFoundError:
            return None
        if text.endswith("\n"):
            home, _, path = text[:-1].partition(" ")
            return home, path
        # Who was only slow in writing it finds in its next round that it has lost.
        (self.root / MARK).unlink(missing_ok=True)
        return None

    def damage(self, version: bytes, remedy: str) -> str:
        """Why ``current`` does not show this version, and what mends that; empty if it does. A look from outside."""
        try:
            current = self.current()
        except ConflictError as error:
            return str(error)
        if current == version and self.path_of(version).is_dir():
            return ""
        gone = self._link if current is None else self.path_of(version)
        what = "is gone" if current in (None, version) else "is not current any more"
        return f"{shown(str(gone))} {what}: {remedy}"

    def path_of(self, version: bytes) -> Path:
        """Where a version lies, or will."""
        return self._below / version.hex()

    def current(self) -> bytes | None:
        """The version that ``current`` leads to, None if it is not there. ConflictError if it is not ours."""
        try:
            target = os.readlink(self._link)
        except FileNotFoundError:
            return None
        except OSError:
            target = ""
        version = _version_in(target.removeprefix(VERSIONS + "/"))
        if version is None or not target.startswith(VERSIONS + "/"):
            raise ConflictError(
                f"{shown(str(self._link))} is in the way of a subscription, which makes it a link: move it, "
                "or subscribe elsewhere"
            )
        return version

    def whole(self) -> list[bytes]:
        """The versions that lie here whole."""
        try:
            found = [_version_in(entry.name) for entry in os.scandir(self._below) if entry.is_dir()]
        except FileNotFoundError:
            return []
        return sorted(version for version in found if version is not None)

    def switch(self, version: bytes) -> None:
        """Let ``current`` lead to a version that lies here."""
        if not self.path_of(version).is_dir():
            raise AetherError(f"{shown(str(self.path_of(version)))} is gone: it is fetched again")
        beside = self.root / f".{CURRENT}.aetherfs-{version.hex()[:12]}"
        with _as_ours(f"cannot switch {shown(str(self._link))}"):
            beside.unlink(missing_ok=True)
            beside.symlink_to(f"{VERSIONS}/{version.hex()}")
            os.replace(beside, self._link)
            self._sync()

    def _sync(self) -> None:
        """The switch survives a power cut once this has returned."""
        descriptor = os.open(self.root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def remove(self, version: bytes) -> None:
        """Remove a version that is not current: at once out of sight, then its files."""
        if self.current() == version:
            raise AetherError(f"{shown(str(self.path_of(version)))} is current, and not removed")
        staged = self._staged(version)
        with _as_ours(f"cannot remove {shown(str(self.path_of(version)))}"), contextlib.suppress(FileNotFoundError):
            if staged.exists():
                remove_tree(staged)
            os.rename(self.path_of(version), staged)
            remove_tree(staged)

    def _staged(self, version: bytes) -> Path:
        """Where ``swarm.beside`` stages what is not there yet."""
        return self._below / f".{version.hex()}.aetherfs-{version.hex()[:12]}"

    def tidy(self, keep: Collection[bytes] = ()) -> None:
        """Remove what killed processes left, but for what is staged of the versions in ``keep``."""
        kept = {self._staged(version).name for version in keep}
        with _as_ours(f"cannot tidy {shown(str(self.root))}"):
            for name in os.listdir(self.root) if self.root.is_dir() else []:
                if is_staging(name) and (self.root / name).is_symlink():
                    (self.root / name).unlink()
            for name in os.listdir(self._below) if self._below.is_dir() else []:
                if is_staging(name) and name not in kept:
                    remove_unless_locked(self._below / name)


def mask_at(directory: Path, version: bytes) -> int:
    """What the modes of a version's files were cut to in this directory: those of a subscription are read-only."""
    real = Path(os.path.realpath(directory))
    return READ_ONLY if (real.parent.name, real.name) == (VERSIONS, version.hex()) else ALL_MODES


def subscribed_at(directory: Path) -> Path | None:
    """The subscription's directory of which this is ``current``, or another version; None if it is neither."""
    real = Path(os.path.realpath(directory))
    root = real.parent.parent
    is_version = real.parent.name == VERSIONS and _version_in(real.name) is not None
    return root if is_version and (root / CURRENT).is_symlink() else None


def _version_in(name: str) -> bytes | None:
    try:
        return from_hex(name) if len(name) == 2 * SIGNATURE_BYTES else None
    except UsageError:
        return None


@contextlib.contextmanager
def _as_ours(doing: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise failure(doing, error) from error
