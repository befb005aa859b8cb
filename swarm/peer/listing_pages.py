"""Listings as HTML: a stranger's names and README, shown without running or fetching anything. Pure.

Every name is escaped as text and percent-encoded as a link; a README is CommonMark with its HTML shown as text and
links of known schemes only. The page has a policy of its own that forbids scripts, whatever slips through.
"""

from __future__ import annotations

import base64
import hashlib
import html
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final
from urllib.parse import quote

from swarm.peer.snapshot import Item
from swarm.segments import SYMLINK
from swarm.units import size

README_MAX_BYTES: Final = 64 * 1024
_READMES: Final = ("readme.md", "readme.markdown", "readme", "readme.txt")
_STYLE: Final = """
:root { color-scheme: light dark; }
body { font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 60rem; padding: 0 1rem; }
table { border-collapse: collapse; width: 100%; }
td, th { padding: .25rem .6rem; text-align: left; border-bottom: 1px solid #8884; overflow-wrap: anywhere; }
.size, .time { text-align: right; white-space: nowrap; font-variant-numeric: tabular-nums; }
.readme { border: 1px solid #8886; border-radius: 6px; margin-top: 2rem; padding: 0 1.2rem; overflow-x: auto; }
.readme img { max-width: 100%; }
footer { margin-top: 2rem; color: #888; font-size: 13px; overflow-wrap: anywhere; }
"""
_STYLE_HASH: Final = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()
POLICY: Final = (
    f"default-src 'none'; style-src 'sha256-{_STYLE_HASH}'; img-src 'self'; form-action 'none'; base-uri 'none'; "
    "frame-ancestors 'none'"
)


@dataclass(frozen=True, slots=True)
class Row:
    """A line of a listing. ``href`` is percent-encoded already."""

    name: str
    href: str
    size: str = ""
    time: str = ""


@dataclass(frozen=True, slots=True)
class Page:
    """A listing: ``crumbs`` are (text, link) from the top; ``more`` leads to the next page."""

    crumbs: Sequence[tuple[str, str]]
    rows: Sequence[Row]
    more: str = ""
    readme: str = ""
    footer: str = ""


def row_of(item: Item) -> Row:
    """A directory's entry as a line."""
    name = item.name + ("/" if item.is_directory else "")
    entry = item.entry
    if entry is None or item.is_directory:
        return Row(name, href_of(name))
    if entry.kind == SYMLINK:
        return Row(f"{name} → {entry.target}", href_of(name))
    return Row(name, href_of(name), size(entry.size), time_text(entry.mtime_ns))


def href_of(name: str) -> str:
    """A relative link to a name: a colon in it would be a scheme."""
    return "./" + quote(name, safe="/")


def time_text(mtime_ns: int) -> str:
    """A file's time for people; nothing for what no calendar has."""
    try:
        return datetime.fromtimestamp(mtime_ns // 10**9, UTC).strftime("%Y-%m-%d %H:%M")
    except (ValueError, OverflowError, OSError):
        return ""


def readme_among(items: Sequence[Item]) -> Item | None:
    """The one that is shown below a listing."""
    by_name = {item.name.lower(): item for item in reversed(items) if item.entry is not None and item.entry.kind == 0}
    return next((by_name[name] for name in _READMES if name in by_name), None)


def readme_html(name: str, data: bytes) -> str:
    """A README as HTML that runs nothing."""
    text = data.decode("utf-8", "replace")
    if not name.lower().endswith((".md", ".markdown")):
        return f"<pre>{html.escape(text)}</pre>"
    # A tenth of a second to import, for who looks at a listing.
    from markdown_it import MarkdownIt

    return str(MarkdownIt("commonmark", {"html": False}).enable("table").render(text))


def page_html(page: Page) -> bytes:
    """The whole page."""
    title = html.escape(" / ".join(text for text, _ in page.crumbs))
    crumbs = " / ".join(f'<a href="{html.escape(link)}">{html.escape(text)}</a>' for text, link in page.crumbs)
    rows = "\n".join(
        f'<tr><td><a href="{html.escape(row.href)}">{html.escape(row.name)}</a></td>'
        f'<td class="size">{row.size}</td><td class="time">{row.time}</td></tr>'
        for row in page.rows
    )
    more = f'<p><a href="{html.escape(page.more)}" rel="next">more</a></p>' if page.more else ""
    readme = f'<article class="readme">{page.readme}</article>' if page.readme else ""
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{title}</title>'
        f'<meta name="viewport" content="width=device-width"><style>{_STYLE}</style></head>\n<body><h1>{crumbs}</h1>\n'
        f'<table><thead><tr><th>name</th><th class="size">size</th><th class="time">modified (UTC)</th></tr></thead>\n'
        f"<tbody>\n{rows}\n</tbody></table>{more}{readme}<footer>{html.escape(page.footer)}</footer></body></html>\n"
    ).encode("utf-8", "replace")
