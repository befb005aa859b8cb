"""Commands that give the swarm new keys, on a tracker's home while it runs."""

from __future__ import annotations

import click

from swarm.cli.enrol import seconds_of
from swarm.cli.output import moment
from swarm.cli.program import Program, options, pass_program


@click.group()
def rotate() -> None:
    """Give the swarm a new CA key or a new secret, with no peer lost.

    Members learn of it with their next heartbeats; nothing is restarted.
    """


@rotate.command()
@click.option("--after", default="1h", show_default=True, metavar="TIME", help="Until the new key is in force.")
@click.option("--retire", default="30d", show_default=True, metavar="TIME", help="From then until old papers end.")
@options
@pass_program
def ca(program: Program, after: str, retire: str) -> None:
    """Let another key of the CA follow. What the former one sealed keeps its worth in logs."""
    _rotate(program, "ca", after, retire)


@rotate.command()
@click.option("--after", default="1h", show_default=True, metavar="TIME", help="Until announces go under the new one.")
@click.option("--retire", default="1d", show_default=True, metavar="TIME", help="From then until the old one ends.")
@options
@pass_program
def secret(program: Program, after: str, retire: str) -> None:
    """Let another secret of the DHT follow."""
    _rotate(program, "secret", after, retire)


def _rotate(program: Program, what: str, after: str, retire: str) -> None:
    from swarm.cli.perform import perform

    arguments = {"what": what, "after_s": seconds_of(after), "retire_s": seconds_of(retire)}
    result = perform(program, "rotate", arguments)
    name = {"ca": "CA key", "secret": "secret"}[what]
    lines = [
        f"the new {name} is in force from {moment(result['in_force'])}",
        f"the former one is retired at {moment(result['former_retired'])}",
    ]
    program.output.result(result, lines)
