"""The dashboard's pages in a real Chromium, over a tracker that is fed with the figures of ten thousand peers.

Of each page: **time to interactive** of cold loads (another context each: no cache, no connection; who is signed in is
known), from the navigation on until its heading and its data are drawn, nothing on it loads, and no task over 50 ms
follows within half a second (``bench.frames.interactive_ms``, which names the source); what its **frames** cost while
figures come; the **bytes** that it is sent. Then **many browsers at once**: one real page of each kind, and the others
as streams that want what such a page wants, and ask again what it asked while it was watched, when it did.

The rollout goes on from the first load to the end. ``tracker_cpu`` is all that the tracker does in that time, taking
reports in included, so it is more than browsers alone cost; ``cpu_without_browsers`` is told beside it.
"""

from __future__ import annotations

import asyncio
import shutil
import ssl
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from statistics import median
from typing import Any, Final

import aiohttp
from playwright.async_api import Browser, async_playwright
from yarl import URL

from bench.contenders.ours import PROGRAM
from bench.dashboard import BROWSER_MOST_BYTES_PER_S, CPU_MOST, MEMORY_MOST_BYTES
from bench.edge import cpu_s, resident_bytes
from bench.fed import Fed, fed, simulated_times, standing_tracker
from bench.frames import NO_FRAMES
from bench.pages import ARGUMENTS, PAGES, STREAM, VIEWPORT, PageFound, PageKind, Visit
from bench.processes import BenchError, run_plain
from bench.provenance import provenance
from bench.report import Tell

INTERACTIVE_MOST_MS: Final = 2000.0
FRAME_MOST_MS: Final = 16.0
# A frame of a screen of 60 Hz lasts 16.67 ms, whatever is in it; measured it is one or two tenths more or less.
INTERVAL_MOST_MS: Final = 16.9
# How long the rollout has gone on before anybody looks, and how long the many settle.
WARM_S: Final = 12.0
SETTLE_S: Final = 4.0
LOAD_S: Final = 4.0
CROWD_S: Final = 15.0
NAME: Final = "bench"
PASSWORD: Final = "a password for a measurement"


@dataclass(frozen=True, slots=True)
class PageSettings:
    """``browsers`` 0: nobody beside the one page that is watched."""

    peers: int
    browsers: int
    pages: tuple[PageKind, ...] = PAGES
    loads: int = 3
    watched_s: float = 20.0

    @property
    def seconds(self) -> float:
        """How long the rollout goes on."""
        each = self.loads * LOAD_S + self.watched_s + SETTLE_S
        return WARM_S + each * len(self.pages) + (LOAD_S * len(self.pages) + SETTLE_S + CROWD_S)


@dataclass(slots=True)
class Crowd:
    """Many at once: ``real`` of them are pages. Shares of a core; bytes a second of one browser."""

    browsers: int
    real: int
    tracker_cpu: float = 0.0
    resident_bytes: int = 0
    bytes_per_s: int = 0
    most_bytes_per_s: int = 0
    requests_per_s: float = 0.0


@dataclass(slots=True)
class PageReport:
    """What was found. ``cpu_without_browsers``: of the tracker, a share of a core."""

    settings: dict[str, Any]
    sim: dict[str, Any] = field(default_factory=dict)
    chromium: str = ""
    cpu_without_browsers: float = 0.0
    pages: list[PageFound] = field(default_factory=list)
    crowd: Crowd | None = None
    from_: dict[str, Any] = field(default_factory=provenance)

    def short_of(self) -> list[str]:
        """What is more than it may be, a line each. Frames that painted are judged by what they took of a processor: by
        the clock some tens of them tell mostly what else the machine does, and are told in the report alone.
        """
        limits: list[tuple[str, float, float]] = []
        for page in self.pages:
            frames = page.frames or NO_FRAMES
            limits += [
                (f"{page.page}: ms to interactive", page.median_interactive_ms, INTERACTIVE_MOST_MS),
                (f"{page.page}: bytes a second", page.bytes_per_s, BROWSER_MOST_BYTES_PER_S),
                (f"{page.page}: ms between frames, p95", page.interval_p95_ms, INTERVAL_MOST_MS),
                (f"{page.page}: ms of a frame, p95", frames.work_p95_ms, FRAME_MOST_MS),
                (f"{page.page}: ms of CPU of a painted frame, p95", frames.painted_cpu_p95_ms, FRAME_MOST_MS),
            ]
        if self.crowd is not None:
            limits += [
                ("many browsers: tracker's share of a core", self.crowd.tracker_cpu, CPU_MOST),
                ("many browsers: tracker's bytes of memory", self.crowd.resident_bytes, MEMORY_MOST_BYTES),
                ("many browsers: bytes a second of one", self.crowd.most_bytes_per_s, BROWSER_MOST_BYTES_PER_S),
            ]
        return [f"{what}: {found:g}, at most {most:g}" for what, found, most in limits if found > most]

    def as_told(self) -> dict[str, Any]:
        """As JSON: where it comes from first."""
        told = asdict(self)
        head = told.pop("from_")
        for page in told["pages"]:
            page["asked"] = len(page["asked"])
        return {**head, **told, "short_of": self.short_of(), "is_within": not self.short_of()}


