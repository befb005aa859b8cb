"""A real OpenID Connect server on a free port of loopback, and a browser that signs in at it.

The server is oidc-provider (``tests/oidc``), a process of its own that ends with us. ``Browser`` does what a person
does: follows where it is sent, fills in the forms, and is sent back.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from html import unescape
from pathlib import Path
from types import TracebackType
from typing import Final
from urllib.parse import urljoin

import aiohttp
import pytest

HERE: Final = Path(__file__).parent
MODULES: Final = HERE.parent / ".venv" / "oidc" / "node_modules"
STEPS_MAX: Final = 20


class OidcServer:
    """The running server; ``issuer`` is its URL. ``redirect`` is where its client aetherfs-web may send browsers to.
    Skips the test where it is not installed.
    """

    def __init__(self, *redirect: str) -> None:
        node = shutil.which("node")
        if node is None or not (MODULES / "oidc-provider").is_dir():
            pytest.skip("there is no OpenID Connect server: install Node.js with npm, then `make oidc`")
        self._process = subprocess.Popen(
            [node, str(HERE / "oidc" / "server.mjs"), str(MODULES), *redirect],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        assert self._process.stdout is not None
        self.issuer = self._process.stdout.readline().strip()
        assert self.issuer.startswith("http://127.0.0.1:"), "the OpenID Connect server did not start"

    def __enter__(self) -> OidcServer:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.communicate()  # closes its standard input, at which it ends


class Browser:
    """Somebody who signs in as ``login`` and agrees to everything."""

    def __init__(self, login: str) -> None:
        self._login = login

    async def visit(self, url: str) -> str:
        """Go where it leads: the text of the last page."""
        jar = aiohttp.CookieJar(unsafe=True)  # which takes cookies of an address
        async with aiohttp.ClientSession(cookie_jar=jar) as session:
            method, fields = "GET", dict[str, str]()
            for _ in range(STEPS_MAX):
                data = fields if method == "POST" else None
                async with session.request(method, url, data=data, allow_redirects=False) as response:
                    page = await response.text()
                    if 300 <= response.status < 400:
                        method, url, fields = "GET", urljoin(url, response.headers["Location"]), {}
                        continue
                found = self._form(page)
                if found is None:
                    return page
                method, (action, fields) = "POST", found
                url = urljoin(url, action)
        raise AssertionError(f"signing in led nowhere: {page}")

    def _form(self, page: str) -> tuple[str, dict[str, str]] | None:
        """The action and the filled-in fields of the first form that is posted."""
        form = re.search(r"<form([^>]*)>(.*?)</form>", page, re.DOTALL)
        if form is None or 'method="post"' not in form[1]:
            return None
        action = re.search(r'action="([^"]*)"', form[1])
        fields: dict[str, str] = {}
        for tag in re.findall(r"<(?:input|button)[^>]*>", form[2]):
            name, value = (re.search(rf'\b{key}="([^"]*)"', tag) for key in ("name", "value"))
            if name is not None:
                fields[name[1]] = unescape(value[1]) if value is not None else ""
        fields.update({"login": self._login, "password": "any"} if "login" in fields else {})
        return (unescape(action[1]) if action is not None else ""), fields


if __name__ == "__main__":
    # What a command starts as its browser (BROWSER), with the URL: the name to sign in by is in the environment.
    import asyncio
    import os
    import sys

    asyncio.run(Browser(os.environ["SIGN_IN_AS"]).visit(sys.argv[1]))
