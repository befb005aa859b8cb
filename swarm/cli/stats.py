"""``aetherfs stats``: how a dataset performs, after it was published."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, Final

import click

from swarm.cli.output import columns, duration, moment, short, size
from swarm.cli.program import Program, options, pass_program
from swarm.units import counted

if TYPE_CHECKING:
    from swarm.analysis.reads import FileReads, VersionReads
    from swarm.figure_messages import VersionHeat
    from swarm.stats_messages import PublishTold, Stats, TierTold

FILES_SHOWN: Final = 12
CURVE_WIDTH: Final = 16
# From cold to hot.
HEATS: Final = ".:-=+*#%@"
RISES: Final = "▁▂▃▄▅▆▇█"
# How the row of a move ends that had nobody to reach.
UNFOLLOWED: Final = ["nobody", "-", "-", "-", "-", "-"]


@click.command()
@click.argument("ref", metavar="NAME[:TAG]")
@click.option("--since", default="30d", show_default=True, metavar="TIME", help="How far back: 12h, 30d.")
@options
@pass_program
def stats(program: Program, ref: str, since: str) -> None:
    """Show how a dataset performs: rollouts, who runs what, what of it is read.

    What is read is counted by the agent of this home, for readers over HTTP, mounts and fsspec; paths stay here.
    What is not known is a -, or said in words.
    """
    import msgspec

    from swarm.amounts import span_of
    from swarm.cli.perform import perform
    from swarm.cli.references import whole
    from swarm.stats_messages import Stats

    result = perform(program, "stats", {"ref": whole(program, ref), "since_s": span_of(since)})
    program.output.result(_with_heat(result), stats_lines(msgspec.convert(result, Stats)))


def _with_heat(result: dict[str, Any]) -> dict[str, Any]:
    """The same, with how often each stretch of a file was read."""
    import msgspec

    from swarm.analysis.reads import FileReads

    reads = [
        {
            **version,
            "files": [{**file, "heat": msgspec.convert(file, FileReads).heat} for file in version["files"]],
        }
        for version in result["reads"]
    ]
    return {**result, "reads": reads}


def stats_lines(told: Stats) -> Iterable[str]:
    """The tables."""
    yield f"{told.ref} since {moment(told.since)}"
    yield ""
    yield from _publish_lines(told)
    yield ""
    if told.versions:
        rows = [["version", "tags", "whole at", "in part at", "origins"]]
        for version in told.versions:
            counts = [str(each) for each in (version.complete_peers, version.partial_peers, version.origins)]
            rows.append([short(version.version), " ".join(version.tags) or "-", *counts])
        yield from columns(rows)
        yield from _why(told, "versions")
    else:
        none = "no version moved in that time"
        yield f"who runs which version: {told.reasons.get('versions', none)}"
    yield ""
    for reads in told.reads:
        yield from read_lines(reads)
    if not told.reads:
        yield "what is read here: nothing was, through this home's agent (over HTTP, a mount or fsspec)"
    for heat in told.heat:
        yield from heat_lines(heat)
    if not told.heat:
        yield f"what is read in the swarm: {told.reasons.get('heat', 'no peer has told of reading it yet')}"
    yield ""
    yield from columns(tier_rows(told.tiers))
    bad, unreadable = told.refused.bad, told.refused.unreadable
    swarm = "-" if told.refused.swarm is None else str(told.refused.swarm)
    yield f"refused blocks: {bad} bad here, {swarm} in the swarm; {unreadable} could not be given from here"
    yield from _why(told, "refused")
    yield f"caches and refused blocks are counted since this process began, {duration(told.uptime_s)} ago"


def _why(told: Stats, *fields: str) -> Iterator[str]:
    yield from (f"  -: {reason}" for field, reason in told.reasons.items() if field in fields)


def _publish_lines(told: Stats) -> Iterator[str]:
    """The moves. Of a whole dataset's those that nobody followed say nothing, and are counted alone."""
    heads, *rows = publish_rows(told.publishes) or [[]]
    followed = [row for row in rows if row[-len(UNFOLLOWED) :] != UNFOLLOWED]
    shown = rows if told.tag is not None else followed
    yield from columns([heads, *shown] if shown else [])
    if more := len(rows) - len(shown):
        of = f"{counted(more, 'move')} of tags that nobody followed"
        yield f"{'and ' if shown else ''}{of}: see `aetherfs stats {told.dataset}:TAG`"
    if told.has_earlier:
        yield f"and earlier ones in that time: see `aetherfs history {told.ref}`"
    yield from _why(told, "rollouts")
    if "publishes" in told.reasons:
        yield told.reasons["publishes"]


