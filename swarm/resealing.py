"""Sealing a home, unsealing it, or changing its key: everything that a key seals, written anew with another.

No process may run on the home meanwhile: its lock is held. A change that breaks off is told by the home's marker, and
repeating it goes on where it ended, since what is sealed with which key is seen by opening it.
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import Final

from cryptography.hazmat.primitives import serialization

from swarm.at_rest import SealKey, is_sealed
from swarm.errors import AetherError, NotAllowedError, RemoteProtocolError
from swarm.home import CHANGING, SECRETS, Home
from swarm.store.disk import file_of, signature_in

TEMPORARY: Final = ".sealing-"


def reseal(path: Path, old: SealKey | None, new: SealKey | None) -> int:
    """Seal what is sealed with ``old``, or with nothing, with ``new``, or nothing. How many blocks that were.

    ConflictError when a process runs there, NotAllowedError when ``old`` is not its key. A damaged block is removed.
    """
    home = Home(path)
    home.open()
    try:
        found = home.sealed_with()
        if found not in (CHANGING, old.id if old is not None else ""):
            raise NotAllowedError(f"{path} is sealed with {found or 'no key'}: name what it is sealed with, and repeat")
        home.mark_sealed(CHANGING)
        for name in SECRETS:
            _secret(path / name, old, new)
        _tls_key(path / "key.pem", old, new)
        count = _blocks(home.blocks, old, new)
        home.mark_sealed(new.id if new is not None else "")
        return count
    finally:
        home.close()


def opened(what: bytes, data: bytes, old: SealKey | None, new: SealKey | None) -> bytes:
    """What was sealed with either key, or is not. RemoteProtocolError for what opens with none."""
    if not is_sealed(data):
        return data
    for key in (new, old):
        if key is not None:
            with contextlib.suppress(RemoteProtocolError):
                return key.open(what, data)
    raise RemoteProtocolError("it was sealed with another key, or altered")


def _sealed(what: bytes, plain: bytes, key: SealKey | None) -> bytes:
    return key.seal(what, plain) if key is not None else plain


def _secret(path: Path, old: SealKey | None, new: SealKey | None) -> None:
    if path.exists():
        what = path.name.encode()
        _replace(path, path, _sealed(what, opened(what, path.read_bytes(), old, new), new))


def _tls_key(path: Path, old: SealKey | None, new: SealKey | None) -> None:
    """The private key lies in OpenSSL's own form."""
    if not path.exists():
        return
    data = path.read_bytes()
    for key in (old, new):
        password = key.password.encode() if key is not None else None
        try:
            private = serialization.load_pem_private_key(data, password)
        except (ValueError, TypeError):
            continue
        sealing = serialization.BestAvailableEncryption(new.password.encode()) if new is not None else None
        form = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8)
        _replace(path, path, private.private_bytes(*form, sealing or serialization.NoEncryption()))
        return
    raise AetherError(f"{path} opens with neither key: restore it, or remove the home and join again")


def _blocks(folder: Path, old: SealKey | None, new: SealKey | None) -> int:
    count = 0
    files = [file for each in (folder.iterdir() if folder.is_dir() else ()) if each.is_dir() for file in each.iterdir()]
    for file in files:
        signature = signature_in(file.name, old)
        if signature is None:
            continue
        try:
            plain = opened(signature, file.read_bytes(), old, None)
        except RemoteProtocolError:
            file.unlink()
            continue
        target = file_of(folder, signature, new)
        target.parent.mkdir(mode=0o700, exist_ok=True)
        _replace(file, target, _sealed(signature, plain, new), is_lasting=False)
        count += 1
    return count


def _replace(source: Path, target: Path, data: bytes, *, is_lasting: bool = True) -> None:
    """Write the target whole, and only then remove the source."""
    temporary = target.with_name(TEMPORARY + target.name)
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)
        if is_lasting:
            file.flush()
            os.fsync(file.fileno())
    os.replace(temporary, target)
    if source != target:
        source.unlink()
