"""What a support bundle holds, as a page without a script: tables for whoever reads it. Pure."""

from __future__ import annotations

import html
import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final

STYLE: Final = (
    "body{font:15px/1.5 system-ui,sans-serif;max-width:110rem;margin:2rem auto;padding:0 1rem;color:CanvasText;"
    "background:Canvas;color-scheme:light dark}pre{overflow:auto;white-space:pre-wrap;word-break:break-word;margin:0}"
    "summary{cursor:pointer;font-weight:600;padding:.3rem 0}div{overflow-x:auto}"
    "table{border-collapse:collapse;margin:.2rem 0;font-size:.9rem}th{font-weight:600}"
    "th,td{text-align:left;vertical-align:top;padding:.15rem .8rem .15rem 0;max-width:44rem;overflow-wrap:break-word}"
    "tr+tr>*{border-top:1px solid #8886}td td,td th{max-width:30rem}"
)
ROWS_MAX: Final = 1000
DEPTH_MAX: Final = 6
# A number with a fraction between these is a moment: wall seconds of the years 2017 to 2096.
_FIRST: Final = 1.5e9
_LAST: Final = 4e9


def page(made: str, parts: Mapping[str, Any], data: str) -> str:
    """Each part to be opened. The data stands in it too (JSON), for a program to read."""
    shown = "".join(
        f"<details{' open' if name == 'doctor' else ''}><summary>{html.escape(name)}</summary>"
        f"<div>{drawn(part)}</div></details>\n"
        for name, part in parts.items()
    )
    # Nothing in the data ends the element that it stands in.
    embedded = data.replace("<", "\\u003c")
    return (
        '<!doctype html><html lang="en"><meta charset="utf-8">'
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">"
        f"<title>AetherFS support bundle, {html.escape(made)}</title><style>{STYLE}</style>"
        f"<h1>AetherFS support bundle</h1><p>Made {html.escape(made)}.</p>\n{shown}"
        f'<script type="application/json" id="bundle">{embedded}</script></html>\n'
    )


def drawn(value: Any, depth: int = 0) -> str:
    """A value as HTML: of many alike a table with a row each, of one thing its names and what they are."""
    if depth > DEPTH_MAX:
        return _text(json.dumps(value, default=str))
    if isinstance(value, Mapping) and value:
        return _rows(
            f"<th scope=row>{_text(name)}</th><td>{drawn(part, depth + 1)}</td>" for name, part in value.items()
        )
    if isinstance(value, Sequence) and not isinstance(value, str | bytes) and value:
        return _alike(value, depth) if all(isinstance(each, Mapping) for each in value) else _listed(value, depth)
    return _text(value)


def _alike(values: Sequence[Mapping[str, Any]], depth: int) -> str:
    names = list(dict.fromkeys(name for each in values for name in each))
    head = "".join(f"<th scope=col>{_text(name)}</th>" for name in names)
    rows = ("".join(f"<td>{drawn(each.get(name, ''), depth + 1)}</td>" for name in names) for each in values[:ROWS_MAX])
    return _rows([head, *rows]) + _more(len(values))


def _listed(values: Sequence[Any], depth: int) -> str:
    shown = [drawn(each, depth + 1) for each in values[:ROWS_MAX]]
    if any(isinstance(each, Mapping | list | tuple) for each in values):
        return _rows(f"<td>{each}</td>" for each in shown) + _more(len(values))
    return ", ".join(shown) + _more(len(values))


def _more(count: int) -> str:
    return f"<p>and {count - ROWS_MAX:,} more, in the data</p>" if count > ROWS_MAX else ""


def _rows(rows: Iterable[str]) -> str:
    return f"<table>{''.join(f'<tr>{row}</tr>' for row in rows)}</table>"


def _text(value: Any) -> str:
    if value is None or value == "" or (isinstance(value, Sequence | Mapping) and not value):
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float) and _FIRST < value < _LAST:
        return datetime.fromtimestamp(value, UTC).isoformat(timespec="seconds")
    text = f"{value:,}" if isinstance(value, int) else f"{value:,.3f}" if isinstance(value, float) else str(value)
    return f"<pre>{html.escape(text)}</pre>" if "\n" in text else html.escape(text)
