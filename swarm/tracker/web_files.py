"""The dashboard's files (``swarm/tracker/web``): read once, served from memory, the same for everybody.

They lie below an address that holds the hash of all of them, so browsers keep them for ever and never mix two versions.
There is no build step: modules import each other by relative paths. What is vendored names ``preact`` alone, which here
becomes a relative path too. The same files, put into one document, are a support bundle without its data. Agents serve
them too, for their own page.
"""

from __future__ import annotations

import base64
import gzip
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import Final

import msgspec
from aiohttp import web

from swarm.errors import NotFoundError
from swarm.signature import signature_of

STATIC: Final = "/ui/static"
HTML: Final = "text/html"
TYPES: Final = {".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml"}
STYLES: Final = (
    "vendor/uPlot.min.css",
    "style/tokens.css",
    "style/shell.css",
    "style/parts.css",
    "style/pages.css",
    "style/swarm.css",
)
# Where the same is told to who runs no scripts.
SHELL_OTHERWISE: Final = (
    "The same figures are in <code>aetherfs top</code>, <code>aetherfs status</code> and <code>/metrics</code>."
)
AGENT_OTHERWISE: Final = "The same is told by <code>aetherfs status</code>."
KEPT: Final = "public, max-age=31536000, immutable"
_BARE: Final = (b'from"preact"', b'from"./preact.module.js"')
# In which order modules have to be made is found out by following their imports: each becomes a blob's address.
_BUNDLE_START: Final = """\
const sources = JSON.parse(document.getElementById("aetherfs-modules").textContent), made = {};
function addressOf(path) {
  made[path] ??= URL.createObjectURL(new Blob([sources[path].replace(
    /(\\b(?:from|import)\\s*["'])(\\.{1,2}\\/[^"']+)(?=["'])/g,
    (all, start, to) => start + addressOf(new URL(to, "http://bundle/" + path).pathname.slice(1)))],
    { type: "text/javascript" }));
  return made[path];
}
import(addressOf("app.js"));
"""


@dataclass(frozen=True, slots=True)
class StaticFile:
    """A file as it is sent; ``packed`` is the same with gzip."""

    body: bytes
    packed: bytes
    content_type: str


@dataclass(frozen=True, slots=True)
class Site:
    """All files by path, what their address begins with, and the documents that are made of them: the dashboard's, an
    agent's own page, and the support bundle.
    """

    digest: str
    files: dict[str, StaticFile]
    shell: bytes
    agent: bytes
    bundle: bytes


@cache
def site() -> Site:
    """The files of this installation."""
    folder = files("swarm.tracker").joinpath("web")
    found = {path: _file(path, data) for path, data in sorted(_read(folder, ""))}
    whole = b"".join(path.encode() + b"\0" + signature_of(one.body) for path, one in found.items())
    digest = signature_of(whole).hex()[:16]
    frame = folder.joinpath("index.html").read_text(encoding="utf-8")
    shell = _document(frame, digest, "AetherFS", "app.js", SHELL_OTHERWISE)
    agent = _document(frame, digest, "AetherFS agent", "agent.js", AGENT_OTHERWISE)
    return Site(digest, found, shell, agent, _bundle(found))


def _document(frame: str, digest: str, title: str, script: str, otherwise: str) -> bytes:
    """One of the documents that a script fills."""
    parts = {"head": head_of(title, digest), "digest": digest, "script": script, "otherwise": otherwise}
    for name, text in parts.items():
        frame = frame.replace(f"{{{name}}}", text)
    return frame.encode()


def head_of(title: str, digest: str) -> str:
    """What every page of ours has in its head. ``title`` is escaped already."""
    start = f"{STATIC}/{digest}/"
    return "\n".join(
        (
            f'<meta charset="utf-8">\n<title>{title}</title>',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            '<meta name="color-scheme" content="light dark">',
            f'<link rel="icon" type="image/svg+xml" href="{start}icon.svg">',
            *(f'<link rel="stylesheet" href="{start}{path}">' for path in STYLES),
        )
    )


def _read(folder: Traversable, start: str) -> list[tuple[str, bytes]]:
    found: list[tuple[str, bytes]] = []
    for each in folder.iterdir():
        path = start + each.name
        if each.is_dir():
            found += _read(each, f"{path}/")
        elif _suffix(path) in TYPES:
            found.append((path, each.read_bytes()))
    return found


def _suffix(path: str) -> str:
    return "." + path.rpartition(".")[2]


def _file(path: str, data: bytes) -> StaticFile:
    body = data.replace(*_BARE) if path.startswith("vendor/") else data
    return StaticFile(body, gzip.compress(body, 9, mtime=0), TYPES[_suffix(path)])


def _bundle(found: dict[str, StaticFile]) -> bytes:
    """One document with all of it, that needs no server; its data is put in by who saves it."""
    modules = {path: one.body.decode() for path, one in found.items() if path.endswith(".js") and path != "theme.js"}
    icon = base64.b64encode(found["icon.svg"].body).decode()
    parts = [
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>AetherFS support bundle</title>',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        '<meta name="color-scheme" content="light dark">',
        # Nothing in it may be fetched from anywhere, whoever opens it.
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; script-src 'unsafe-inline' blob:; "
        "style-src 'unsafe-inline'; img-src data:; form-action 'none'; base-uri 'none'\">",
        f'<link rel="icon" type="image/svg+xml" href="data:image/svg+xml;base64,{icon}">',
        *(f"<style>{found[path].body.decode()}</style>" for path in STYLES),
        f"<script>{found['theme.js'].body.decode()}</script></head>",
        '<body><div id="app"></div>',
        '<script type="application/json" id="aetherfs-bundle">null</script>',
        f'<script type="application/json" id="aetherfs-modules">{_in_script(modules)}</script>',
        f'<script type="module">{_BUNDLE_START}</script></body></html>\n',
    ]
    return "\n".join(parts).encode()


def _in_script(value: object) -> str:
    """JSON that ends no script element."""
    return msgspec.json.encode(value).decode().replace("<", "\\u003c")


async def send_file(request: web.Request) -> web.Response:
    """The handler of ``{STATIC}/{digest}/{file:.+}``."""
    found = site().files.get(request.match_info["file"])
    if found is None:
        raise NotFoundError("the dashboard has no such file: reload the page")
    response = sent(request, found)
    # Whoever began with another version of us gets on, and keeps nothing under the wrong name.
    response.headers["Cache-Control"] = KEPT if request.match_info["digest"] == site().digest else "no-store"
    return response


def sent_page(request: web.Request, body: bytes) -> web.Response:
    """One of the documents."""
    return sent(request, StaticFile(body, b"", HTML))


def sent(request: web.Request, found: StaticFile) -> web.Response:
    """A file as this browser takes it."""
    headers = {"Vary": "Accept-Encoding", "Cross-Origin-Resource-Policy": "same-origin"}
    body = found.body
    if found.packed and "gzip" in request.headers.get("Accept-Encoding", ""):
        headers["Content-Encoding"], body = "gzip", found.packed
    return web.Response(body=body, content_type=found.content_type, charset="utf-8", headers=headers)
