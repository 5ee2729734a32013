"""Pages in a real browser: sound for screen readers, light and dark, wide and on a phone."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import uvicorn
from playwright.sync_api import Browser, Page, expect

from driftloop.settings import Settings
from tests.browsers import chromium, violations, watched
from tests.dashboard import LETTER, OPERATOR, REQUEST, app_of, fleet, guarded

PAGES = (
    "/",
    "/streams",
    "/streams/streams.a",
    f"/events/{REQUEST}",
    "/trainings",
    "/incidents",
    "/what-if?stream=streams.a",
    "/dead-letters",
    "/audit",
    "/commands/new?action=snooze&stream=streams.a",
    "/commands/sent?id=1",
    "/nowhere",
)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as found:
        yield found


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A server of a filled read model, guarded by tokens."""
    with serving(guarded(tmp_path_factory.mktemp("site"))) as found:
        yield found


@contextlib.contextmanager
def serving(settings: Settings) -> Iterator[str]:
    """Serve a filled read model on a free port of loopback."""
    app, _ = app_of(settings, fleet(), [LETTER])
    with contextlib.closing(socket.socket()) as listening:
        listening.bind(("127.0.0.1", 0))
        config = uvicorn.Config(app, log_config=None, access_log=False, proxy_headers=False)
        config.timeout_graceful_shutdown = 1
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, args=([listening],))
        thread.start()
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        server.should_exit = True
        thread.join()


@pytest.fixture
def page(browser: Browser, site: str) -> Iterator[Page]:
    """A page of an operator who has logged in."""
    context = browser.new_context(base_url=site)
    found = context.new_page()
    told = watched(found)
    found.goto("/log-in?to=/streams")
    found.get_by_label("Your name").fill("ada")
    found.get_by_label("Token").fill(OPERATOR)
    found.get_by_role("button", name="Log in").click()
    expect(found.get_by_role("heading", level=1)).to_have_text("Streams")
    yield found
    context.close()
    assert [one for one in told if "404" not in one and "422" not in one] == []


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 390])
def test_every_page_is_usable_by_everyone(page: Page, theme: str, width: int) -> None:
    page.emulate_media(color_scheme=theme)  # type: ignore[arg-type]  # one of two texts
    page.set_viewport_size({"width": width, "height": 900})
    found = {}
    for path in PAGES:
        page.goto(path)
        found[path] = violations(page)
        if page.evaluate("document.documentElement.scrollWidth") > width:
            found[path].append("it is wider than the window")
    assert {path: faults for path, faults in found.items() if faults} == {}


def test_the_log_in_page_is_usable_by_everyone(browser: Browser, site: str) -> None:
    context = browser.new_context(base_url=site)
    page = context.new_page()
    page.goto("/")
    assert page.url.startswith(f"{site}/log-in?to=")
    assert violations(page) == []
    context.close()


def test_a_session_beyond_loopback_is_kept_where_a_port_is_forwarded(
    browser: Browser, tmp_path: Path
) -> None:
    """Its cookie is secure, which browsers take from loopback without TLS."""
    with serving(guarded(tmp_path, host="0.0.0.0")) as there:  # noqa: S104
        context = browser.new_context(base_url=there)
        page = context.new_page()
        page.goto("/log-in")
        page.get_by_label("Your name").fill("ada")
        page.get_by_label("Token").fill(OPERATOR)
        page.get_by_role("button", name="Log in").click()
        expect(page.get_by_role("heading", level=1)).to_have_text("Fleet")
        page.get_by_role("button", name="Log out").click()
        expect(page.get_by_role("heading", level=1)).to_have_text("Log in")
        context.close()


def test_a_command_is_a_dialog_that_the_keyboard_reaches(page: Page) -> None:
    page.goto("/streams/streams.a")
    button = page.get_by_role("link", name="Snooze")
    button.focus()
    page.keyboard.press("Enter")
    dialog = page.get_by_role("dialog", name="Snooze")
    expect(dialog).to_be_visible()
    expect(dialog.get_by_label("Why")).to_be_focused()
    assert violations(page) == []
    page.keyboard.press("Escape")
    expect(dialog).to_be_hidden()
    expect(button).to_be_focused()


def test_a_drag_across_the_plot_zooms_and_a_link_shows_all(page: Page) -> None:
    page.goto("/streams/streams.a")
    plot = page.locator("svg.timeline:visible")
    plot.scroll_into_view_if_needed()
    whole = plot.get_attribute("data-begin")
    box = plot.bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + box["width"] * 0.3, box["y"] + 60)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] * 0.6, box["y"] + 60, steps=4)
    page.mouse.up()
    page.wait_for_url("**begin=*")
    assert page.locator("svg.timeline:visible").get_attribute("data-begin") != whole
    page.get_by_role("link", name="all", exact=True).click()
    page.wait_for_url("**/streams/streams.a")
    assert page.locator("svg.timeline:visible").get_attribute("data-begin") == whole


def test_numbers_are_told_where_the_plot_is_pointed_at(page: Page) -> None:
    page.goto("/streams/streams.a")
    page.locator("svg.timeline:visible rect.window").nth(15).hover(force=True)
    told = page.locator("#told")
    expect(told).to_contain_text("loss 2.")
    expect(told).to_contain_text("decision: none")


def test_the_theme_is_chosen_and_kept(page: Page) -> None:
    page.emulate_media(color_scheme="light")
    page.goto("/")
    ground = "getComputedStyle(document.body).backgroundColor"
    light = page.evaluate(ground)
    page.get_by_role("button", name="Dark").click()
    dark = page.evaluate(ground)
    assert dark != light
    page.goto("/streams")
    assert page.evaluate(ground) == dark


def test_the_search_offers_streams_and_leads_there(page: Page) -> None:
    page.goto("/")
    field = page.get_by_label("Stream or event")
    field.press_sequentially("streams.004", delay=10)
    expect(page.locator("#names option")).to_have_count(10)
    field.fill("streams.0042")
    field.press("Enter")
    page.wait_for_url("**/streams/streams.0042")


def test_pages_work_without_scripts(browser: Browser, site: str) -> None:
    context = browser.new_context(base_url=site, java_script_enabled=False)
    page = context.new_page()
    page.goto("/log-in?to=/streams/streams.a")
    page.get_by_label("Your name").fill("ada")
    page.get_by_label("Token").fill(OPERATOR)
    page.get_by_role("button", name="Log in").click()
    page.get_by_role("link", name="Snooze").click()
    page.get_by_label("Until").fill("2026-01-01T00:00")
    page.get_by_label("Why").fill("no")
    page.get_by_role("button", name="Snooze").click()
    expect(page.get_by_label("Why")).to_be_visible()
    context.close()
