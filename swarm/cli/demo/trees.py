"""The data of the demo: a copy to publish, a few changes, and a comparison of trees that trusts nothing of ours."""

from __future__ import annotations

import os
import shutil
import stat
import sysconfig
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

from swarm.errors import NotFoundError, UsageError

LEFT_OUT: Final = frozenset({"site-packages", "dist-packages", "__pycache__"})
CHANGED_FILES: Final = 4
COMPARE_BYTES: Final = 1 << 20
TEXT_LOOK_BYTES: Final = 4096


def standard_library() -> Path:
    """Where the running Python's own modules are."""
    return Path(sysconfig.get_path("stdlib"))


def measure(source: Path) -> int:
    """The bytes that a copy will have. NotFoundError or UsageError for what is no directory."""
    if not source.exists():
        raise NotFoundError(f"{source} is not there: give a directory to show the swarm with")
    if not source.is_dir():
        raise UsageError(f"{source} is not a directory: give one to show the swarm with")
    return sum(path.stat().st_size for path in _files(source))


def copy(source: Path, target: Path) -> tuple[int, int]:
    """Copy a directory; (files, bytes). A link that leads out of it is replaced by the file that it leads to.

    Caches and installed packages are left out.
    """
    shutil.copytree(source, target, symlinks=False, ignore=_left_out(source), ignore_dangling_symlinks=True)
    files = list(_files(target))
    return len(files), sum(path.stat().st_size for path in files)


def _left_out(source: Path) -> Callable[[str, list[str]], set[str]]:
    """copytree's question: which of these names are not copied."""
    root = os.path.realpath(source)

    def ignore(folder: str, names: list[str]) -> set[str]:
        return {name for name in names if name in LEFT_OUT or _is_no_data(os.path.join(folder, name), root)}

    return ignore


def _is_no_data(path: str, root: str) -> bool:
    """Sockets and the like, and links to directories: those could lead in circles."""
    if os.path.islink(path) and os.path.isdir(path):
        return True
    try:
        mode = os.stat(path).st_mode
    except OSError:
        return True
    return not (stat.S_ISREG(mode) or stat.S_ISDIR(mode))


def _files(root: Path) -> Iterator[Path]:
    for folder, folders, names in os.walk(root):
        folders[:] = sorted(name for name in folders if name not in LEFT_OUT)
        for name in sorted(names):
            path = Path(folder, name)
            if path.is_file():
                yield path


def change(root: Path) -> list[str]:
    """Add a line in the middle of a few text files spread over the tree, and a file; the changed paths, relative."""
    files = [path for path in _files(root) if _is_text(path)]
    step = max(1, len(files) // CHANGED_FILES)
    changed = files[step // 2 :: step][:CHANGED_FILES]
    for path in changed:
        data = path.read_bytes()
        middle = data.find(b"\n", len(data) // 2) + 1 or len(data)
        mode = path.stat().st_mode
        path.chmod(mode | stat.S_IWUSR)
        path.write_bytes(data[:middle] + b"# a line of the second version\n" + data[middle:])
        path.chmod(stat.S_IMODE(mode))
    added = root / "NEW_IN_THE_SECOND_VERSION"
    added.write_text("a file that the first version did not have\n", encoding="utf-8")
    return sorted(path.relative_to(root).as_posix() for path in [*changed, added])


def _is_text(path: Path) -> bool:
    with path.open("rb") as file:
        head = file.read(TEXT_LOOK_BYTES)
    return b"\n" in head and b"\0" not in head


def differences(source: Path, copied: Path) -> list[str]:
    """Where two trees differ in names, kinds, modes, times or bytes; empty when they are identical."""
    left, right = _listing(source), _listing(copied)
    found = [f"{name} is missing" for name in sorted(left.keys() - right.keys())]
    found += [f"{name} is extra" for name in sorted(right.keys() - left.keys())]
    for name in sorted(left.keys() & right.keys()):
        if left[name] != right[name]:
            found.append(f"{name} has kind, mode, size or time {right[name]}, not {left[name]}")
        elif stat.S_ISREG(left[name][0]) and not _same_bytes(source / name, copied / name):
            found.append(f"{name} has other bytes")
    return found


def _listing(root: Path) -> dict[str, tuple[int, ...]]:
    """Every file by its mode, size and time; directories by their kind alone, as only empty ones are data."""
    found: dict[str, tuple[int, ...]] = {}
    for folder, folders, names in os.walk(root):
        for name in [*folders, *names]:
            path = Path(folder, name)
            status = path.lstat()
            is_file = stat.S_ISREG(status.st_mode)
            described = (status.st_mode, status.st_size, status.st_mtime_ns)
            found[path.relative_to(root).as_posix()] = described if is_file else (stat.S_IFMT(status.st_mode),)
    return found


def _same_bytes(left: Path, right: Path) -> bool:
    with left.open("rb") as one, right.open("rb") as other:
        while True:
            data = one.read(COMPARE_BYTES)
            if data != other.read(COMPARE_BYTES):
                return False
            if not data:
                return True
