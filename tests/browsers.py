"""A real browser for tests of pages: Debian's Chromium, driven by Playwright; and axe-core."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.resources import files
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from tests.required import REQUIRED

_NAMES = ("chromium", "chromium-browser", "google-chrome")
_QUIET = (
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync"),
    *("--disable-background-networking", "--disable-component-update"),
)
AXE = files("axe_playwright_python").joinpath("axe.min.js").read_text(encoding="utf-8")


@contextmanager
def chromium() -> Iterator[Browser]:
    """A headless Chromium; without one on this machine a test is skipped, but where CI runs."""
    found = next((path for name in _NAMES if (path := shutil.which(name))), None)
    if found is None:
        told = "no Chromium on this machine: apt-get install chromium"
        if REQUIRED:
            pytest.fail(told)
        pytest.skip(told)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=found, args=list(_QUIET))
        try:
            yield browser
        finally:
            browser.close()


def watched(page: Page) -> list[str]:
    """What the page complains of from now on: errors of scripts, and what its policy blocked."""
    told: list[str] = []
    page.on("pageerror", lambda error: told.append(str(error)))
    page.on(
        "console",
        lambda message: told.append(message.text) if message.type == "error" else None,
    )
    return told


def violations(page: Page) -> list[str]:
    """What axe-core finds: rules of WCAG 2.2 AA and best practice that the page breaks."""
    page.evaluate(AXE)
    found: Any = page.evaluate("axe.run(document, {resultTypes: ['violations']})")
    return [
        f"{one['id']}: {one['help']}: {node['html'][:200]} {node.get('failureSummary', '')[:300]}"
        for one in found["violations"]
        for node in one["nodes"]
    ]
