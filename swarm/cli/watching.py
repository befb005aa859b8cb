"""Commands that show the swarm as it works: top, and events. Both ask a tracker for its figures, once a second."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, Final

import click

from swarm.cli.output import duration, moment, printable, size
from swarm.cli.program import Program, options, pass_program
from swarm.errors import UnreachableError
from swarm.units import counted

if TYPE_CHECKING:
    from rich.console import Group

LOOK_S: Final = 1.0
EVENTS_PAGE: Final = 500
# Events whose ids are remembered, as many as a tracker keeps.
TOLD_MAX: Final = 5000
# All that is known when a command begins has come after so many pages, whatever happens meanwhile.
PAGES_MAX: Final = TOLD_MAX // EVENTS_PAGE
# Of what is behind, so many are shown beneath a tag.
STRAGGLERS: Final = 3
TAGS_SHOWN: Final = 20
MARKS: Final[Mapping[str, str]] = {
    "well": "green",
    "running": "cyan",
    "slow": "yellow",
    "stalled": "red",
    "failed": "red",
}


@click.command()
@click.option("--once", is_flag=True, help="Show it once, and end.")
@options
@pass_program
def top(program: Program, once: bool) -> None:
    """Show the rollouts of the swarm as they go on: who is behind, why, and what the origin gives.

    With --json one object a line, each second; with --once a single one.
    """
    program.start_logging()
    program.when_interrupted = ""
    from swarm.cli.at_hand import agent_throughout

    with agent_throughout(program) as be_there:
        if once or program.json or not program.output.stdout.isatty():
            _lines(program, be_there, once=once)
        else:
            _live(program, be_there)


@click.command()
@click.option("--follow", "-f", is_flag=True, help="Go on as they happen, until Ctrl-C.")
@click.option("--since", "back", default="1h", show_default=True, metavar="TIME", help="How far back: 10m, 2d.")
@options
@pass_program
def events(program: Program, follow: bool, back: str) -> None:
    """Show what has happened in the swarm: joins, deaths, moves of tags, rollouts, alerts; newest last.

    All trackers tell the same; a line on stderr says since when they lack nothing. With --json one object a line.
    """
    from swarm.amounts import span_of
    from swarm.cli.at_hand import agent_throughout

    program.start_logging()
    program.when_interrupted = ""
    since = time.time() - span_of(back)
    with agent_throughout(program) as be_there:
        for event in happenings(program, since, be_there, follow=follow):
            if program.json:
                program.output.emit(event)
            else:
                print(printable(event_line(event)), file=program.output.stdout, flush=follow)


def figures(program: Program, what: str, **query: str) -> dict[str, Any]:
    """One of a tracker's figures."""
    from swarm.cli.perform import perform

    return perform(program, "figures", {"what": what, "query": query})


def seen(program: Program) -> dict[str, Any]:
    """What `top` shows: the overview, who is behind in the tags that are not well, and what is wrong."""
    from swarm.cli.perform import perform

    overview = figures(program, "overview")
    behind = [row for row in overview["tags"] if row["behind"]][:TAGS_SHOWN]
    stragglers = {
        f"{row['dataset']}:{row['tag']}": figures(program, f"rollouts/{row['dataset']}/{row['tag']}")["stragglers"]
        for row in behind
    }
    alerts = [alert for alert in perform(program, "alerts", {})["alerts"] if alert["state"] == "firing"]
    return {"overview": overview, "stragglers": stragglers, "alerts": alerts}


def happenings(
    program: Program, since: float, be_there: Callable[[], None], *, follow: bool
) -> Iterator[dict[str, Any]]:
    """Events, each once: what is known at first in order of time, then as it is heard. Numbers are one tracker's: of
    another's, what was not told counts. ``be_there``: see ``agent_throughout``.
    """
    after, told, first, pages = 0, OrderedDict[str, None](), list[dict[str, Any]](), 0
    is_first, said = True, ""
    while True:
        try:
            be_there()
            page = figures(program, "events", after=str(after), since=f"{since:.3f}", limit=str(EVENTS_PAGE))
        except UnreachableError as error:
            if not follow:
                raise
            if said != str(error):
                said = str(error)
                program.output.note(said)
            time.sleep(LOOK_S)
            continue
        pages, said = pages + 1, ""
        is_last = not follow and pages >= PAGES_MAX
        if page["next"] < after and not is_last:
            after = 0
            continue
        new = [event for event in page["events"] if told.keys().isdisjoint((event["id"], event["was"]))]
        told.update((event["id"], None) for event in page["events"])
        while len(told) > TOLD_MAX:
            told.popitem(last=False)
        is_more = page["next"] > after and not is_last  # also where none of a page's events may be read
        after = page["next"]
        first += new
        if not is_more and is_first:
            _say_since(program, page["since"], since)
        if not is_more or not is_first:
            yield from sorted(first, key=lambda event: (event["at"], event["serial"]))
            first, is_first = [], False
        if not follow and not is_more:
            return
        if not is_more:
            time.sleep(LOOK_S)


