"""A page of the dashboard in a real Chromium: how soon it can be used, what its frames cost, what it is sent.

``page_watch.js`` is put into it before anything of its own. No GPU is used, so everything that is drawn is drawn by the
processors, which the tracker and the feeding process share: threads are told apart (see ``bench.frames``).
"""

from __future__ import annotations

import asyncio
import json
import time
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any, Final
from urllib.parse import parse_qs, urlsplit

from playwright.async_api import Browser, BrowserContext, Page, Request, ViewportSize

from bench.fed import REFERENCE
from bench.frames import CATEGORIES, QUIET_MS, Frames, frames_of, interactive_ms, percentile
from bench.processes import BenchError

DATASET: Final = REFERENCE[0]
STREAM: Final = "/api/v1/figures/stream"
LOAD_DEADLINE_S: Final = 20.0
POLL_S: Final = 0.05
# Once a page can be used, what it still sets up is let come before its frames are counted.
SETTLE_S: Final = 2.0
VIEWPORT: Final[ViewportSize] = {"width": 1280, "height": 800}
ARGUMENTS: Final = ("--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu")
WATCH: Final = Path(__file__).with_name("page_watch.js")
# A canvas that was drawn has another width than the 300 that it begins with.
_DRAWN: Final = "[...document.querySelectorAll('{}')].some((canvas) => canvas.width && canvas.width !== 300)"


@dataclass(frozen=True, slots=True)
class PageKind:
    """An address below ``/ui/``, and what stands on it once it shows data (JavaScript), beside its heading."""

    name: str
    path: str
    shows: str

    @property
    def script(self) -> str:
        """Tells the page when it is drawn: heading and data are there, and nothing on it loads any more."""
        there = "document.querySelector('main h1') && !document.querySelector('main [aria-busy=true]')"
        return f"window.benchIsDrawn = () => Boolean({there} && {self.shows});"


PAGES: Final = (
    PageKind("overview", "overview", "document.querySelector('.followed') && document.querySelector('.uplot canvas')"),
    PageKind(
        "rollout",
        f"rollout/{DATASET}/{REFERENCE[1]}",
        "document.querySelector('.uplot canvas') && document.querySelectorAll('tbody tr').length > 10",
    ),
    PageKind("peers", "peers", "document.querySelectorAll('tbody tr').length >= 100"),
    PageKind("flow", "flow", _DRAWN.format(".flow canvas")),
    PageKind("blocks", f"blocks/{DATASET}", _DRAWN.format(".walk canvas")),
)


@dataclass(slots=True)
class PageFound:
    """Of one page. ``interactive_ms``: of each cold load; times since the navigation began. Bytes as they came, without
    those of TLS. ``interval_p95_ms``: between the frames of an animation, which on a screen of 60 Hz are 16.7 apart.
    ``tracker_cpu``: share of a core, of everything that the tracker does, with this browser alone.
    """

    page: str
    interactive_ms: list[float] = field(default_factory=list)
    drawn_ms: list[float] = field(default_factory=list)
    load_bytes: int = 0
    load_requests: int = 0
    bytes_per_s: int = 0
    requests_per_s: float = 0.0
    interval_p50_ms: float = 0.0
    interval_p95_ms: float = 0.0
    long_frames: int = 0
    longest_frame_ms: float = 0.0
    frames: Frames | None = None
    tracker_cpu: float = 0.0
    topics: str = ""
    asked: list[tuple[float, str]] = field(default_factory=list)

    @property
    def median_interactive_ms(self) -> float:
        return median(self.interactive_ms)


class Visit:
    """A page in a context of its own: nothing is known to it but who is signed in."""

    def __init__(self, kind: PageKind, url: str) -> None:
        self.kind, self.url = kind, url
        self.bytes = 0
        self.asked: list[tuple[float, str]] = []
        self.topics = ""
        self.page: Page
        self._context: BrowserContext

    async def open(self, browser: Browser, signed_in: Any) -> None:
        """Load it, cold. BenchError when nothing is drawn."""
        self._context = await browser.new_context(ignore_https_errors=True, viewport=VIEWPORT, storage_state=signed_in)
        self.page = await self._context.new_page()
        await self.page.add_init_script(path=WATCH)
        await self.page.add_init_script(self.kind.script)
        network = await self._context.new_cdp_session(self.page)
        await network.send("Network.enable")
        network.on("Network.dataReceived", self._received)
        self.page.on("request", self._request)
        await self.page.goto(f"{self.url}/ui/{self.kind.path}", wait_until="commit")

    async def close(self) -> None:
        await self._context.close()

    def _received(self, event: dict[str, Any]) -> None:
        self.bytes += event["encodedDataLength"] or event["dataLength"]

    def _request(self, request: Request) -> None:
        parts = urlsplit(request.url)
        if parts.path == STREAM:
            self.topics = parse_qs(parts.query)["topics"][0]
        self.asked.append((time.monotonic(), parts.path + (f"?{parts.query}" if parts.query else "")))

    async def interactive(self) -> tuple[float, float]:
        """When it was drawn, and when it could be used: milliseconds since the navigation."""
        deadline, found = time.monotonic() + LOAD_DEADLINE_S, None
        while time.monotonic() < deadline:
            found = await self.page.evaluate("window.bench ? { ...bench, now: performance.now() } : null")
            if found is not None and found["drawn"] is not None:
                ready = interactive_ms(found["drawn"], found["long"])
                if found["now"] >= ready + QUIET_MS:
                    return round(found["drawn"], 1), ready
            await asyncio.sleep(POLL_S)
        is_drawn = found is not None and found["drawn"] is not None
        what = "is never at rest" if is_drawn else "shows no data"
        raise BenchError(f"the page {self.kind.name} {what} for {LOAD_DEADLINE_S:.0f} s")

    async def watch(self, browser: Browser, seconds: float, found: PageFound) -> None:
        """Its frames, and what it is sent."""
        await asyncio.sleep(SETTLE_S)
        self.bytes, self.asked = 0, []
        began = time.monotonic()
        await browser.start_tracing(page=self.page, categories=list(CATEGORIES))
        await self.page.evaluate("bench.begin()")
        await asyncio.sleep(seconds)
        told = await self.page.evaluate("bench.end()")
        elapsed = time.monotonic() - began
        found.bytes_per_s = round(self.bytes / elapsed)
        found.asked = [(round(at - began, 2), path) for at, path in self.asked if not path.startswith(STREAM)]
        found.requests_per_s = round(len(self.asked) / elapsed, 2)
        found.topics = self.topics
        found.frames = frames_of(json.loads(await browser.stop_tracing())["traceEvents"])
        found.interval_p50_ms = percentile(told["frames"], 0.5)
        found.interval_p95_ms = percentile(told["frames"], 0.95)
        found.long_frames = len(told["loaf"])
        found.longest_frame_ms = round(max((duration for _, duration, _, _ in told["loaf"]), default=0.0), 1)
