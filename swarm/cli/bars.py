"""A pull's waterfall as lines of a terminal: phases, neighbours, and under them the path that decided."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from swarm.cli.output import columns, size

WIDTH_MOST: Final = 100
WIDTH_LEAST: Final = 20
LABELS: Final = 34
SOURCES_SHOWN: Final = 12
STEPS_SHOWN: Final = 12
PHASES: Final = {
    "find": "finds the version",
    "manifest": "gets its manifest",
    "prepare": "sees what is here",
    "fetch": "fetches blocks",
    "finish": "puts it in place",
}
CAUSES: Final = {
    "tracker": "a tracker that does not answer",
    "discovery": "finding who has it",
    "local": "reading what is here",
    "peer": "peers",
    "origin": "the origin",
    "busy": "all who have it are busy",
    "hashing": "hashing",
    "disk": "the disk",
}
WHATS: Final = {"": "", "wait": "the answer", "bytes": "bytes", "hash": "", "disk": ""}
# By share: waiting for an answer, bytes coming, hashing, writing.
MARKS: Final = (("wait_s", "."), ("transfer_s", "="), ("hash_s", "h"), ("disk_s", "d"))

Span = tuple[float, float, str]


def waterfall_lines(pull: Mapping[str, Any], version: str) -> Iterator[str]:
    """Everything that is shown of a pull."""
    from swarm.cli.explain import began

    yield began(pull, version)
    yield pull["verdict"]
    yield from (f"besides, {note}" for note in pull["notes"])
    yield ""
    width = max(WIDTH_LEAST, min(WIDTH_MOST, shutil.get_terminal_size().columns - LABELS))
    yield from _bars(pull, width)
    yield ""
    rows = [[f"{seconds:.2f} s", _share(seconds, pull), CAUSES[cause]] for cause, seconds in pull["causes"].items()]
    yield from columns(rows)
    yield ""
    yield from _path(pull)


def _share(seconds: float, pull: Mapping[str, Any]) -> str:
    return f"{100 * seconds / pull['seconds']:.0f}%" if pull["seconds"] else "-"


def _bars(pull: Mapping[str, Any], width: int) -> Iterator[str]:
    whole = pull["seconds"] or 1e-9

    def row(label: str, spans: Sequence[Span], note: str) -> str:
        return f"{label[:20]:20} |{drawn(spans, whole, width)}| {note}".rstrip()

    for phase in pull["phases"]:
        span = (phase["start"], phase["end"], "#")
        yield row(PHASES.get(phase["name"], phase["name"]), [span], f"{span[1] - span[0]:.2f} s")
    ordered = sorted(enumerate(pull["sources"]), key=lambda item: -(item[1]["wait_s"] + item[1]["transfer_s"]))
    for number, source in ordered[:SOURCES_SHOWN]:
        spans = [span for run in pull["runs"] if run["source"] == number for span in run_spans(run)]
        note = f"{size(source['bytes'])} at {size(source['rate_bytes_per_s'])}/s" if source["bytes"] else "gave nothing"
        yield row(source["name"], spans, note)
    if len(ordered) > SOURCES_SHOWN:
        yield f"and {len(ordered) - SOURCES_SHOWN} more neighbours: see --json"
    for number, source in ordered[:SOURCES_SHOWN]:
        spans = [(s["start"], s["end"], "^") for s in pull["critical_path"] if s["source"] == number]
        if spans:
            yield row(f"  ^ {source['name']}", spans, "")
    alone = [(s["start"], s["end"], "^") for s in pull["critical_path"] if s["source"] is None]
    yield row("  ^ no neighbour", alone, "")
    yield " " * 22 + f"0 s{pull['seconds']:>{width - 5}.2f} s"
    yield " " * 22 + ". asked and waiting   = bytes come   h hashing   d disk   ^ decided how long it took"


def run_spans(run: Mapping[str, Any]) -> Iterator[Span]:
    """A run as four spans, one after another: its blocks take turns, and only the sums are kept."""
    at = run["asked"]
    for share, mark in MARKS:
        if run[share] > 0:
            yield at, at + run[share], mark
            at += run[share]


def drawn(spans: Sequence[Span], whole: float, width: int) -> str:
    """Spans on a line of so many columns; what is drawn last is seen."""
    cells = [" "] * width
    for start, end, mark in spans:
        first = min(width - 1, int(start / whole * width))
        last = max(first + 1, min(width, round(end / whole * width)))
        cells[first:last] = mark * (last - first)
    return "".join(cells)


def _path(pull: Mapping[str, Any]) -> Iterator[str]:
    steps = sorted(pull["critical_path"], key=lambda step: step["start"] - step["end"])[:STEPS_SHOWN]
    if not steps:
        return
    yield "the longest steps of the path that decided:"
    rows = []
    for step in sorted(steps, key=lambda step: step["start"]):
        rows.append([f"at {step['start']:.2f} s", f"{step['end'] - step['start']:.2f} s", step_words(pull, step)])
    yield from columns(rows)


def step_words(pull: Mapping[str, Any], step: Mapping[str, Any]) -> str:
    """What a step of the path waited for: ``the origin: bytes of seed abc``."""
    who = pull["sources"][step["source"]]["name"] if step["source"] is not None else ""
    what = WHATS[step["what"]]
    more = f"{what} of {who}" if what and who else what or who
    return f"{CAUSES[step['cause']]}: {more}" if more else CAUSES[step["cause"]]
