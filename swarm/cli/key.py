"""``key``: this home's key, and the names that it gives to producers' keys, for ``--require-signer``.

The names lie in the home's file ``signers``, one a line: NAME KEY [KEY...]. They are this machine's own business.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import click

from swarm.cli.program import Program, options, pass_program
from swarm.errors import NotFoundError, UsageError
from swarm.named_signers import FILE, NAMES_MAX, names_of

if TYPE_CHECKING:
    from swarm.home import Home


@click.group()
def key() -> None:
    """Show this home's key, and name producers' keys to require them as signers."""


@key.command()
@options
@pass_program
def show(program: Program) -> None:
    """Print this home's key id: what it publishes is signed with that."""
    found = program.home.key().peer_id
    program.output.result({"key": found, "home": str(program.home.path)}, [found])


@key.command()
@click.argument("name")
@click.argument("keys", metavar="KEY...", nargs=-1, required=True)
@options
@pass_program
def name(program: Program, name: str, keys: tuple[str, ...]) -> None:
    """Give producers' keys a name, in place of what it named before."""
    from swarm.identity import public_of
    from swarm.signers import SIGNERS_MAX, check_list_name

    check_list_name(name)
    for each in keys:
        public_of(each)
    named = dict(names_of(program.home)) | {name: tuple(dict.fromkeys(keys))}
    if len(keys) > SIGNERS_MAX or len(named) > NAMES_MAX:
        raise UsageError(f"at most {SIGNERS_MAX} keys have a name, and {NAMES_MAX} names are kept: forget some")
    _write(program.home, named)
    program.output.result({"name": name, "keys": list(named[name])}, [f"{name}: {' '.join(named[name])}"])


@key.command("list")
@options
@pass_program
def list_(program: Program) -> None:
    """Show the names, and the keys that each stands for."""
    named = names_of(program.home)
    program.output.result(
        {"names": {name: list(keys) for name, keys in named.items()}},
        [f"{name}: {' '.join(keys)}" for name, keys in named.items()],
    )


@key.command()
@click.argument("name")
@options
@pass_program
def forget(program: Program, name: str) -> None:
    """Take a name away."""
    named = dict(names_of(program.home))
    if named.pop(name, None) is None:
        raise NotFoundError(f"no keys are named {name[:80]!r}: see `aetherfs key list`")
    _write(program.home, named)
    program.output.result({"name": name, "keys": []}, [f"{name} is forgotten"])


def _write(home: Home, named: Mapping[str, tuple[str, ...]]) -> None:
    text = "".join(f"{name} {' '.join(keys)}\n" for name, keys in sorted(named.items()))
    home.write_state(FILE, text.encode())
