"""Which paths a manifest may hold: relative, NFC, inside the tree. Both sides check with these functions.

Refused at parse, so that no reader ever meets a path that it must not write: absolute, ``..``, ``.``, empty parts, NUL, not NFC,
not UTF-8, too long, and symbolic links that leave the tree by themselves. Clashes between entries are the manifest's to find.
"""

from __future__ import annotations

import unicodedata

from swarm.errors import RemoteProtocolError
from swarm.limits import LINK_TARGET_BYTES, PATH_BYTES, PATH_PART_BYTES


def check_path(path: str) -> str:
    """The path, unchanged, or RemoteProtocolError that says what is wrong with it."""
    if not path or path.startswith("/") or path.endswith("/"):
        raise RemoteProtocolError(f"path {_shown(path)} is not relative")
    _check_text(path, PATH_BYTES, "path")
    for part in path.split("/"):
        if part in ("", ".", ".."):
            raise RemoteProtocolError(f"path {_shown(path)} holds the part {part!r}")
        if len(part.encode()) > PATH_PART_BYTES:
            raise RemoteProtocolError(f"path {_shown(path)} has a part of more than {PATH_PART_BYTES} bytes")
    return path


def check_link(path: str, target: str) -> str:
    """The target of a link at ``path``, unchanged, if it is relative and stays inside the tree, or RemoteProtocolError.

    Targets are followed by their text; a link may not lead through another link, which ``Manifest`` checks.
    """
    if not target or target.startswith("/"):
        raise RemoteProtocolError(f"link {_shown(path)} leads to {_shown(target)}, outside the tree")
    _check_text(target, LINK_TARGET_BYTES, "link target")
    resolve_link(path, target)
    return target


def resolve_link(path: str, target: str) -> str:
    """Where a link leads, as a path of the tree (empty for its root). RemoteProtocolError if it leaves."""
    parts = path.split("/")[:-1]
    for part in target.split("/"):
        if part in ("", "."):
            continue
        if part == "..":
            if not parts:
                raise RemoteProtocolError(f"link {_shown(path)} leads to {_shown(target)}, outside the tree")
            parts.pop()
        else:
            parts.append(part)
    return "/".join(parts)


def _check_text(text: str, limit_bytes: int, what: str) -> None:
    try:
        size = len(text.encode())
    except UnicodeEncodeError as error:
        raise RemoteProtocolError(f"{what} {_shown(text)} is not UTF-8") from error
    if size > limit_bytes:
        raise RemoteProtocolError(f"{what} {_shown(text)} has {size} bytes, the limit is {limit_bytes}")
    if "\0" in text:
        raise RemoteProtocolError(f"{what} {_shown(text)} holds a NUL")
    if not unicodedata.is_normalized("NFC", text):
        raise RemoteProtocolError(f"{what} {_shown(text)} is not in Unicode normal form C: rename it")


def _shown(text: str) -> str:
    return ascii(text if len(text) <= 80 else text[:77] + "...")
