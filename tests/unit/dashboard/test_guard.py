"""What every request must pass: session, role, origin, form token, host; and the headers."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from driftloop.dashboard.access import ATTEMPTS, SPAN
from driftloop.dashboard.guard import LARGEST_FORM
from tests.dashboard import (
    LETTER,
    OPERATOR,
    REQUEST,
    VIEWER,
    app_of,
    fleet,
    guarded,
    settings_of,
)

HERE = "http://127.0.0.1:8300"
PAGES = (
    "/",
    "/streams",
    "/streams/streams.a",
    f"/events/{REQUEST}",
    "/trainings",
    "/incidents",
    "/what-if",
    "/dead-letters",
    "/audit",
    "/go?q=streams.a",
    "/names?q=str",
    "/commands/sent?id=1",
)
FOR_OPERATORS = (
    "/commands/new?action=retrain&stream=streams.a",
    "/dead-letters/replay?place=0:7",
)
POSTS = ("/commands", "/dead-letters/replay", "/what-if", "/what-if/1/stop")


def client_of(folder: Path, **more: object) -> TestClient:
    app, _ = app_of(guarded(folder, **more), fleet(), [LETTER])
    return TestClient(app, base_url=HERE, follow_redirects=False)


def made(folder: Path, name: str) -> Path:
    (folder / name).mkdir()
    return folder / name


def token_in(text: str) -> str:
    found = re.search(r'"x-form-token": "([0-9a-f]+)"', text)
    assert found is not None
    return found[1]


def log_in(client: TestClient, token: str, **fields: str) -> str:
    """Log in as a person would; returns what the session's forms carry."""
    form = token_in(client.get("/log-in").text)
    sent = {"name": "ada", "token": token, "to": "/", "form_token": form, **fields}
    done = client.post("/log-in", data=sent)
    assert done.status_code == 303, done.text
    return token_in(client.get("/streams").text)


@pytest.mark.parametrize("page", [*PAGES, *FOR_OPERATORS])
def test_whoever_is_not_logged_in_sees_no_page(page: str, tmp_path: Path) -> None:
    answer = client_of(tmp_path).get(page)
    assert answer.status_code == 303
    assert answer.headers["location"].startswith("/log-in?to=%2F")
    assert "streams." not in answer.text


@pytest.mark.parametrize("page", POSTS)
def test_whoever_is_not_logged_in_orders_nothing(page: str, tmp_path: Path) -> None:
    client = client_of(tmp_path)
    assert client.post(page, data={"why": "because"}).status_code == 403
    form = token_in(client.get("/log-in").text)
    assert client.post(page, data={"why": "because", "form_token": form}).status_code == 401


def test_live_and_log_out_are_for_those_who_are_logged_in(tmp_path: Path) -> None:
    client = client_of(tmp_path)
    assert client.get("/live").status_code == 401
    form = token_in(client.get("/log-in").text)
    assert client.post("/log-out", data={"form_token": form}).status_code == 401


@pytest.mark.parametrize("role", [VIEWER, OPERATOR])
def test_who_is_logged_in_sees_every_page(role: str, tmp_path: Path) -> None:
    client = client_of(tmp_path)
    log_in(client, role)
    for page in PAGES:
        assert client.get(page, follow_redirects=True).status_code == 200, page


def test_a_viewer_is_offered_and_may_order_nothing(tmp_path: Path) -> None:
    client = client_of(tmp_path)
    form = log_in(client, VIEWER)
    for page in FOR_OPERATORS:
        assert client.get(page).status_code == 403, page
    for page in POSTS:
        answer = client.post(page, data={"why": "because", "form_token": form})
        assert answer.status_code == 403, page
        assert "operator" in answer.text
    for page in PAGES:
        assert "/commands/new" not in client.get(page).text, page


@pytest.mark.parametrize("page", [*POSTS, "/log-out", "/log-in"])
def test_a_form_without_its_sessions_token_changes_nothing(page: str, tmp_path: Path) -> None:
    client = client_of(tmp_path)
    form = log_in(client, OPERATOR)
    other = log_in(client_of(made(tmp_path, "other")), OPERATOR)
    for wrong in ("", other, form[:-1]):
        answer = client.post(page, data={"form_token": wrong, "token": OPERATOR, "name": "eve"})
        assert answer.status_code == 403, wrong
        assert "older session" in answer.text
        headers = {"x-form-token": wrong}
        assert client.post(page, data={"why": "so"}, headers=headers).status_code == 403


@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "http://evil.example"},
        {"origin": "null"},
        {"origin": "http://127.0.0.1:9999"},
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site"},
    ],
)
def test_a_request_of_another_site_changes_nothing(headers: dict[str, str], tmp_path: Path) -> None:
    client = client_of(tmp_path)
    form = log_in(client, OPERATOR)
    answer = client.post("/what-if", data={"form_token": form}, headers=headers)
    assert answer.status_code == 403
    assert "another site" in answer.text
    own = {"origin": HERE}
    assert client.post("/what-if", data={"form_token": form}, headers=own).status_code == 422


def test_a_name_that_was_rebound_to_loopback_is_refused(tmp_path: Path) -> None:
    app, _ = app_of(settings_of(tmp_path, hosts=["driftloop.example.org"]), fleet(3))
    client = TestClient(app, base_url=HERE)
    for host in ("evil.example", "127.0.0.1.evil.example:8300", "", "driftloop.example.org.evil"):
        answer = client.get("/", headers={"host": host})
        assert answer.status_code == 421, host
        assert "streams" not in answer.text
    for host in ("localhost:8300", "[::1]:8300", "127.0.0.1", "Driftloop.example.org:443"):
        assert client.get("/", headers={"host": host}).status_code == 200, host


