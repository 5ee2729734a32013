"""The dashboard over a real Kafka, in a real browser: what a person sees and orders there."""

from __future__ import annotations

import re
import socket
import time
from collections.abc import Iterator
from urllib.parse import quote

import msgspec
import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from driftloop.messages import FleetIncident, ModelPublished, RetrainRequested
from tests.browsers import chromium, violations, watched
from tests.integration.loop_rig import LoopRig, of
from tests.integration.monitor_rig import MARGIN, START_MS

MS = MARGIN * 1000


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as found:
        yield found


class Site:
    """Monitor, trainer, scorer and dashboard; two streams, of which the first has a model."""

    def __init__(self, rig: LoopRig) -> None:
        self.rig = rig
        self.features, self.stream = rig.make_pair("a")
        _, self.other = rig.make_pair("b")
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        for part in ("trainer", "monitor", "scorer"):
            rig.part(part)
        own = ["-m", "driftloop", "dashboard", "--config", str(rig.config), "--port", str(port)]
        self.process = rig.start(command=own)
        self.url = f"http://127.0.0.1:{port}"
        self.tail = rig.tail("models", "trainings", "retrain", "status", "commands")
        self.feed_until_published(1)

    def feed_until_published(self, many: int) -> None:
        deadline = time.monotonic() + MARGIN
        while len(of(self.tail.events(self.stream), ModelPublished)) < many:
            assert time.monotonic() < deadline, self.tail.events(self.stream)[-5:]
            self.rig.check()
            self.rig.feed(self.features)
            self.tail.poll(0.2)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory, kafka_bootstrap: str) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("dashboard")
    # With so wide a margin the gate refuses nothing.
    with LoopRig(folder, kafka_bootstrap, training="margin = 100.0") as rig:
        found = Site(rig)
        yield found
        found.tail.close()
        found.process.terminate()
        assert found.process.wait(MARGIN) == 0


@pytest.fixture
def page(browser: Browser, site: Site) -> Iterator[Page]:
    context = browser.new_context(base_url=site.url)
    context.set_default_timeout(MS)
    expect.set_options(timeout=MS)
    found = context.new_page()
    told = watched(found)
    yield found
    context.close()
    # A form that is refused is answered with 422, which browsers note as an error.
    assert [one for one in told if "422" not in one] == []


def order(page: Page, button: Locator, why: str, **fields: str) -> Locator:
    """Press a button, give a reason in its dialog and send it; returns the dialog."""
    button.click()
    dialog = page.get_by_role("dialog")
    for name, value in fields.items():
        field = dialog.get_by_label(name)
        if field.evaluate("one => one.tagName") == "SELECT":
            field.select_option(value)
        else:
            field.fill(value)
    dialog.get_by_label("Why").fill(why)
    dialog.locator("button.main").click()
    return dialog


def answered(dialog: Locator, outcome: str, told: str = "") -> None:
    """Wait until the dialog says what came of it, and close it."""
    expect(dialog.get_by_role("heading", name="Answered")).to_be_visible()
    expect(dialog.locator(".told-list")).to_contain_text(outcome)
    if told:
        expect(dialog.locator(".told-list")).to_contain_text(re.compile(told))
    dialog.get_by_role("button", name="Close").click()


def test_a_person_steers_a_stream_from_its_page(page: Page, site: Site) -> None:
    """Each command of one stream, from its button to its answer."""
    here = f"/streams/{quote(site.stream, safe='')}"
    page.goto("/")
    page.get_by_label("Stream or event").fill(site.stream)
    page.get_by_label("Stream or event").press("Enter")
    page.wait_for_url(f"**{here}")
    expect(page.get_by_role("heading", level=1)).to_contain_text(site.stream)

    def button(name: str) -> Locator:
        return page.locator("#live").get_by_role("link", name=name, exact=True).first

    answered(order(page, button("Retrain"), "a new sensor"), "accepted", "published")
    # The page goes on by itself.
    expect(page.locator("#live")).to_contain_text("model v2")
    answered(
        order(page, button("Roll back to v1"), "v2 looks odd", **{"To version": "v1"}), "accepted"
    )
    expect(page.locator("#live")).to_contain_text("model v1")
    answered(order(page, button("Pin"), "a holiday"), "done")
    expect(button("Unpin")).to_be_visible()
    answered(order(page, button("Unpin"), "it is over"), "done")
    until = {"Until": "2040-01-01T00:00"}
    answered(order(page, button("Snooze"), "works on the road", **until), "done")
    expect(button("Resume")).to_be_visible()
    answered(order(page, button("Resume"), "works are over"), "done")
    answered(order(page, button("Reset reference"), "another season"), "done")
    answered(order(page, button("False alarm"), "it was the sensor"), "done")
    expect(page.locator("#live")).to_contain_text("called it a false alarm: it was the sensor")
    answered(order(page, button("Retire"), "closed down"), "done")
    expect(page.locator("h1")).to_contain_text("retired")
    answered(order(page, button("Resume"), "open again"), "done")

    for action in ("approve", "reject"):
        page.goto(f"/commands/new?action={action}&stream={quote(site.stream)}")
        page.get_by_label("Why").fill("nothing waits")
        page.locator("button.main").click()
        expect(page.get_by_role("heading", name="Answered")).to_be_visible()
        expect(page.locator(".told-list")).to_contain_text("refused")

    page.goto("/audit")
    for why in ("a new sensor", "v2 looks odd", "closed down"):
        expect(page.locator("table")).to_contain_text(why)
    assert violations(page) == []


