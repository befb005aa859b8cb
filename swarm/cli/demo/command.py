"""The command ``demo``."""

from __future__ import annotations

import os
import shutil
import time
from pathlib import Path

import click

from swarm.cli.demo import trees
from swarm.cli.demo.cluster import Cluster
from swarm.cli.demo.place import SHARED_MEMORY, available_memory, choose, make
from swarm.cli.demo.report import Summary, print_table
from swarm.cli.demo.story import Story, Teller, timed
from swarm.cli.output import printable, size
from swarm.cli.program import Program, options, pass_program
from swarm.errors import AetherError


@click.command()
@click.argument("path", required=False)
@click.option("--keep", is_flag=True, help="Leave the swarm up, to look at its dashboard, until Ctrl-C.")
@options
@pass_program
def demo(program: Program, path: str | None, keep: bool) -> None:
    """Show a swarm of processes at work on this machine, and where its dashboard is."""
    source = Path(path) if path is not None else trees.standard_library()
    summary = Summary(str(source))
    started = time.monotonic()
    # With --json, stdout is for the summary; what happens is told on stderr then.
    stream = program.output.stderr if program.json else program.output.stdout
    # What is left up to look at needs to be told where it is, and how to sign in.
    is_quiet = program.quiet and not keep

    def line(text: str) -> None:
        if not is_quiet:
            print(printable(text), file=stream, flush=True)

    say = timed(line, started)
    teller = Teller(say, lambda pulled: None if is_quiet else print_table(pulled, stream))
    folder = make(choose(trees.measure(source), os.environ.get("TMPDIR"), SHARED_MEMORY, available_memory()))
    try:
        data = folder / "data"
        files, amount = trees.copy(source, data)
        say(f"copied {source}: {files} files, {size(amount)}; everything happens in {folder}")
        with Cluster(folder) as cluster:
            story = Story(cluster, data, summary, teller)
            story.tell()
            summary.seconds = time.monotonic() - started
            if keep:
                story.come_back()
                say(f"the swarm stays up, and its dashboard at {summary.dashboard}, until Ctrl-C")
                cluster.stay()
        left = cluster.left_over()
        teller.checked(summary.check("no process is left", ok=not left, detail=f"{left}" if left else "all have ended"))
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    passed = len(summary.checks) - len(summary.failures)
    program.output.result(
        summary.as_dict(), [f"{passed} of {len(summary.checks)} checks passed in {summary.seconds:.1f} s"]
    )
    if summary.failures:
        raise AetherError(f"the demo failed: {'; '.join(f'{c.check}: {c.detail}' for c in summary.failures)}")
