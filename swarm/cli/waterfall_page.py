"""A version and the waterfall of its last pull as one page, without script and without anything from elsewhere."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from html import escape
from typing import Any, Final

from swarm.cli.bars import CAUSES, PHASES, run_spans, step_words
from swarm.cli.explain import began, holder_rows
from swarm.cli.output import printable, short, size
from swarm.units import counted

CLASSES: Final = {".": "wait", "=": "bytes", "h": "hash", "d": "disk", "#": "phase"}
ROW: Final = 22
LEFT: Final = 210
WIDE: Final = 1000
STYLE: Final = """
:root{color-scheme:light dark;--ink:#1d2733;--dim:#667;--line:#d5dae0;--back:#fff;--wait:#f0b429;--bytes:#3b82c4;
--hash:#8a63d2;--disk:#d2604a;--phase:#9aa5b1;--path:#c81e4a}
@media(prefers-color-scheme:dark){:root{--ink:#e4e9ef;--dim:#9aa5b1;--line:#384552;--back:#141a21}}
body{font:15px/1.5 system-ui,sans-serif;color:var(--ink);background:var(--back);max-width:1240px;
margin:2em auto;padding:0 1em}
h1{font-size:1.3em;margin:0}.verdict{font-size:1.15em;border-left:4px solid var(--path);padding-left:.7em;margin:1em 0}
table{border-collapse:collapse;margin:1em 0}td,th{padding:.15em .9em .15em 0;text-align:left;vertical-align:top}
th{color:var(--dim);font-weight:500}.dim{color:var(--dim)}code{font-family:ui-monospace,monospace}
.files td:first-child{overflow-wrap:anywhere;min-width:8em}.wide{overflow-x:auto}
svg{width:100%;min-width:720px;height:auto;display:block}
text{fill:var(--ink);font:13px system-ui,sans-serif}.axis{stroke:var(--line)}
.wait{fill:var(--wait)}.bytes{fill:var(--bytes)}.hash{fill:var(--hash)}.disk{fill:var(--disk)}.phase{fill:var(--phase)}
.path{fill:none;stroke:var(--path);stroke-width:2.5}
.key{display:inline-block;min-width:0;
width:.9em;height:.9em;margin:0 .3em 0 1em}
"""


def page_of(result: Mapping[str, Any]) -> str:
    """The page, of what the verb explain-version tells."""
    title = f"{result['ref']} {short(result['version'])}"
    parts = [
        "<!doctype html><html lang=en><meta charset=utf-8><meta name=viewport content='width=device-width'>",
        f"<title>{_text(title)}</title><style>{STYLE}</style><h1>{_text(title)}</h1>",
        f"<p class=dim>{counted(result['files'], 'file')}, {_text(size(result['bytes']))} in "
        f"{counted(result['blocks'], 'block')}, serial {result['serial']}</p>",
        _table([], holder_rows(result["holders"])),
        *_pull(result),
        _files(result),
    ]
    return "\n".join(parts) + "\n"


def _text(value: object) -> str:
    return escape(printable(str(value)))


def _table(head: list[str], rows: list[list[str]], name: str = "plain") -> str:
    top = "<tr>" + "".join(f"<th>{_text(cell)}" for cell in head) if head else ""
    body = "".join("<tr>" + "".join(f"<td>{_text(cell)}" for cell in row) for row in rows)
    return f"<table class={name}>{top}{body}</table>"


def _pull(result: Mapping[str, Any]) -> Iterator[str]:
    pull = result["pull"]
    if pull is None:
        yield "<p>No pull of it was traced here.</p>"
        return
    yield f"<p class=verdict>{_text(pull['verdict'])}</p><p class=dim>{_text(began(pull, result['version']))}</p>"
    yield from (f"<p>Besides, {_text(note)}</p>" for note in pull["notes"])
    yield _picture(pull)
    keys = (("wait", "asked and waiting"), ("bytes", "bytes come"), ("hash", "hashing"), ("disk", "disk"))
    yield "<p>" + "".join(f"<svg class=key><rect width=100% height=100% class={k} /></svg>{w}" for k, w in keys)
    yield "<svg class=key><rect width=100% height=100% class=path /></svg>decided how long it took</p>"
    rows = [[f"{s:.2f} s", f"{100 * s / (pull['seconds'] or 1):.0f}%", CAUSES[c]] for c, s in pull["causes"].items()]
    yield _table(["time", "share", "of the path that decided"], rows)
    yield _table(["from", "to", "the path that decided, step by step"], [_step(pull, s) for s in pull["critical_path"]])


def _step(pull: Mapping[str, Any], step: Mapping[str, Any]) -> list[str]:
    return [f"{step['start']:.3f} s", f"{step['end']:.3f} s", step_words(pull, step)]


def _picture(pull: Mapping[str, Any]) -> str:
    whole = pull["seconds"] or 1e-9
    rows: list[tuple[str, list[tuple[float, float, str]], Sequence[Mapping[str, Any]]]] = []
    for phase in pull["phases"]:
        mine = [part for step in pull["critical_path"] if step["source"] is None and (part := _within(step, phase))]
        rows.append((PHASES.get(phase["name"], phase["name"]), [(phase["start"], phase["end"], "#")], mine))
    for number, source in enumerate(pull["sources"]):
        spans = [span for run in pull["runs"] if run["source"] == number for span in run_spans(run)]
        rows.append((source["name"], spans, [s for s in pull["critical_path"] if s["source"] == number]))
    drawn = [_row(number, *row, whole) for number, row in enumerate(rows)]
    ticks = [_tick(share, whole, len(rows) * ROW) for share in (0, 0.25, 0.5, 0.75, 1)]
    size_of = f"0 0 {LEFT + WIDE + 40} {len(rows) * ROW + 24}"
    says = f"{_text(pull['verdict'])}; the tables beneath tell the same"
    svg = f'<svg viewBox="{size_of}" role=img aria-label="{says}">{"".join(ticks)}{"".join(drawn)}</svg>'
    return f'<div class=wide tabindex=0 role=region aria-label="the waterfall">{svg}</div>'


def _within(step: Mapping[str, Any], phase: Mapping[str, Any]) -> dict[str, float] | None:
    """The part of a step that is in a phase, if any is."""
    start, end = max(step["start"], phase["start"]), min(step["end"], phase["end"])
    return {"start": start, "end": end} if start < end else None


def _tick(share: float, whole: float, height: int) -> str:
    x = LEFT + share * WIDE
    line = f'<line class=axis x1="{x}" x2="{x}" y1="0" y2="{height}" />'
    return f'{line}<text x="{x}" y="{height + 17}" text-anchor="middle">{share * whole:.2f} s</text>'


def _row(
    number: int, label: str, spans: list[tuple[float, float, str]], path: Sequence[Mapping[str, Any]], whole: float
) -> str:
    y = number * ROW
    parts = [f'<text x="0" y="{y + 15}">{_text(label)}</text>']
    for start, end, mark in spans:
        box = _box(start, end, whole, y + 4, ROW - 8)
        parts.append(f'<rect {box} class="{CLASSES[mark]}"><title>{start:.3f} to {end:.3f} s</title></rect>')
    parts += [f'<rect {_box(s["start"], s["end"], whole, y + 2, ROW - 4)} class="path" />' for s in path]
    return "".join(parts)


def _box(start: float, end: float, whole: float, y: int, height: int) -> str:
    x, width = LEFT + start / whole * WIDE, max(0.6, (end - start) / whole * WIDE)
    return f'x="{x:.2f}" width="{width:.2f}" y="{y}" height="{height}"'


def _files(result: Mapping[str, Any]) -> str:
    rows = [
        [
            file["path"],
            size(file["bytes"]),
            str(file["blocks"]),
            str(file["here"]),
            f"{file['neighbours_least']} to {file['neighbours_most']}",
        ]
        for file in result["shown"]
    ]
    return _table(["file", "size", "blocks", "of them here", "at so many neighbours"], rows, "files")