def test_probes_are_answered_under_any_name(tmp_path: Path) -> None:
    client = client_of(tmp_path, host="0.0.0.0", hosts=["driftloop.example.org"])  # noqa: S104
    for page in ("/healthz", "/readyz"):
        assert client.get(page, headers={"host": "10.1.2.3:8300"}).status_code == 200
        assert client.post(page, headers={"host": "10.1.2.3:8300"}).status_code == 405
    assert client.get("/log-in", headers={"host": "10.1.2.3:8300"}).status_code == 421


def test_every_answer_has_the_headers_that_bind_browsers(tmp_path: Path) -> None:
    client = client_of(tmp_path)
    log_in(client, VIEWER)
    for page in ("/", "/log-in", "/nowhere", "/static/app.css", "/healthz", "/what-if/1/report"):
        headers = client.get(page, follow_redirects=True).headers
        policy = headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "frame-ancestors 'none'" in policy
        assert "unsafe" not in policy
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["x-frame-options"] == "DENY"


def test_pages_hold_no_inline_script_or_style_and_nothing_from_elsewhere(tmp_path: Path) -> None:
    client = client_of(tmp_path)
    log_in(client, OPERATOR)
    for page in [*PAGES, *FOR_OPERATORS]:
        text = client.get(page, follow_redirects=True).text
        assert not re.search(r"<script(?! src=\"/static/)", text), page
        assert not re.search(r"<style|\sstyle=|\son[a-z]+=", text), page
        for found in re.findall(r'(?:src|href|hx-get|hx-post|action)="([^"]*)"', text):
            assert found.startswith(("/", "#")), found
            assert not found.startswith("//"), found


@pytest.mark.parametrize(("host", "secure"), [("127.0.0.1", False), ("0.0.0.0", True)])  # noqa: S104
def test_the_session_is_a_cookie_that_scripts_and_other_sites_do_not_get(
    host: str, *, secure: bool, tmp_path: Path
) -> None:
    client = client_of(tmp_path, host=host)
    cookie = client.get("/log-in").headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=Strict" in cookie
    assert ("; Secure" in cookie) == secure
    assert cookie.startswith("__Host-driftloop-8300=" if secure else "driftloop-8300=")


def test_a_log_in_begins_another_session_and_a_log_out_ends_it(tmp_path: Path) -> None:
    client = client_of(tmp_path)
    client.get("/log-in")
    before = client.cookies["driftloop-8300"]
    form = log_in(client, OPERATOR)
    mine = client.cookies["driftloop-8300"]
    assert mine != before
    assert client.post("/log-out", data={"form_token": form}).status_code == 303
    assert client.get("/").status_code == 303
    client.cookies.set("driftloop-8300", mine)
    assert client.get("/").status_code == 303


def test_a_log_in_leads_only_to_pages_of_this_site(tmp_path: Path) -> None:
    for i, (to, there) in enumerate(
        (
            ("/streams?need=any", "/streams?need=any"),
            ("//evil.example", "/"),
            ("https://evil.example", "/"),
            ("/\\evil.example", "/"),
            ("javascript:alert(1)", "/"),
        )
    ):
        client = client_of(made(tmp_path, str(i)))
        form = token_in(client.get("/log-in").text)
        sent = {"name": "ada", "token": OPERATOR, "to": to, "form_token": form}
        assert client.post("/log-in", data=sent).headers["location"] == there


def test_log_ins_that_fail_are_held_back(tmp_path: Path) -> None:
    now = [0.0]
    app, _ = app_of(guarded(tmp_path), clock=lambda: now[0])
    client = TestClient(app, base_url=HERE, follow_redirects=False)
    form = token_in(client.get("/log-in").text)
    wrong = {"name": "eve", "token": "wrong", "form_token": form}
    for _ in range(ATTEMPTS):
        assert client.post("/log-in", data=wrong).status_code == 401
    held = client.post("/log-in", data={**wrong, "token": OPERATOR})
    assert held.status_code == 429
    assert int(held.headers["retry-after"]) >= SPAN
    now[0] = SPAN + 1
    assert client.post("/log-in", data={**wrong, "token": OPERATOR}).status_code == 303


def test_a_proxys_headers_count_from_its_address_alone(tmp_path: Path) -> None:
    proxy = {"user_header": "X-User", "addresses": ["10.0.0.1"], "viewers": ["ada"]}
    app, _ = app_of(settings_of(tmp_path, proxy=proxy), fleet(3))
    for address, name, status in (
        ("10.0.0.1", "ada", 200),
        ("10.0.0.1", "eve", 403),
        ("10.0.0.2", "ada", 401),
    ):
        client = TestClient(app, base_url=HERE, client=(address, 5000), follow_redirects=False)
        assert client.get("/", headers={"x-user": name}).status_code == status, (address, name)


def test_a_form_is_not_read_without_end(tmp_path: Path) -> None:
    client = client_of(tmp_path)
    form = log_in(client, OPERATOR)
    sent = {"form_token": form, "why": "x" * (LARGEST_FORM + 1)}
    assert client.post("/commands", data=sent).status_code == 413


def test_other_methods_are_refused(tmp_path: Path) -> None:
    client = client_of(tmp_path)
    log_in(client, OPERATOR)
    for method in ("PUT", "DELETE", "PATCH", "OPTIONS"):
        assert client.request(method, "/streams").status_code == 405
    for page in ("/docs", "/openapi.json", "/redoc"):
        assert client.get(page).status_code == 404
