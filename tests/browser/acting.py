"""What tests do on a page, and in it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from playwright.sync_api import Page, expect

from tests.browser.live_swarm import Visitor


def run_script(page: Page, name: str) -> Any:
    """Run a script that lies beside this file in the page, given where the page's own modules are."""
    return page.evaluate((Path(__file__).parent / name).read_text(encoding="utf-8"), modules(page))


def modules(page: Page) -> str:
    """The address that the page's own modules lie below."""
    return (page.locator("script[type=module]").get_attribute("src") or "").removesuffix("app.js")


def press(visitor: Visitor, name: str, reason: str = "") -> None:
    """One of a rollout's buttons, and what it asks."""
    visitor.page.locator(".heading .actions").get_by_role("button", name=name, exact=True).click()
    dialog = visitor.page.get_by_role("dialog")
    dialog.get_by_label("Why").fill(reason)
    dialog.get_by_role("button", name=name, exact=True).click()
    expect(dialog).to_have_count(0)
