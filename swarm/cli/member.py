"""Commands about the members of the swarm: who they are, what their tokens named, and removing one."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import click

from swarm.cli.output import columns, moment
from swarm.cli.program import Program, options, pass_program
from swarm.errors import UsageError


@click.group()
def member() -> None:
    """Look after the members of the swarm."""


@member.command()
@options
@pass_program
def ls(program: Program) -> None:
    """Show every member."""
    from swarm.cli.perform import perform

    result = perform(program, "members", {})
    program.output.result(result, _shown(result))


@member.command()
@click.argument("peer", metavar="ID")
@click.option("--datasets", multiple=True, metavar="PATTERN", help="What @token stands for, for this member.")
@click.option("--label", "labels", multiple=True, metavar="KEY=VALUE", help="All its labels from now on.")
@click.option("--no-labels", is_flag=True, help="None any more.")
@options
@pass_program
def set(program: Program, peer: str, datasets: tuple[str, ...], labels: tuple[str, ...], no_labels: bool) -> None:
    """Change what a member's token named: its datasets, its labels."""
    from swarm.cli.perform import perform
    from swarm.names import check_pattern
    from swarm.principal import check_labels

    patterns = [check_pattern(part) for text in datasets for part in text.split(",")]
    if not patterns and not labels and not no_labels:
        raise UsageError("nothing is to change: give --datasets, --label or --no-labels")
    arguments = {
        "peer": peer,
        "datasets": patterns or None,
        "labels": list(check_labels(labels)) if labels or no_labels else None,
    }
    result = perform(program, "member", arguments)
    program.output.result(result, _shown({"members": [result]}))


@member.command()
@click.argument("peer", metavar="ID")
@click.option("--force", is_flag=True, help="Even the only tracker, or this home itself.")
@options
@pass_program
def remove(program: Program, peer: str, force: bool) -> None:
    """Refuse a member from now on, everywhere within a minute; its key can never come back.

    ID is its peer id, or the beginning that other commands print.
    """
    from swarm.cli.perform import perform

    result = perform(program, "remove-member", {"peer": peer, "force": force})
    program.output.result(result, [f"{result['removed']} is refused from now on"])


def _shown(result: Mapping[str, Any]) -> Iterable[str]:
    return columns([_row(one) for one in result["members"]])


def _row(one: Mapping[str, Any]) -> list[str]:
    labels = [f"site={one['site']}"] if one["site"] else []
    datasets = ",".join(one["datasets"]) or "-"
    return [one["peer"], one["role"], datasets, ",".join([*labels, *one["labels"]]) or "-", moment(one["joined"])]
