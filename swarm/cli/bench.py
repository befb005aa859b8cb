"""The command bench: what this machine can do of each stage of a publish, beside what the last publish reached."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from swarm.cli.output import columns, moment, size
from swarm.cli.program import Program, options, pass_program
from swarm.errors import NotFoundError


@click.command()
@click.argument("path", required=False)
@options
@pass_program
def bench(program: Program, path: str | None) -> None:
    """Measure what this machine can do, beside what its last publish reached.

    With the data in PATH, or made data; in about 8 s, with 64 MiB on the home's disk, which are removed again. Ends
    with a line that says what holds a publish up here. Nothing is sent to anybody.
    """
    import msgspec

    from swarm.cli.bottleneck import CEILING_OF, bottleneck, stages_of
    from swarm.cli.ceilings import THREADS_MOST, measured, sample_of
    from swarm.peer.stages import last_publish

    if path is not None and not Path(path).exists():
        raise NotFoundError(f"{path} is not there: name a file or directory to measure with, or none")
    home = program.settings.home
    home.mkdir(mode=0o700, parents=True, exist_ok=True)
    ceilings = measured(
        sample_of(Path(path) if path is not None else None), home, lambda name: program.output.note(f"bench: {name}")
    )
    last = last_publish(home)
    publish = msgspec.to_builtins(last) if last is not None else None
    threads = min(THREADS_MOST, os.cpu_count() or 1)
    reached = {CEILING_OF.get(r.stage, r.stage): r for r in stages_of(publish, threads)} if publish else {}
    result: dict[str, Any] = {
        "ceilings": [asdict(ceiling) for ceiling in ceilings],
        "processors": os.cpu_count() or 1,
        "last_publish": publish,
        "reached": {name: asdict(each) for name, each in reached.items()},
        "bottleneck": bottleneck({each.name: each.bytes_per_s for each in ceilings}, publish, threads),
    }
    program.output.result(result, _lines(result))


def _lines(result: Mapping[str, Any]) -> Iterator[str]:
    rows = [["stage", "this machine", "last publish", ""]]
    for ceiling in result["ceilings"]:
        reached = result["reached"].get(ceiling["name"], {}).get("bytes_per_s")
        threads = f", {ceiling['threads']} threads" if ceiling["threads"] > 1 else ""
        there = f"{size(reached)}/s" if reached is not None else "-"
        rows.append([ceiling["name"], f"{size(ceiling['bytes_per_s'])}/s{threads}", there, ceiling["note"]])
    yield from columns(rows)
    publish = result["last_publish"]
    if publish is not None:
        yield f"last publish of some size: {publish['dataset']}, {moment(publish['at'])}"
    yield result["bottleneck"]
