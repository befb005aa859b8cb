"""Commands about the program itself: version, config show, completion."""

from __future__ import annotations

import sys

import click

import swarm
from swarm.cli.output import columns
from swarm.cli.program import Program, options, pass_program
from swarm.limits import PROTOCOL_HIGHEST, PROTOCOL_LOWEST


@click.command()
@options
@pass_program
def version(program: Program) -> None:
    """Show the version of the program and of its protocol."""
    python = ".".join(str(part) for part in sys.version_info[:3])
    result = {"version": swarm.__version__, "protocol": [PROTOCOL_LOWEST, PROTOCOL_HIGHEST], "python": python}
    line = f"aetherfs {swarm.__version__}, protocol {PROTOCOL_LOWEST} to {PROTOCOL_HIGHEST}, Python {python}"
    program.output.result(result, [line])


@click.group()
def config() -> None:
    """Show the settings."""


@config.command()
@click.option("--origin", is_flag=True, help="Also where each value comes from.")
@options
@pass_program
def show(program: Program, origin: bool) -> None:
    """Show every setting as it stands."""
    items = program.settings.items()
    if origin:
        result: dict[str, object] = {name: {"value": value, "origin": place} for name, value, place in items}
        lines = columns([[name, str(value), place] for name, value, place in items])
    else:
        result = {name: value for name, value, _ in items}
        lines = columns([[name, str(value)] for name, value, _ in items])
    program.output.result(result, lines)


@click.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@options
@pass_program
def completion(program: Program, shell: str) -> None:
    """Print the completion script of a shell.

    For bash: eval "$(aetherfs completion bash)"
    """
    from click.shell_completion import get_completion_class

    kind = get_completion_class(shell)
    if kind is None:
        raise click.UsageError(f"there is no completion for {shell}")
    root = click.get_current_context().find_root().command
    script = kind(root, {}, "aetherfs", "_AETHERFS_COMPLETE").source()
    program.output.result({"shell": shell, "script": script}, [])
    if not program.json:
        program.output.stdout.write(script + "\n")
