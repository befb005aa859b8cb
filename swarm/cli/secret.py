"""The swarm secret as a file: ``aetherfs secret export``, and what a role with ``--secret-file`` reads.

Whoever starts over a store without a swarm may name a file that is not there yet: it is made, whole and once, before
the swarm is, so that nothing is made that cannot be opened again. Over a store that holds a swarm a missing file is
refused: a new secret would not open it.
"""

from __future__ import annotations

import contextlib
import logging
import os
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from swarm.cli.program import Program, options, pass_program, setting_option
from swarm.errors import AetherError, ConflictError, NotAllowedError, NotFoundError, UsageError
from swarm.limits import PASSPHRASE_MAX_BYTES, SECRET_MAX_CHARS

if TYPE_CHECKING:
    from swarm.config import Settings

MODE: Final = 0o600

log = logging.getLogger("aetherfs.secret")


@click.group()
def secret() -> None:
    """Write the secret from which trackers and seeds start."""


@secret.command()
@click.argument("file", metavar="FILE|-", default="-")
@setting_option("passphrase_file", "FILE")
@options
@pass_program
def export(program: Program, file: str) -> None:
    """Write the swarm secret of a tracker's home to FILE, or print it; sealed if there is a passphrase."""
    from swarm.secret_text import format_secret

    home = program.home
    store_key = home.swarm().store_key
    if not store_key:
        raise NotAllowedError(f"{home.path} is no tracker's: only a tracker's home has the swarm secret")
    passphrase = passphrase_of(program.settings)
    text = format_secret(store_key, passphrase)
    if file == "-":
        program.output.result({"secret": text, "sealed": bool(passphrase)}, [text])
        return
    path = Path(file)
    if not write_secret(path, text):
        raise ConflictError(f"{path} is there already: remove it, or name another file")
    sealed = "sealed with the passphrase" if passphrase else "not sealed: whoever reads it can make itself a tracker"
    program.output.result(
        {"file": str(path), "sealed": bool(passphrase)}, [f"wrote the swarm secret to {path}, {sealed}"]
    )


def passphrase_of(settings: Settings) -> bytes:
    """The passphrase from the file that is named, else from the environment; empty for none."""
    from swarm.secret_text import PASSPHRASE_VARIABLE, check_passphrase

    if settings.passphrase_file:
        data = read_file(Path(settings.passphrase_file), PASSPHRASE_MAX_BYTES + 2, "the passphrase")
        passphrase = data.rstrip(b"\r\n")
        if not passphrase:
            raise UsageError(f"{settings.passphrase_file} is empty: write the passphrase into it")
        return check_passphrase(passphrase)
    return check_passphrase(os.environb.get(PASSPHRASE_VARIABLE.encode(), b""))


def store_key_in(path: Path, passphrase: bytes) -> bytes:
    """The store key in a secret file. NotFoundError, UsageError when mutilated, NotAllowedError for the passphrase."""
    from swarm.secret_text import open_secret, parse_secret

    body = parse_secret(read_file(path, SECRET_MAX_CHARS + 2, "the swarm secret").decode("utf-8", "replace"))
    with contextlib.suppress(OSError):
        if not body.salt and path.stat().st_mode & 0o007:
            log.warning("%s is open to everybody on this machine: chmod 600 it, or seal it with a passphrase", path)
    return open_secret(body, passphrase)


def made_store_key(path: Path, passphrase: bytes) -> bytes:
    """A new store key, written to a file that is not there; that of the file, if another process was first."""
    from swarm.secret_text import STORE_KEY_BYTES, format_secret

    write_secret(path, format_secret(os.urandom(STORE_KEY_BYTES), passphrase))
    return store_key_in(path, passphrase)


def write_secret(path: Path, text: str) -> bool:
    """Make the file with this text, whole or not at all and for its owner alone. False if there is one."""
    temporary = path.with_name(f".{path.name}.{os.urandom(6).hex()}")
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, MODE)
        with os.fdopen(descriptor, "w") as file:
            file.write(text + "\n")
            file.flush()
            os.fsync(file.fileno())
        os.link(temporary, path)
        _sync_folder(path.parent)
    except FileExistsError:
        return False
    except OSError as error:
        raise AetherError(f"cannot write {path}: {error.strerror}; check the path and the disk") from error
    finally:
        temporary.unlink(missing_ok=True)
    return True


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def read_file(path: Path, limit_bytes: int, what: str) -> bytes:
    """The beginning of a file that should hold something small. NotFoundError without one."""
    try:
        with path.open("rb") as file:
            return file.read(limit_bytes)
    except (FileNotFoundError, NotADirectoryError) as error:
        raise NotFoundError(f"{path} is not there: it should hold {what}; check the path") from error
    except OSError as error:
        raise AetherError(f"cannot read {path}: {error.strerror}; it should hold {what}") from error
