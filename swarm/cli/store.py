"""The store commands: check, copy, cost."""

from __future__ import annotations

import click

from swarm.cli.program import Program, options, pass_program
from swarm.cli.store_check import check
from swarm.cli.store_copy import copy
from swarm.cli.store_cost import cost


@click.group()
@options
@pass_program
def store(program: Program) -> None:
    """Look after the object store."""


store.add_command(check)
store.add_command(copy)
store.add_command(cost)