def chromium_path() -> str:
    """Debian's Chromium. BenchError where there is none."""
    found = shutil.which("chromium") or shutil.which("chromium-browser")
    if found is None:
        raise BenchError("there is no Chromium: install the package chromium, or run `make browser` as root")
    return found


def run_pages(settings: PageSettings, folder: Path, tell: Tell) -> PageReport:
    """Measure once. BenchError when something does not start."""
    told = {"peers": settings.peers, "browsers": settings.browsers, "loads": settings.loads}
    report = PageReport({**told, "watched_s": settings.watched_s, "seconds": settings.seconds})
    path = chromium_path()
    with standing_tracker(folder) as (process, environment, url):
        tell("simulating how long peers take")
        times, report.sim = simulated_times(settings.peers, settings.seconds)
        _let_in(environment)

        async def measure() -> None:
            async with fed(process, environment, url, folder, times) as tracker, _rollout(tracker, settings, tell):
                report.cpu_without_browsers = await _cpu(process, WARM_S / 2)
                await _measure(settings, report, tracker, path, tell)

        asyncio.run(measure())
    return report


def _let_in(environment: Mapping[str, str]) -> None:
    """Somebody who may see everything, by a password."""
    run_plain([str(PROGRAM), "user", "add", NAME, "--password-file", "-", "--quiet"], environment, PASSWORD)
    run_plain([str(PROGRAM), "access", "allow", f"user:{NAME}", "admin", "*", "--quiet"], environment)


@asynccontextmanager
async def _rollout(tracker: Fed, settings: PageSettings, tell: Tell) -> AsyncIterator[None]:
    """Peers report a rollout, until this is left."""
    tell(f"{settings.peers} peers are there")
    await tracker.feed.begin()
    await tracker.move()
    feeding = asyncio.create_task(tracker.feed.run(2 * settings.seconds))
    try:
        await asyncio.sleep(WARM_S / 2)
        yield
        if feeding.done():
            feeding.result()
    finally:
        feeding.cancel()
        await asyncio.gather(feeding, return_exceptions=True)


async def _cpu(process: int, seconds: float) -> float:
    """A process's share of a core, from now on for so long."""
    before, began = cpu_s(process), time.monotonic()
    await asyncio.sleep(seconds)
    return round((cpu_s(process) - before) / (time.monotonic() - began), 4)


async def _measure(settings: PageSettings, report: PageReport, tracker: Fed, path: str, tell: Tell) -> None:
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=path, args=list(ARGUMENTS))
        try:
            report.chromium = browser.version
            signed_in = await _sign_in(browser, tracker.url)
            for kind in settings.pages:
                tell(f"the page {kind.name}")
                report.pages.append(await _page(settings, tracker, browser, kind, signed_in))
            if settings.browsers:
                tell(f"{settings.browsers} browsers")
                report.crowd = await _crowd(settings, report.pages, tracker, browser, signed_in)
        finally:
            await browser.close()


async def _sign_in(browser: Browser, url: str) -> Any:
    """What a browser keeps of having signed in."""
    context = await browser.new_context(ignore_https_errors=True, viewport=VIEWPORT)
    page = await context.new_page()
    await page.goto(f"{url}/ui/signin")
    await page.fill("[name=user]", NAME)
    await page.fill("[name=password]", PASSWORD)
    await page.click("button")
    await page.wait_for_selector("main h1")
    found = await context.storage_state()
    await context.close()
    return found


