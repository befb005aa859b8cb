"""Signing in with a real Chromium at a tracker in this process."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec
import pytest
from playwright.async_api import Page, async_playwright, expect

from swarm.people_messages import Issuing
from swarm.principal import Right
from swarm.tracker.figures import serve as figures_serve
from swarm.tracker.people import records
from swarm.tracker.policy import PolicyRule
from tests.browser.chromium import ARGUMENTS, PATIENCE_MS, path_of_chromium
from tests.cheap_passwords import make_passwords_cheap
from tests.integration.people_rig import PASSWORD, Web, people
from tests.integration.test_recalled import change
from tests.oidc_server import OidcServer

Check = Callable[[Web, "Visit"], Awaitable[None]]


@pytest.fixture(autouse=True)
def cheap(monkeypatch: pytest.MonkeyPatch) -> None:
    make_passwords_cheap(monkeypatch)


class Visit:
    """A page of one browser, what it asked for, and what its console said in red."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.asked: list[str] = []
        self.red: list[str] = []
        page.on("request", lambda request: self.asked.append(request.url.split("/", 3)[3]))
        page.on("console", lambda said: self.red.append(said.text) if said.type == "error" else None)

    async def sign_in(self) -> None:
        await self.page.fill("[name=user]", "alice")
        await self.page.fill("[name=password]", PASSWORD)
        await self.page.click("button")


@asynccontextmanager
async def visiting() -> AsyncIterator[Visit]:
    async with async_playwright() as playwright:
        path, arguments = path_of_chromium(), list(ARGUMENTS)
        browser = await playwright.chromium.launch(executable_path=path, args=arguments, timeout=PATIENCE_MS)
        try:
            context = await browser.new_context(ignore_https_errors=True)
            context.set_default_timeout(PATIENCE_MS)
            yield Visit(await context.new_page())
        finally:
            await browser.close()


def with_browser(folder: Path, check: Check, right: Right = "admin") -> None:
    async def main() -> None:
        async with people(folder) as web, visiting() as visit:
            await change(web.rig.tracker, allow=(PolicyRule("group:ops", right, "*"),))
            await check(web, visit)

    path_of_chromium()
    asyncio.run(main())


def test_people_of_an_issuer_sign_in_at_its_own_page(tmp_path: Path) -> None:
    """At a real OpenID Connect server, which knows one address to send browsers back to."""

    async def check(web: Web, visit: Visit) -> None:
        page, wanted = visit.page, f"{web.url}/ui/datasets?range=1h"
        with OidcServer(f"{web.url}/ui/signedin/corp") as server:
            issuing = Issuing("corp", server.issuer, "aetherfs-web", "aetherfs-web", scopes=("openid", "profile"))
            await web.admin("POST", "issuers/corp", **msgspec.structs.asdict(issuing))
            await change(web.rig.tracker, allow=(PolicyRule("group:corp/ops", "read", "maps/*"),))
            await page.goto(wanted)
            await page.get_by_role("link", name="Sign in with corp").click()
            await page.fill("[name=login]", "carol+ops")
            await page.fill("[name=password]", "any")
            await page.get_by_role("button").first.click()
            await page.get_by_role("button").first.click()
            await expect(page.get_by_role("heading", name="Datasets", exact=True)).to_be_visible()
        assert page.url == wanted
        who = await page.evaluate("fetch('/ui/visitor').then((answer) => answer.json())")
        assert who["who"]["subjects"] == ["user:corp/carol+ops", "group:corp/ops", "anyone"]
        [session] = await page.context.cookies(web.url)
        assert (session["name"], session["sameSite"], session["httpOnly"]) == ("__Host-aetherfs", "Strict", True)
        assert refusals(web) == 0

    with_browser(tmp_path, check)


def test_a_reader_who_saves_a_bundle_is_refused_nothing_by_it(tmp_path: Path) -> None:
    async def check(web: Web, visit: Visit) -> None:
        page = visit.page
        await page.goto(f"{web.url}/ui/flow")
        await visit.sign_in()
        await page.get_by_role("button", name="You and this page").click()
        refusals(web)
        async with page.expect_download():
            await page.get_by_role("button", name="Save a support bundle").click()
        assert refusals(web) == 0

    with_browser(tmp_path, check, "read")


def refusals(web: Web) -> int:
    """How many are waiting to be told in the audit."""
    told = web.rig.tracker.state.noted.due(0.0, 0.0, is_ending=True)
    web.rig.tracker.state.noted.written(told)
    return sum(event.count for event in told if event.action == "refused")


def test_who_is_not_signed_in_is_asked_to_and_asks_for_nothing_that_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And whoever is signed out while he looks comes back to the same page once he has signed in anew."""

    async def check(web: Web, visit: Visit) -> None:
        monkeypatch.setattr(records, "FRESH_S", 0.0)
        monkeypatch.setattr(figures_serve, "RECHECK_S", 0.0)
        page, shown = visit.page, f"{web.url}/ui/flow?span=1h"
        refusals(web)
        await page.goto(shown)
        await expect(page).to_have_url(f"{web.url}/ui/signin?next=%2Fui%2Fflow%3Fspan%3D1h")
        assert [path for path in visit.asked if path.startswith(("api/", "ui/visitor"))] == ["ui/visitor"]
        assert (refusals(web), visit.red) == (0, [])
        await visit.sign_in()
        await expect(page.locator(".live")).to_have_text("live")
        assert (page.url, refusals(web)) == (shown, 0)
        [session] = await page.context.cookies(web.url)
        shown_elsewhere = {"Cookie": f"{session['name']}={session['value']}", "Origin": web.url}
        await web.ask("POST", "/ui/signout", shown_elsewhere)
        await expect(page.get_by_role("heading", name="Sign in")).to_be_visible()
        await visit.sign_in()
        await expect(page.get_by_role("heading", name="Flow")).to_be_visible()
        assert page.url == shown

    with_browser(tmp_path, check)
