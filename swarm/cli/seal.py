"""Sealing what a home keeps on its disk: ``aetherfs seal new | on | off | change``, and where a seal key comes from."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from swarm.cli.program import Program, options, pass_program, setting_option
from swarm.errors import ConflictError, NotFoundError, UsageError
from swarm.units import counted

if TYPE_CHECKING:
    from swarm.at_rest import SealKey

TEXT_MAX_BYTES: Final = 256
CREDENTIALS: Final = "CREDENTIALS_DIRECTORY"


def seal_key_of(place: str) -> SealKey | None:
    """The key that a setting names: in a file, ``env:VARIABLE`` or ``credential:NAME``; None when it names nothing."""
    if not place:
        return None
    from swarm.at_rest import parse_seal_key

    return parse_seal_key(_text_at(place))


def _text_at(place: str) -> str:
    kind, colon, name = place.partition(":")
    if colon and kind == "env":
        if name not in os.environ:
            raise NotFoundError(f"the environment has no {name}, where the seal key is said to be: set it")
        return os.environ[name]
    if colon and kind == "credential":
        folder = os.environ.get(CREDENTIALS)
        if not folder or not name or "/" in name:
            raise NotFoundError(f"systemd gave no credential {name!r}: add LoadCredential={name}:FILE to the unit")
        return _read(Path(folder, name))
    return _read(Path(place).expanduser())


def _read(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return file.read(TEXT_MAX_BYTES).decode("ascii", "replace")
    except FileNotFoundError as error:
        raise NotFoundError(f"{path} is not there: name the file with the seal key") from error
    except OSError as error:
        raise UsageError(f"cannot read the seal key at {path}: {error.strerror}; check its owner and mode") from error


@click.group()
def seal() -> None:
    """Seal keys and kept blocks on this disk with a local key."""


@seal.command()
@click.argument("file", metavar="FILE|-")
@options
@pass_program
def new(program: Program, file: str) -> None:
    """Make a seal key and write it to FILE, for its owner alone, or print it."""
    from swarm.cli.secret import write_secret

    path, text = Path(file), os.urandom(32).hex()
    if file == "-":
        program.output.result({"key": text}, [text])
        return
    if not write_secret(path, text):
        raise ConflictError(f"{path} is there already: remove it, or name another file")
    program.output.result(
        {"file": str(path)}, [f"wrote a seal key to {path}: keep a copy elsewhere, for nothing opens a home without it"]
    )


@seal.command()
@setting_option("seal_key", "FILE")
@options
@pass_program
def on(program: Program) -> None:
    """Seal this home, which is not sealed yet, with --seal-key."""
    _change(program, None, _needed(program))


@seal.command()
@setting_option("seal_key", "FILE")
@options
@pass_program
def off(program: Program) -> None:
    """Unseal this home, which is sealed with --seal-key."""
    _change(program, _needed(program), None)


@seal.command()
@click.option("--from", "old", metavar="FILE", required=True, help="What it is sealed with now.")
@setting_option("seal_key", "FILE")
@options
@pass_program
def change(program: Program, old: str) -> None:
    """Seal this home with --seal-key instead of another key."""
    _change(program, seal_key_of(old), _needed(program))


def _needed(program: Program) -> SealKey:
    key = seal_key_of(program.settings.seal_key)
    if key is None:
        raise UsageError("no seal key is named: give --seal-key FILE (`aetherfs seal new FILE` makes one)")
    return key


def _change(program: Program, old: SealKey | None, new: SealKey | None) -> None:
    from swarm.resealing import reseal

    path = program.settings.home
    count = reseal(path, old, new)
    told = f"sealed with key {new.id}" if new is not None else "not sealed any more"
    program.output.result(
        {"home": str(path), "sealed": new.id if new is not None else "", "blocks": count},
        [f"{path} is {told}: its key, its secrets and {counted(count, 'block')}"],
    )