def publish_rows(publishes: Sequence[PublishTold]) -> list[list[str]]:
    """A row a move: when it was, how many peers have it after how long, and who gave the bytes."""
    rows = [["serial", "moved", "tag", "version", "bytes", "current", "p50", "p95", "last", "offload", "curve"]]
    for each in publishes:
        rollout = each.rollout
        head = [str(each.serial), moment(each.at), each.tag, short(each.version), _size(each.bytes)]
        if rollout is None:
            rows.append([*head, "-", "-", "-", "-", "-", "-"])
            continue
        completion = rollout.completion
        failed = f" ({rollout.failed} failed)" if rollout.failed else ""
        rows.append(
            [
                *head,
                f"{rollout.current} of {rollout.wanted}{failed}" if rollout.wanted else "nobody",
                *(_seconds(value) for value in (completion.p50_s, completion.p95_s, completion.last_s)),
                "-" if rollout.offload is None else f"{100 * rollout.offload:.0f}%",
                curve_text(completion.curve, rollout.wanted),
            ]
        )
    return rows if len(rows) > 1 else []


def curve_text(curve: Sequence[tuple[float, int]], wanted: int) -> str:
    """How many were current over time, from the move to the last of them, in one line."""
    if not curve or not wanted:
        return "-"
    last = curve[-1][0] or 1.0
    text = ""
    for at in range(1, CURVE_WIDTH + 1):
        reached = max((count for seconds, count in curve if seconds <= last * at / CURVE_WIDTH), default=0)
        text += RISES[min(len(RISES) - 1, reached * len(RISES) // wanted)] if reached else " "
    return f"|{text}|"


def read_lines(reads: VersionReads) -> Iterator[str]:
    """The hot and cold map of a version: the files read most, each as a strip of its stretches."""
    yield (
        f"read of {short(reads.version)} here: {size(reads.bytes)} in {counted(reads.reads, 'request')}, "
        f"{counted(len(reads.files), 'file')}, last {moment(reads.last)}"
    )
    files = sorted(reads.files, key=lambda file: -file.bytes)
    rows = [["  reads", "bytes", "covered", "cold . to hot @", "path"]]
    for file in files[:FILES_SHOWN]:
        rows.append([f"  {file.reads}", size(file.bytes), covered(file), strip(file), file.path])
    yield from columns(rows)
    if more := max(0, len(files) - FILES_SHOWN):
        yield f"  and {counted(more, 'more file')}: see --json"
    if reads.others:
        yield f"  and {counted(reads.others, 'file')} that there was no room for"


def heat_lines(heat: VersionHeat) -> Iterator[str]:
    """Where in a version all peers read, without its files."""
    amount = f"{size(heat.bytes)} in {counted(heat.reads, 'request')}"
    yield f"read of {short(heat.version)} at {counted(heat.peers, 'peer')}: {amount}"
    yield f"  |{shades(heat.stretches)}|  from its first byte to its last"


def covered(file: FileReads) -> str:
    """How much of it was read at all, by stretches."""
    there = [count for count, heat in zip(file.stretches, _possible(file), strict=True) if heat]
    return f"{100 * sum(1 for count in there if count) / max(1, len(there)):.0f}%"


def _possible(file: FileReads) -> Sequence[bool]:
    """Which stretches have bytes: of a file shorter than their number not all."""
    count = len(file.stretches)
    return [-(-at * file.size // count) < -(-(at + 1) * file.size // count) for at in range(count)]


def strip(file: FileReads) -> str:
    """A character a stretch: a blank for what was never read, else how hot it is beside the hottest."""
    return shades(file.heat)


def shades(heat: Sequence[float]) -> str:
    """A character for each."""
    hottest = max(heat) or 1.0
    return "".join(
        HEATS[min(len(HEATS) - 1, int(each / hottest * (len(HEATS) - 1) + 0.5))] if each else " " for each in heat
    )


def tier_rows(tiers: Sequence[TierTold]) -> list[list[str]]:
    """What the stores of blocks here had, and what they dropped and had to fetch again."""
    rows = [["blocks in", "asked", "hits", "evicted", "regret"]]
    for tier in tiers:
        asked = tier.hits + tier.misses
        share = f"{tier.hits} ({100 * tier.hits / asked:.0f}%)" if asked else "-"
        regret = f"{tier.regretted} ({size(tier.regretted_bytes)})" if tier.regretted else "0"
        rows.append([tier.tier, str(asked), share, str(tier.evicted), regret])
    return rows


def _seconds(value: float | None) -> str:
    return "-" if value is None else duration(value)


def _size(value: int | None) -> str:
    return "-" if value is None else size(value)
