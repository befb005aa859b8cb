"""The runbooks as pages of the tracker: one for each alert, the same for everybody, so that an alert's link opens.

They lie beside the dashboard (``web/runbooks``), with a page that lists them.
"""

from __future__ import annotations

import html
import re
from functools import cache
from importlib.resources import files
from typing import Final

from swarm.alert_messages import RUNBOOKS
from swarm.errors import NotFoundError
from swarm.tracker.web_files import STATIC, head_of, site

INDEX: Final = "README"
_NAME: Final = re.compile(r"[A-Za-z]{1,64}")
# Of one page to another: by its name, as they lie side by side in the address too.
_LINK: Final = re.compile(r"\]\((\w+)\.md\)")


@cache
def _names() -> frozenset[str]:
    folder = files("swarm.tracker").joinpath("web", "runbooks")
    return frozenset(each.name.removesuffix(".md") for each in folder.iterdir() if each.name.endswith(".md"))


def runbook_page(name: str) -> bytes:
    """The page of an alert, or the one that lists them, as HTML. NotFoundError for any other name. Reads files."""
    if not _NAME.fullmatch(name) or name not in _names():
        raise NotFoundError(f"there is no runbook of that name: {RUNBOOKS} lists them")
    return _page(name)


@cache
def _page(name: str) -> bytes:
    # A tenth of a second to import, for who reads one.
    from markdown_it import MarkdownIt

    text = files("swarm.tracker").joinpath("web", "runbooks", f"{name}.md").read_text("utf-8")
    body = MarkdownIt("commonmark", {"html": False}).render(_LINK.sub(r"](\1)", text))
    title = "Runbooks" if name == INDEX else name
    way = "" if name == INDEX else f' / <a href="{RUNBOOKS}">Runbooks</a>'
    return (
        f'<!doctype html>\n<html lang="en"><head>{head_of(f"{html.escape(title)} - AetherFS", site().digest)}'
        f'<script src="{STATIC}/{site().digest}/theme.js"></script></head>\n<body class="paper"><main class="card">'
        f'<nav aria-label="Where this is"><a href="/ui/alerts">Alerts</a>{way}</nav>'
        f'<article class="readme">{body}</article></main></body></html>\n'
    ).encode()
