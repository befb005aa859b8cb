"""A real Chromium, driven by playwright; and axe-core, which looks for barriers in what it shows.

Debian's package is used, never a browser that playwright would fetch. ``make browser`` installs what is missing.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import pytest
from playwright import async_api, sync_api
from playwright.sync_api import Browser, Page, sync_playwright

AXE: Final = Path(__file__).parent.parent.parent / ".venv" / "browser" / "node_modules" / "axe-core" / "axe.min.js"
# What the rules of axe-core are part of (WCAG 2.2, levels A and AA), and what is good practice beside.
RULES: Final = ("wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice")
GRAVE: Final = ("serious", "critical")
# How long a page may take for what it shows in a moment on a machine that does nothing else.
PATIENCE_MS: Final = 60_000
ARGUMENTS: Final = ("--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu")


sync_api.expect.set_options(timeout=PATIENCE_MS)
async_api.expect.set_options(timeout=PATIENCE_MS)


def path_of_chromium() -> str:
    """Where the browser is. Skips the test where there is none."""
    found = shutil.which("chromium") or shutil.which("chromium-browser")
    if found is None:
        pytest.skip("there is no Chromium: install the package chromium, or run `make browser` as root")
    return found


def axe_source() -> str:
    """axe-core as it is injected. Skips the test where it is not installed."""
    if not AXE.is_file():
        pytest.skip("there is no axe-core: install Node.js with npm, then `make browser`")
    return AXE.read_text(encoding="utf-8")


@contextmanager
def chromium() -> Iterator[Browser]:
    """The browser, until it is left."""
    path = path_of_chromium()
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=list(ARGUMENTS), timeout=PATIENCE_MS)
        try:
            yield browser
        finally:
            browser.close()


def barriers(page: Page, source: str) -> list[str]:
    """What axe-core finds that is serious or worse, a line each."""
    # Past the page's policy, as a debugger does: a script element would be refused, which is tested elsewhere.
    page.evaluate(source)
    found: dict[str, Any] = page.evaluate(
        "tags => axe.run(document, { runOnly: tags, resultTypes: ['violations'] })", list(RULES)
    )
    return [
        f"{one['id']} ({one['impact']}): {one['help']}: {[node['html'][:200] for node in one['nodes'][:3]]}"
        for one in found["violations"]
        if one["impact"] in GRAVE
    ]
