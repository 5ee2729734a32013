"""Who may come in, and what they may: tokens, sessions, proxies and the pace of log-ins."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from driftloop.dashboard.access import ATTEMPTS, ATTEMPTS_OF_ALL, SPAN, Door, Pace, Sessions
from driftloop.errors import SettingsError
from driftloop.settings import DashboardSettings, ProxySettings, load_settings
from driftloop.settings.dashboard import is_loopback
from driftloop.settings.render import render
from tests.dashboard import OPERATOR, VIEWER, guarded


@pytest.mark.parametrize("host", ["0.0.0.0", "10.1.2.3", "::", "monitor.example.org"])  # noqa: S104
def test_other_addresses_than_loopback_need_a_token_or_a_proxy(host: str, tmp_path: Path) -> None:
    assert not is_loopback(host)
    file = tmp_path / "driftloop.toml"
    text = f'[profiles.a]\ntopics = "a"\n[dashboard]\nhost = "{host}"\n'
    file.write_text(text)
    with pytest.raises(SettingsError, match=r"dashboard\.host: a loopback address.*operator_token"):
        load_settings(file)
    file.write_text(text + 'operator_token = { env = "DASHBOARD_TOKEN" }\n')
    assert load_settings(file).dashboard.guarded


def test_secrets_are_references_and_never_shown(tmp_path: Path) -> None:
    file = tmp_path / "driftloop.toml"
    text = '[profiles.a]\ntopics = "a"\n[dashboard]\n'
    file.write_text(text + 'operator_token = "hunter2hunter2hunter2"\n')
    with pytest.raises(SettingsError) as told:
        load_settings(file)
    assert "dashboard.operator_token" in str(told.value)
    assert "hunter2" not in str(told.value)
    file.write_text(text + 'operator_token = { value = "hunter2hunter2hunter2" }\n')
    with pytest.raises(SettingsError, match=r"a secret is given by \{ env") as told:
        load_settings(file)
    assert "hunter2" not in str(told.value)
    file.write_text(text + 'operator_token = { file = "token" }\n')
    assert '{ file = "token" }' in render(load_settings(file), file)


def test_a_token_is_long_and_of_one_role(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHORT", "short")
    with pytest.raises(SettingsError, match="at least 16 characters"):
        DashboardSettings(viewer_token={"env": "SHORT"}).tokens()
    monkeypatch.setenv("SAME", "s" * 16)
    with pytest.raises(SettingsError, match="another one than operators'"):
        DashboardSettings(viewer_token={"env": "SAME"}, operator_token={"env": "SAME"}).tokens()
    with pytest.raises(SettingsError, match="MISSING"):
        DashboardSettings(viewer_token={"env": "MISSING"}).tokens()


def test_a_token_gives_its_role_and_another_one_none(tmp_path: Path) -> None:
    door = Door(guarded(tmp_path).dashboard)
    viewer, operator = door.log_in("eve", VIEWER), door.log_in("ada", OPERATOR)
    assert viewer is not None
    assert operator is not None
    assert (viewer.role, viewer.orders, operator.role, operator.orders) == (
        "viewer",
        False,
        "operator",
        True,
    )
    assert viewer.session != operator.session
    for wrong in ("", OPERATOR[:-1], OPERATOR + " ", VIEWER.upper()):
        assert door.log_in("eve", wrong) is None


def test_a_door_without_an_operators_token_lets_an_empty_one_not_pass(tmp_path: Path) -> None:
    (tmp_path / "viewer").write_text(VIEWER)
    door = Door(DashboardSettings(viewer_token={"file": str(tmp_path / "viewer")}))
    assert door.log_in("eve", "") is None


def test_a_cookie_counts_until_its_session_ends_and_cannot_be_made(tmp_path: Path) -> None:
    door = Door(guarded(tmp_path).dashboard)
    visitor = door.log_in("ada", OPERATOR)
    assert visitor is not None
    cookie = door.sessions.cookie(visitor)
    assert door.sessions.read(cookie) == visitor
    for place in (4, len(cookie) // 2, len(cookie) - 9):
        other = "A" if cookie[place] != "A" else "B"
        assert door.sessions.read(cookie[:place] + other + cookie[place + 1 :]) is None
    assert Sessions(60).read(cookie) is None  # of another start
    door.sessions.end(visitor)
    assert door.sessions.read(cookie) is None


def test_a_cookie_grows_old(monkeypatch: pytest.MonkeyPatch) -> None:
    sessions = Sessions(60)
    cookie = sessions.cookie(sessions.new("ada", "operator", "token"))
    now = time.time()
    monkeypatch.setattr("time.time", lambda: now + 59)
    assert sessions.read(cookie) is not None
    monkeypatch.setattr("time.time", lambda: now + 62)
    assert sessions.read(cookie) is None


def test_a_form_carries_its_own_sessions_token() -> None:
    sessions = Sessions(60)
    mine, other = sessions.new(), sessions.new()
    assert sessions.carries(mine, sessions.form_token(mine))
    for wrong in ("", sessions.form_token(other), "é"):
        assert not sessions.carries(mine, wrong)


def test_failed_log_ins_are_held_back_by_address_and_over_all() -> None:
    now = [0.0]
    pace = Pace(lambda: now[0])
    for _ in range(ATTEMPTS):
        assert pace.wait("a") == 0
        pace.failed("a")
    assert pace.wait("a") == SPAN
    assert pace.wait("b") == 0
    now[0] = SPAN
    assert pace.wait("a") == 0
    for i in range(ATTEMPTS_OF_ALL):
        pace.failed(f"host{i}")
    assert pace.wait("somebody else") == SPAN


def test_a_proxy_is_believed_only_from_its_address() -> None:
    proxy = ProxySettings(
        user_header="X-User",
        groups_header="X-Groups",
        addresses=["10.0.0.0/8"],
        viewers=["group:staff"],
        operators=["ada", "group:ml-ops"],
    )
    door = Door(DashboardSettings(proxy=proxy))
    headers = {"x-user": "ada", "x-groups": "staff"}
    assert door.visitor("", "10.1.1.1", headers).role == "operator"
    assert door.visitor("", "192.0.2.1", headers).role is None
    assert door.visitor("", "testclient", headers).role is None
    named = {"x-user": "eve", "x-groups": "staff, ml-ops"}
    assert door.visitor("", "10.1.1.1", named).role == "operator"
    assert door.visitor("", "10.1.1.1", {"x-user": "eve", "x-groups": "staff"}).role == "viewer"
    assert door.visitor("", "10.1.1.1", {"x-user": "eve"}).role is None
    assert door.visitor("", "10.1.1.1", {"x-user": "group:ml-ops"}).role is None


def test_what_a_proxy_said_is_not_kept_in_a_cookie() -> None:
    proxy = ProxySettings(user_header="X-User", addresses=["10.0.0.1"], operators=["ada"])
    door = Door(DashboardSettings(proxy=proxy))
    named = door.visitor("", "10.0.0.1", {"x-user": "ada"})
    cookie = door.sessions.cookie(named)
    assert door.visitor(cookie, "192.0.2.1", {}).role is None
