"""What the pages show of a read model, and what they answer to odd addresses."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from driftloop.dashboard.pages.streams import ROWS
from driftloop.messages import (
    Event,
    Ground,
    ModelPublished,
    PartReported,
    RetrainRequested,
    StreamStatus,
    TrainingFinished,
)
from tests.dashboard import LETTER, ORDER, REQUEST, app_of, fleet, settings_of
from tests.html import Balance
from tests.readmodel import START, make

HERE = "http://127.0.0.1:8300"


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    app, _ = app_of(settings_of(tmp_path_factory.mktemp("pages")), fleet(), [LETTER])
    with TestClient(app, base_url=HERE) as found:
        yield found


PAGES = (
    "/",
    "/streams",
    "/streams?search=streams.00*&sort=loss&down=1&page=2",
    "/streams/streams.a",
    "/streams/streams.0003",
    f"/events/{REQUEST}",
    f"/events/{ORDER}",
    "/trainings",
    "/trainings?outcome=published&verdict=better",
    "/incidents",
    "/what-if?stream=streams.a",
    "/dead-letters",
    "/audit",
    "/commands/new?action=snooze&stream=streams.a",
    "/commands/new?action=rollback&stream=streams.a&version=v1",
    "/commands/sent?id=1",
    "/streams/nowhere",
)


@pytest.mark.parametrize("page", PAGES)
def test_a_page_is_whole_and_escapes_what_events_say(client: TestClient, page: str) -> None:
    answer = client.get(page)
    assert answer.status_code == (404 if page.endswith("nowhere") else 200)
    found = Balance()
    found.feed(answer.text)
    assert not found.open
    assert "<script>alert" not in answer.text
    assert "<i>holiday" not in answer.text
    assert "<b>no</b>" not in answer.text
    ids = re.findall(r'\sid="([^"]+)"', answer.text)
    assert len(ids) == len(set(ids))


def test_the_first_page_names_those_that_need_a_person_first(client: TestClient) -> None:
    text = client.get("/").text
    assert text.index("need a person") < text.index("Streams by state")
    assert "a retrain waits for approval" in text
    assert "2 of 3 streams shift together" in text
    assert "at most" in text  # what the policy promises


def _part(state: str, instance: str = "host", ago_s: float = 90.0, part: str = "monitor") -> Event:
    at = round((time.time() - ago_s) * 1000)
    found: Event = PartReported(
        id=f"{part}{instance}{state}",
        part=part,
        instance=instance,
        state=state,
        reported_at=at,
        started_at=at - 1000,
        version="1",
        every=3600.0,
    )
    return found


@pytest.mark.parametrize(
    ("parts", "shown", "alone"),
    [
        ([], [], True),
        ([("stopped",)], ["stopped, 1 min ago"], True),
        ([("stopped", "old", 7200.0), ("stopped",)], ["stopped, 1 min ago"], True),
        ([("stopped", "old"), ("ready",)], ["ready"], False),
        ([("ready", "host", 90.0, "trainer")], ["ready"], True),
    ],
)
def test_the_first_page_says_where_no_monitor_runs(
    tmp_path: Path, parts: list[Any], shown: list[str], *, alone: bool
) -> None:
    told = [_part(*one) for one in parts]  # now: their ages are shown
    app, _ = app_of(settings_of(tmp_path), [make(StreamStatus), *told])
    text = TestClient(app, base_url=HERE).get("/").text
    assert ("No monitor says that it runs" in text) is alone
    processes = text[text.index("Processes") : text.index("dead letters, last")]
    assert re.findall(r"<b[^>]*>([^<]*)</b>", processes) == shown


def test_the_newest_events_say_what_they_are_about(tmp_path: Path) -> None:
    order = {"request_id": ORDER, "finished_at": START}
    failed = make(TrainingFinished, outcome="failed", detail="v1 has no parent", **order)
    app, _ = app_of(settings_of(tmp_path), [failed])
    text = TestClient(app, base_url=HERE).get("/").text
    (row,) = re.findall(r"Training finished</td>.*", text)
    assert ">failed v1 has no parent<" in row
    assert 'data-name="Event time" class="nowrap">\N{EN DASH}<' in row  # the event has none


def test_streams_are_listed_with_the_version_that_was_published_last(tmp_path: Path) -> None:
    versions = [make(ModelPublished, version=f"v{i}", sequence=i) for i in (1, 2, 3)]
    status = make(StreamStatus, model_version="v2")  # of its newest records
    alone = make(StreamStatus, "streams.b", model_version=None)
    app, _ = app_of(settings_of(tmp_path), [status, alone, *versions])
    text = TestClient(app, base_url=HERE).get("/streams?sort=stream").text
    assert re.findall(r'data-name="Model"[^>]*>([^<]*)<', text) == ["v3", "\N{EN DASH}"]


def test_a_first_window_is_not_put_against_itself(tmp_path: Path) -> None:
    losses = {"loss": 15.4, "reference_loss": 15.4, "baseline_loss": 7.7}
    app, _ = app_of(settings_of(tmp_path), [make(StreamStatus, state="silent", **losses)])
    client = TestClient(app, base_url=HERE)
    listed = client.get("/streams").text
    assert ">first window<" in listed
    assert "1.00 \N{MULTIPLICATION SIGN}" not in listed
    assert "2.00 \N{MULTIPLICATION SIGN}" in listed  # the trivial forecast is another matter
    assert ">first window<" in client.get("/").text
    assert "reference (this first window itself)" in client.get("/streams/streams.a").text


@pytest.mark.parametrize(
    ("policy", "criteria", "told"),
    [
        ("reducible", ["reducible"], "reducible"),
        ("reducible", ["reducible", "mlma-anchored"], "reducible, with mlma-anchored"),
        ("votes", ["ks", "loss"], "votes: ks, loss"),
    ],
)
def test_a_list_of_retrains_names_policy_and_criteria_once(
    tmp_path: Path, policy: str, criteria: list[str], told: str
) -> None:
    grounds = [Ground(criterion=one, family="loss", rejected=True) for one in criteria]
    events = [make(RetrainRequested, policy=policy, grounds=grounds)]
    app, _ = app_of(settings_of(tmp_path), events)
    text = TestClient(app, base_url=HERE).get("/trainings").text
    found = re.search(r'<td data-name="Why">(.*?)</td>', text, re.DOTALL)
    assert found is not None
    assert found[1].strip() == told


def test_a_stream_tells_why_it_was_retrained_whether_it_helped_and_how_to_go_back(
    client: TestClient,
) -> None:
    text = client.get("/streams/streams.a").text
    assert "by the policy mlma: the loss of a window left its adaptive reference" in text
    assert "On held-out records its loss was 1.10, against 2.10 of v1 (48 % less)" in text
    assert "It helped: saved 0.300 of loss a record (99 % interval 0.100 to 0.500)" in text
    assert (
        f"/commands/new?action=dismiss&amp;stream=streams.a&amp;version=&amp;request_id={REQUEST}"
        in text
    )
    assert "action=rollback" in text
    assert text.index("Did it help?") < text.index("History")


def test_the_plot_has_all_of_a_streams_life_on_one_axis(client: TestClient) -> None:
    text = client.get("/streams/streams.a").text
    plot = re.search(r"<svg class=\"timeline\".*?</svg>", text, re.DOTALL)
    assert plot is not None
    for kind in ("loss", "reference", "corrected", "baseline", "evidence", "threshold"):
        assert f'class="curve {kind}"' in plot[0], kind
    for kind in ("published", "rollback", "command"):
        assert f'class="mark {kind}"' in plot[0], kind
    assert ">v1<" in plot[0]
    assert "The same as a table" in text


def test_a_plot_is_zoomed_by_the_address(client: TestClient) -> None:
    day = 24 * 3600 * 1000
    begin, end = START + 10 * day, START + 20 * day
    text = client.get(f"/streams/streams.a?begin={begin}&end={end}").text
    assert f'data-begin="{begin}" data-end="{end}"' in text
    odd = client.get(f"/streams/streams.a?begin={end}&end={begin}")
    assert odd.status_code == 200


def test_streams_are_searched_sorted_and_paged(client: TestClient) -> None:
    def names(query: str) -> list[str]:
        return re.findall(
            r'<td data-name="Stream"><a href="/streams/([^"]+)"', client.get(query).text
        )

    assert len(names("/streams")) == ROWS
    assert len(names("/streams?page=2")) == 61 - ROWS
    by_loss = names("/streams?search=streams.00*&sort=loss")
    assert by_loss[0] == "streams.0059"
    assert names("/streams?search=streams.00*&sort=loss&down=1")[0] == "streams.0000"
    assert names("/streams?search=0042") == ["streams.0042"]
    assert names("/streams?search=100%25") == []
    assert set(names("/streams?state=silent")) <= {f"streams.{i:04d}" for i in range(60)}
    assert names("/streams?sort=drop%20table") == names("/streams")


def test_ten_thousand_streams_are_a_page_at_a_time(tmp_path: Path) -> None:
    many = (make(StreamStatus, f"streams.{i:05d}", loss=float(i)) for i in range(10_000))
    app, _ = app_of(settings_of(tmp_path), many)
    client = TestClient(app, base_url=HERE)
    text = client.get("/streams?sort=loss&page=200").text
    assert "9,951\N{EN DASH}10,000 of 10,000 streams" in text
    assert text.count('data-name="State"') == ROWS
    assert "streams.00000" in text
    assert "1\N{EN DASH}1 of 1 stream" in client.get("/streams?search=04242").text


@pytest.mark.parametrize(
    ("asked", "there"),
    [
        ("streams.a", "/streams/streams.a"),
        (REQUEST[:10], f"/events/{REQUEST}"),
        ("0042", "/streams/streams.0042"),
        ("streams.00", "/streams?search=streams.00"),
        ("nothing like it", "/streams?search=nothing%20like%20it"),
    ],
)
def test_a_search_leads_to_the_stream_or_event(client: TestClient, asked: str, there: str) -> None:
    answer = client.get("/go", params={"q": asked}, follow_redirects=False)
    assert answer.headers["location"] == there


def test_a_stream_that_is_not_known_is_answered_with_near_ones(client: TestClient) -> None:
    answer = client.get("/streams/streams.00042")
    assert answer.status_code == 404
    assert "streams.0042" in answer.text


@pytest.mark.parametrize(
    "page",
    ["/nowhere", "/events/zz", "/what-if/none", "/what-if/none/report", "/dead-letters/x/y"],
)
def test_what_is_not_there_is_told_as_a_page(client: TestClient, page: str) -> None:
    answer = client.get(page)
    assert answer.status_code in {404, 422}
    assert "is not known here" in answer.text


@pytest.mark.parametrize("page", ["/streams?page=0", "/streams?page=x", "/streams/a?begin=-1"])
def test_an_address_that_does_not_fit_is_told_as_a_page(client: TestClient, page: str) -> None:
    answer = client.get(page)
    assert answer.status_code == 422
    assert "<h1>" in answer.text


def test_a_page_says_that_the_topics_are_still_read(tmp_path: Path) -> None:
    app, _ = app_of(settings_of(tmp_path))
    live = app.state.context.live
    live.caught_up, live.progress = False, (5, 20)
    client = TestClient(app, base_url=HERE)
    text = client.get("/").text
    assert "5 of 20 messages" in text
    assert client.get("/readyz").status_code == 503
    live.caught_up = True
    told = {"ready": True, "read": 5, "of": 20}
    assert client.get("/readyz").json() == {**told, "fault": ""}
    live.fault = "no broker answers at kafka:9092"
    away = client.get("/readyz")
    assert (away.status_code, away.json()["fault"]) == (200, "the topics cannot be read now")
    assert client.get("/healthz").status_code == 200


def test_an_event_shows_its_grounds_and_begins_its_explanation(client: TestClient) -> None:
    text = client.get(f"/events/{REQUEST}").text
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in text
    assert f'hx-get="/events/{REQUEST}/explanation"' in text
    assert "< 0.0001" in text or "&lt; 0.0001" in text


def test_commands_that_do_not_fit_are_told_with_all_faults(client: TestClient) -> None:
    form = re.search(r'"x-form-token": "([0-9a-f]+)"', client.get("/").text)
    assert form is not None
    sent = {"form_token": form[1], "action": "snooze", "stream": "streams.a", "why": ""}
    answer = client.post("/commands", data=sent)
    assert answer.status_code == 422
    assert "a reason of 3 to 1000 characters" in answer.text
    assert "when the snooze ends" in answer.text


def test_a_trial_that_does_not_fit_is_told_with_all_faults(client: TestClient) -> None:
    form = re.search(r'"x-form-token": "([0-9a-f]+)"', client.get("/").text)
    assert form is not None
    sent = {
        "form_token": form[1],
        "profile": "nobody's",
        "stream": "streams.00042",
        "days": "many",
        "policies": "reducible(",
    }
    answer = client.post("/what-if", data=sent)
    assert answer.status_code == 422
    for told in (
        "one of default",
        "a known stream (streams.0042",
        "whole number of days",
        "reducible(",
    ):
        assert told in answer.text


@pytest.mark.parametrize("page", ["/", "/streams/streams.a", "/readyz", "/static/app.css"])
def test_head_is_answered_where_get_is(client: TestClient, page: str) -> None:
    answer = client.head(page)
    assert (answer.status_code, answer.content) == (200, b"")
    assert answer.headers["content-type"] == client.get(page).headers["content-type"]


def test_head_is_refused_as_get_is(client: TestClient) -> None:
    assert client.head("/nowhere").status_code == 404
    assert client.head("/live").status_code == 405  # it has no end


def test_what_is_no_event_begins_no_explanation(client: TestClient) -> None:
    assert client.get("/events/nothing/explanation").status_code == 404