async def _page(settings: PageSettings, tracker: Fed, browser: Browser, kind: PageKind, signed_in: Any) -> PageFound:
    found = PageFound(kind.name)
    for load in range(settings.loads):
        visit = Visit(kind, tracker.url)
        await visit.open(browser, signed_in)
        try:
            drawn, ready = await visit.interactive()
            found.drawn_ms.append(drawn)
            found.interactive_ms.append(ready)
            found.load_bytes, found.load_requests = visit.bytes, len(visit.asked)
            if load == settings.loads - 1:
                before, began = cpu_s(tracker.process), time.monotonic()
                await visit.watch(browser, settings.watched_s, found)
                found.tracker_cpu = round((cpu_s(tracker.process) - before) / (time.monotonic() - began), 4)
        finally:
            await visit.close()
    return found


# ---- many -----------------------------------------------------------------------------------------------------------


async def _crowd(
    settings: PageSettings, pages: Sequence[PageFound], tracker: Fed, browser: Browser, signed_in: Any
) -> Crowd:
    visits = [Visit(kind, tracker.url) for kind in settings.pages][: settings.browsers]
    crowd = Crowd(settings.browsers, len(visits))
    counts = [0] * (settings.browsers - len(visits))
    cookies = {each["name"]: each["value"] for each in signed_in["cookies"]}
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    connector = aiohttp.TCPConnector(ssl=context, limit=0)
    jar = aiohttp.CookieJar(unsafe=True)
    jar.update_cookies(cookies, URL(tracker.url))
    async with aiohttp.ClientSession(
        tracker.url, connector=connector, cookie_jar=jar, timeout=aiohttp.ClientTimeout(total=None)
    ) as session:
        others = [
            asyncio.create_task(_like(pages[place % len(pages)], session, counts, place, settings.watched_s))
            for place in range(len(counts))
        ]
        try:
            for visit in visits:
                await visit.open(browser, signed_in)
            for visit in visits:
                await visit.interactive()
            await asyncio.sleep(SETTLE_S)
            await _measure_crowd(crowd, visits, counts, tracker, CROWD_S)
            for task in others:
                if task.done():
                    task.result()
        finally:
            for task in others:
                task.cancel()
            await asyncio.gather(*others, return_exceptions=True)
    return crowd


async def _measure_crowd(
    crowd: Crowd, visits: Sequence[Visit], counts: list[int], tracker: Fed, seconds: float
) -> None:
    counts[:] = [0] * len(counts)
    for visit in visits:
        visit.bytes, visit.asked = 0, []
    began = time.monotonic()
    crowd.tracker_cpu = await _cpu(tracker.process, seconds)
    elapsed = time.monotonic() - began
    crowd.resident_bytes = resident_bytes(tracker.process)
    rates = [count / elapsed for count in (*counts, *(visit.bytes for visit in visits))]
    crowd.bytes_per_s, crowd.most_bytes_per_s = round(median(rates)), round(max(rates))
    crowd.requests_per_s = round(sum(len(visit.asked) for visit in visits) / elapsed, 2)


async def _like(page: PageFound, session: aiohttp.ClientSession, counts: list[int], place: int, every_s: float) -> None:
    """One that wants what that page wants, and asks what it asked, over and over."""

    async def listen() -> None:
        async with session.get(STREAM, params={"topics": page.topics}) as response:
            if response.status != 200:
                raise BenchError(f"a stream of {page.topics} is answered {response.status}")
            async for part in response.content.iter_any():
                counts[place] += len(part)

    async def ask() -> None:
        while True:
            began = time.monotonic()
            for at, path in page.asked:
                await asyncio.sleep(max(0.0, began + at - time.monotonic()))
                async with session.get(path) as response:
                    counts[place] += len(await response.read())
            await asyncio.sleep(max(0.1, began + every_s - time.monotonic()))

    await asyncio.sleep(place * SETTLE_S / 2 / max(1, len(counts)))
    await asyncio.gather(listen(), ask())
