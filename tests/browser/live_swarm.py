"""A live swarm of processes for the dashboard: a hub (tracker, seed and peer in one), peers that follow a tag, one of
them slow; and people that sign in with a browser. Names in it are as hostile as they may be.
"""

from __future__ import annotations

import json
import os
import random
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from playwright.sync_api import Browser, Page, expect

from tests.browser.chromium import PATIENCE_MS
from tests.e2e.harness import Bench

PASSWORD: Final = "correct horse battery"
DATASET: Final = "maps/roads"
TAG: Final = "stable"
# Would be run if it were taken for HTML, turned around if it were shown as it is, and would break out of a layout.
HOSTILE: Final = "<img src=x onerror=window.stung=1>"
TURNED: Final = "invoice\u202efdp.exe"
LONG: Final = "w" * 180
README: Final = f"""# Roads of Europe

All roads, surveyed *each winter*. See [the survey](https://example.org/survey), or
[not this](javascript:window.stung=1).

<script>window.stung=1</script> {HOSTILE}

| country | km |
|---------|----|
| France  | 1,103,366 |
"""


class LiveSwarm:
    """The processes, and where the dashboard is."""

    def __init__(self, bench: Bench) -> None:
        self.bench = bench
        bench.make_swarm()
        status = bench.ok("hub", "status", "--json").json
        self.url = f"https://{status['addresses']['tracker']}"
        for name, groups in (("alice", (HOSTILE, "ops")), ("bob", ("readers",))):
            named = [part for group in groups for part in ("--group", group)]
            bench.ok("hub", "user", "add", name, *named, "--password-file", "-", stdin=PASSWORD)
        bench.ok("hub", "access", "allow", "user:alice", "admin", "*")
        bench.ok("hub", "access", "allow", "user:bob", "read", "maps/*")
        bench.ok("hub", "access", "allow", f"group:{HOSTILE}", "read", "maps/*")
        self.write(1, 200_000)
        self.publish("first survey", "v1", TAG)

    @property
    def folder(self) -> Path:
        return self.bench.folder / "roads"

    def write(self, number: int, size_bytes: int) -> None:
        """What the next version holds."""
        (self.folder / "by country").mkdir(parents=True, exist_ok=True)
        (self.folder / "README.md").write_text(README, encoding="utf-8")
        (self.folder / "roads.bin").write_bytes(random.Random(number).randbytes(size_bytes))
        for name in (HOSTILE, TURNED, LONG, "plain.txt"):
            (self.folder / "by country" / name).write_text(f"{number}\n", encoding="utf-8")

    def publish(self, message: str, *tags: str) -> dict[str, Any]:
        """Publish the folder; the entry's facts."""
        names = [f"{DATASET}:{tag}" for tag in tags]
        return self.bench.ok("hub", "publish", str(self.folder), *names, "--message", message, "--json").json

    def follow(self, *names: str, slow: str = "") -> None:
        """Peers that follow the tag, each a process; ``slow`` takes a few blocks a second."""
        everybody = [*names, *([slow] if slow else [])]
        token = self.bench.ok("hub", "token", "create", "--uses", str(len(everybody)), "--site", "paris").text
        for name in everybody:
            self.bench.ok(name, "join", "-", stdin=token)
            self.bench.start(name, "peer", *(["--download-limit", "800kbit"] if name == slow else []))
            self.bench.ok(name, "subscribe", f"{DATASET}:{TAG}", str(self.bench.folder / f"{name}-roads"))

    def peer_id(self, name: str) -> str:
        return str(self.bench.ok(name, "status", "--json").json["peer_id"])

    def agent_url(self, name: str) -> str:
        """Where a home's own page is."""
        told = json.loads((self.bench.home(name) / "agent.json").read_text())
        return f"http://127.0.0.1:{told['port']}/ui/"

    @contextmanager
    def halted(self, name: str) -> Iterator[None]:
        """A home's process says nothing until this is left."""
        pid = int(json.loads((self.bench.home(name) / "agent.json").read_text())["pid"])
        os.kill(pid, signal.SIGSTOP)
        try:
            yield
        finally:
            os.kill(pid, signal.SIGCONT)

    def version_of(self, name: str) -> str:
        """What a follower's subscription stands at."""
        found = json.loads(self.bench.ok(name, "subscriptions", "--json").stdout)
        return str(found["subscriptions"][0]["version"])


@contextmanager
def live_swarm(folder: Path) -> Iterator[LiveSwarm]:
    """The swarm, ended with everything that it started."""
    bench = Bench(folder)
    try:
        yield LiveSwarm(bench)
    finally:
        bench.close()


class Visitor:
    """Somebody with a browser of his own (a context), who notes what goes wrong in it."""

    def __init__(self, browser: Browser, url: str, *, name: str = "", **options: Any) -> None:
        self.url = url
        self.context = browser.new_context(ignore_https_errors=True, **options)
        self.context.set_default_timeout(PATIENCE_MS)
        self.page = self.context.new_page()
        self.wrong: list[str] = []
        self.page.on("pageerror", lambda error: self.wrong.append(str(error)))
        self.page.on("console", lambda said: self.wrong.append(said.text) if _is_wrong(said.text, said.type) else None)
        if name:
            self.page.goto(f"{url}/ui/signin")
            self.page.fill("[name=user]", name)
            self.page.fill("[name=password]", PASSWORD)
            self.page.click("button")
            self.page.wait_for_selector("main h1")

    def visit(self, path: str) -> Page:
        """A page, by its address, once it is drawn."""
        self.page.goto(path if path.startswith("http") else f"{self.url}/ui/{path}")
        self.page.wait_for_selector("main h1")
        return self.page

    def await_keys(self) -> None:
        """Until keys do something: they are bound a moment after the page is drawn."""
        script = self.page.locator("script[type=module]").get_attribute("src") or ""
        bound = "async (base) => (await import(base + 'lib/keys.js')).allKeys().some(({ keys }) => keys === 't')"
        self.page.wait_for_function(bound, arg=script.removesuffix("app.js"))

    def settle(self) -> None:
        """Until nothing on the page loads any more."""
        expect(self.page.locator("[aria-busy=true]")).to_have_count(0)


def _is_wrong(text: str, kind: str) -> bool:
    """Refusals are answers; what breaks the page's policy, or its code, is not."""
    return kind == "error" and not text.startswith("Failed to load resource")