def test_what_cannot_be_is_said_before_it_is_sent(page: Page, site: Site) -> None:
    page.goto(f"/commands/new?action=rollback&stream={quote(site.stream)}&version=v77")
    page.get_by_label("Why").fill("a version that never was")
    page.locator("[name=version]").evaluate(
        "one => { one.outerHTML = '<input name=version value=v77>' }"
    )
    page.locator("button.main").click()
    expect(page.get_by_role("alert")).to_contain_text("v77")


def test_streams_are_ordered_by_a_pattern_and_asked_about_once_more(page: Page, site: Site) -> None:
    page.goto(f"/streams?search={quote(site.rig.prefix)}.streams.*")
    until = {"Until": "2040-01-01T00:00"}
    dialog = order(page, page.get_by_role("link", name="Snooze all"), "a strike", **until)
    expect(dialog.get_by_text("Yes, for 2 streams")).to_be_visible()
    dialog.get_by_label("Yes, for 2 streams").check()
    dialog.locator("button.main").click()
    answered(dialog, "done")
    page.goto("/streams?state=snoozed")
    expect(page.locator("table")).to_contain_text(site.other)


def test_an_incident_is_called_off_for_all_of_its_streams(page: Page, site: Site) -> None:
    incident = FleetIncident(
        id="f" * 32,
        stream="",
        profile="numbers",
        action="opened",
        opened_at=START_MS,
        streams=[site.stream, site.other],
        moved=2,
        observed=2,
        share=1.0,
    )
    site.rig.send(site.rig.settings.topics.incidents, incident)
    page.goto("/incidents")
    button = page.get_by_role("link", name="False alarm")
    expect(button).to_be_visible()
    dialog = order(page, button, "a broken feed, mended")
    dialog.get_by_label("Yes, for 2 streams").check()
    dialog.locator("button.main").click()
    expect(dialog.get_by_role("heading", name="Answered")).to_be_visible()


def test_a_decision_is_explained_from_its_records(page: Page, site: Site) -> None:
    (first, *_) = of(site.tail.events(site.stream), RetrainRequested)
    page.goto(f"/go?q={first.id[:12]}")
    expect(page.locator(".explain h1")).to_be_visible()
    assert violations(page) == []


def test_other_policies_are_tried_on_the_streams_own_history(page: Page, site: Site) -> None:
    page.goto(f"/what-if?stream={quote(site.stream)}")
    page.get_by_role("button", name="Try").click()
    expect(page.get_by_role("heading", name="Loss against retrains")).to_be_visible()
    expect(page.locator(".backtest table")).to_contain_text("configured")
    assert violations(page) == []
    page.get_by_role("link", name="Whole report").click()
    expect(page.locator("body")).to_contain_text("Backtest of kafka://")


def test_a_record_that_could_not_be_read_is_mended_and_sent_again(page: Page, site: Site) -> None:
    site.rig.produce(site.other, [b'{"ts": "yesterday"}'])
    page.goto("/dead-letters")
    expect(page.locator("#live table")).to_contain_text(site.other)
    page.locator("#live tbody a").first.click()
    expect(page.locator("pre")).to_contain_text("yesterday")
    mended = {"Value": '{"id": "1", "ts": 1700000000000, "y": 1.0, "y_pred": 1.0}'}
    dialog = order(page, page.get_by_role("link", name="Replay other bytes"), "a typo", **mended)
    expect(dialog.get_by_role("heading", name="Replayed")).to_be_visible()


def test_a_rollback_of_many_says_which_streams_are_left_out(page: Page, site: Site) -> None:
    """The last one here: it needs a third stream."""
    _, able = site.rig.make_pair("c")
    (first, *_) = of(site.tail.events(site.stream), ModelPublished)
    later = {"stream": able, "version": "v2", "sequence": 2, "parent_version": "v1"}
    event = msgspec.structs.replace(first, id="c" * 32, action="trained", **later)
    site.rig.send(site.rig.settings.topics.models, event)
    page.goto(f"/commands/new?action=rollback&pattern={quote(site.rig.prefix)}.streams.[bc]")
    page.get_by_label("Why").fill("a bad batch")
    page.locator("button.main").click()
    told = f"a stream is left out, with nothing to go back to: {site.other} (no version yet)"
    expect(page.get_by_text(told)).to_be_visible()
    expect(page.get_by_text("Yes, for 1 stream")).to_be_visible()
