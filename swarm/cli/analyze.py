"""``aetherfs analyze``: what a directory would cost each consumer, told before it is published."""

from __future__ import annotations

import signal
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING

import click

from swarm.cli.output import columns, duration, short, size
from swarm.cli.program import Program, options, pass_program, signer_options
from swarm.errors import AetherError, IncompleteError
from swarm.units import counted

if TYPE_CHECKING:
    from swarm.analysis.changes import Change
    from swarm.analysis.facts import Facts
    from swarm.analysis.findings import Finding
    from swarm.analysis.report import Analysis, FetchTold

CHANGES_SHOWN = 15
NEIGHBOURS = "touched: the bytes are the same; what is fetched of them lies in one block with what changed"


@click.command()
@click.argument("path")
@click.option("--against", metavar="REF", help="The version that consumers have; without it, nothing is there yet.")
@click.option(
    "--links",
    type=click.Choice(["refuse", "skip", "follow"]),
    default="refuse",
    show_default=True,
    help="As for publish.",
)
@click.option(
    "--budget",
    type=click.IntRange(0),
    default=256,
    show_default=True,
    metavar="MB",
    help="How much of the files each finding is measured on; 0 looks for none.",
)
@click.option("--html", "page", metavar="FILE", help="Also write a report that opens in a browser, offline.")
@signer_options
@options
@pass_program
def analyze(program: Program, path: str, against: str | None, links: str, budget: int, page: str | None) -> None:
    """Show what PATH would cost each consumer of REF, and what would cost less.

    Nothing is published. What is read is remembered, so that an analysis that was stopped goes on where it was.
    """
    from swarm.analysis.analyze import Request
    from swarm.analysis.analyze import analyze as look
    from swarm.cli.at_hand import agent_at_hand
    from swarm.cli.compared import Version
    from swarm.cli.data import existing
    from swarm.cli.progress import showing
    from swarm.cli.references import whole

    source = existing(path)
    ref = whole(program, against) if against is not None else None
    scans = program.settings.home / "scans"
    with (
        stoppable() as stop,
        showing(program.output, "analyze") as progress,
        agent_at_hand(program) if ref is not None else nullcontext() as agent,
    ):
        request = Request(
            root=Path(source),
            scan_path=scans / _name(f"{links}:{source}"),
            sizes_path=scans / _name(f"sizes:{links}:{source}"),
            links=links,  # type: ignore[arg-type]
            older=Version(program, agent, ref) if agent is not None and ref is not None else None,
            gives=_gives(program),
            budget_bytes=budget * 1_000_000,
            progress=progress,
            should_stop=lambda: stop.is_asked,
        )
        try:
            analysis = look(request)
        except IncompleteError:
            if stop.is_asked:
                raise KeyboardInterrupt from None
            raise
    if page is not None:
        from swarm.analysis.page import analysis_page

        write_page(page, analysis_page(analysis))
    program.output.result(to_json(analysis), analysis_lines(analysis))


def _gives(program: Program) -> bool:
    """Whether the agent that would publish is a seed, which gives blocks out of the directory itself."""
    from swarm.local_agent import AgentClient

    info = program.agent()
    return info is not None and "store" in AgentClient(info).call("status", {}, lambda report: None)


def to_json(report: object) -> dict[str, object]:
    """A report as its object."""
    import msgspec

    return dict(msgspec.to_builtins(report))


def write_page(path: str, text: str) -> None:
    """Write a page whole. AetherError where it cannot be written."""
    try:
        Path(path).write_text(text, encoding="utf-8")
    except OSError as error:
        raise AetherError(f"cannot write {path}: {error.strerror}; choose another place") from error


def _name(text: str) -> str:
    """As ``publish`` names what it remembers of a directory."""
    from swarm.signature import signature_of

    return signature_of(text.encode()).hex()[:32]


class Stop:
    """Whether Ctrl-C was pressed."""

    is_asked = False