def _say_since(program: Program, since: float, asked: float) -> None:
    """Of what time before something may be lacking."""
    if since > asked:
        program.output.note(f"trackers lack nothing since {moment(since)}; of what was before, this is what was kept")


def event_line(event: Mapping[str, Any]) -> str:
    """An event for people."""
    mark = {"warning": "! ", "critical": "!!"}.get(event["severity"], "  ")
    return f"{moment(event['at'])}  {mark} {event['kind']:11}  {event['text']}"


def picture(told: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """The lines of `top`, each with its colour."""
    overview = told["overview"]
    totals = overview["totals"]
    yield overview["verdict"], "bold " + MARKS.get(overview["trend"], "white")
    if overview.get("stale_since"):
        yield f"this picture may be behind: {overview['why_stale']}", "yellow"
    yield (
        f"{counted(totals['peers'], 'peer')}, {counted(totals['seeds'], 'seed')}, "
        f"{counted(totals['trackers'], 'tracker')} at {counted(totals['sites'], 'site')}; "
        f"{size(totals['rate_bytes_per_s'])}/s, of it {size(totals['origin_rate_bytes_per_s'])}/s from the origin",
        "dim",
    )
    for alert in told["alerts"]:
        yield f"{alert['severity']}: {alert['rule']} {alert['subject']}: {alert['summary']}", "red"
    for row in overview["tags"][:TAGS_SHOWN]:
        yield from _row(row, told["stragglers"].get(f"{row['dataset']}:{row['tag']}", ()))
    if len(overview["tags"]) > TAGS_SHOWN:
        yield f"and {counted(len(overview['tags']) - TAGS_SHOWN, 'tag')} more", "dim"


def _row(row: Mapping[str, Any], stragglers: Iterable[Mapping[str, Any]]) -> Iterator[tuple[str, str]]:
    eta = f", {duration(row['eta_s'])} left" if row["eta_s"] is not None and row["behind"] else ""
    share = row["sources"].get("share_origin")
    origin = f", origin {share:.1%}" if share is not None else ""
    name = f"{row['dataset']}:{row['tag']}"
    if not row["wanted"]:
        yield f"{name:40} followed by nobody", "dim"
        return
    done = row["current"] / row["wanted"]
    yield (
        f"{name:40} {_bar(done)} {row['current']}/{row['wanted']} {row['trend']}{eta}{origin}",
        MARKS.get(row["trend"], "white"),
    )
    for one in list(stragglers)[:STRAGGLERS]:
        yield (
            f"    {one['peer'][:8]} {one['site'] or '-'}  {one['state']}: {one['reason'] or one['cause'] or '-'}",
            "dim",
        )


def _bar(share: float, width: int = 20) -> str:
    full = int(share * width)
    return "[" + "#" * full + "." * (width - full) + "]"


def _lines(program: Program, be_there: Callable[[], None], *, once: bool) -> None:
    while True:
        be_there()
        told = seen(program)
        if program.json:
            program.output.emit({"at": told["overview"]["at"], **told})
        else:
            program.output.result(told, [text for text, _ in picture(told)])
        if once:
            return
        time.sleep(LOOK_S)


def _live(program: Program, be_there: Callable[[], None]) -> None:
    from rich.console import Console
    from rich.live import Live

    console = Console(file=program.output.stdout)
    with Live(console=console, screen=True, auto_refresh=False) as live:
        while True:
            try:
                be_there()
                live.update(_drawn(picture(seen(program))), refresh=True)
            except UnreachableError as error:
                live.update(_drawn([(str(error), "red")]), refresh=True)
            time.sleep(LOOK_S)


def _drawn(lines: Iterable[tuple[str, str]]) -> Group:
    """Nothing that others named is taken for rich's own markup."""
    from rich.console import Group
    from rich.text import Text

    return Group(*(Text(printable(text), style=style, no_wrap=True, overflow="ellipsis") for text, style in lines))