@contextmanager
def stoppable() -> Iterator[Stop]:
    """The first Ctrl-C asks for an end in order; a second one is a KeyboardInterrupt at once."""
    stop = Stop()

    def ask(_number: int, _frame: FrameType | None) -> None:
        if stop.is_asked:
            raise KeyboardInterrupt
        stop.is_asked = True

    before = {number: signal.signal(number, ask) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def analysis_lines(analysis: Analysis) -> Iterable[str]:
    """The tables."""
    from swarm.analysis.report import UNSOUGHT

    facts = analysis.facts
    yield f"{analysis.path} would be version {short(analysis.version)}"
    yield from _facts(facts)
    yield ""
    yield from _fetch("a new consumer fetches", analysis.first_fetch)
    if analysis.against is not None:
        against = analysis.against
        yield from _fetch(f"a consumer of {against.ref} ({short(against.version)}) fetches", analysis.fetch)
        yield from ("", analysis.counts.words, *change_lines(analysis.changes[:CHANGES_SHOWN]))
        if (more := analysis.counts.all - CHANGES_SHOWN) > 0:
            yield f"and {counted(more, 'more path')} not as before: see --html or --json, and `aetherfs diff` for all"
        if analysis.reuse:
            yield ""
            rows = [["tag", "version", "shared", "new"]]
            rows += [[r.tag, short(r.version), size(r.shared_bytes), size(r.fetch_bytes)] for r in analysis.reuse]
            yield from columns(rows)
    yield ""
    for finding in analysis.findings:
        yield from finding_lines(finding)
    if not analysis.findings and UNSOUGHT not in analysis.notes:
        yield "no findings: nothing that was measured would save much"
    yield from (f"note: {note}" for note in analysis.notes)
    yield f"{size(analysis.read_bytes)} read in {duration(analysis.seconds)}"


def _facts(facts: Facts) -> Iterator[str]:
    share = f"{100 * facts.encoded_bytes / facts.bytes:.0f}%" if facts.bytes else "-"
    yield (
        f"{counted(facts.files, 'file')}, {size(facts.bytes)} in {counted(facts.blocks, 'block')}; "
        f"compressed {size(facts.encoded_bytes)} ({share}); "
        f"manifest {size(facts.manifest_bytes)} in {counted(facts.segments, 'segment')}"
    )
    yield (
        f"{size(facts.repeated_bytes)} repeat within it; "
        f"{counted(facts.equal_files, 'file equals', 'files equal')} others ({size(facts.equal_bytes)}); "
        f"{counted(facts.tiny_files, 'tiny file')} ({size(facts.tiny_bytes)})"
    )
    rows = [["kind", "files", "bytes", "compressed"]]
    for kind in facts.kinds:
        packed = f"{100 * kind.encoded_bytes / kind.bytes:.0f}%" if kind.bytes else "-"
        rows.append([kind.ending or "(none)", str(kind.files), size(kind.bytes), packed])
    yield from columns(rows)


def _fetch(who: str, fetch: FetchTold) -> Iterator[str]:
    packed = ", compressed" if fetch.wire_basis == "seed" else ""
    blocks = counted(fetch.blocks, "block")
    yield f"{who} {size(fetch.wire_bytes)} from here{packed}: {blocks}, {100 * fetch.share:.1f}% of the plain bytes"
    yield (
        f"    from peers {fetch.from_peers_bytes} bytes, from a seed {fetch.from_seed_bytes}, "
        f"{fetch.manifest_bytes} of either for the manifest"
    )


def change_lines(changes: Iterable[Change]) -> list[str]:
    """Changed files, with what is fetched of each and where in it that lies."""
    has_neighbours = False
    rows = [["what", "size", "fetch", "", "path"]]
    for change in changes:
        has_neighbours |= change.what == "touched" and change.fetch_bytes > 0
        before = f" (was {change.before})" if change.before else ""
        amount = change.size_before if change.what == "removed" else change.size
        rows.append([change.what, size(amount), size(change.fetch_bytes), change.strip, change.path + before])
    lines = columns(rows) if len(rows) > 1 else ["no file changed"]
    return [*lines, NEIGHBOURS] if has_neighbours else lines


def finding_lines(finding: Finding) -> Iterator[str]:
    """A finding: what, how much, what to do, and how that is known."""
    measured, whose = finding.measured, "their" if finding.file_count > 1 else "its"
    yield (
        f"{finding.title}: {counted(finding.file_count, 'file')}, saves {100 * finding.saved_share:.0f}% of {whose} "
        f"{size(finding.now_bytes)} ({size(finding.saved_bytes)}) at each update"
    )
    yield f"    {finding.change}"
    sample = (
        f" on a sample of {measured.files} of {counted(measured.of_files, 'file')}, {size(measured.bytes)} of "
        f"{size(measured.of_bytes)}"
        if finding.sampled
        else ""
    )
    yield f"    measured{sample}, {finding.basis}; the first version with the change costs {size(finding.once_bytes)}"
    yield from (f"    {path}" for path in finding.files)
    if finding.file_count > len(finding.files):
        yield f"    and {finding.file_count - len(finding.files)} more"
