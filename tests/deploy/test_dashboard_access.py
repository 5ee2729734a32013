"""The dashboard of compose and Kubernetes listens to all, so it asks for a token."""

from __future__ import annotations

import pytest

from driftloop.settings import load_settings
from tests.deploy.manifests import K8S, ROOT, compose, containers, objects

TOKENS = {name: name.lower() * 3 for name in ("DASHBOARD_TOKEN", "OPERATOR_TOKEN", "VIEWER_TOKEN")}


def _compose() -> dict[str, str]:
    return dict(compose()["services"]["dashboard"]["environment"])


def _kubernetes() -> dict[str, str]:
    (container,) = (
        one
        for deployed in objects(K8S / "overlays" / "dashboard")
        for one in containers(deployed)
        if one["name"] == "dashboard"
    )
    return {one["name"]: one.get("value", "") for one in container["env"]}


@pytest.mark.parametrize(
    ("environment", "roles"),
    [(_compose(), {"operator"}), (_kubernetes(), {"operator", "viewer"})],
    ids=["compose", "kubernetes"],
)
def test_its_environment_gives_it_tokens(
    environment: dict[str, str], roles: set[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, TOKENS.get(name, value))
    monkeypatch.setenv("DRIFTLOOP_CONFIG", str(ROOT / "docker" / "driftloop.toml"))
    settings = load_settings()
    assert settings.dashboard.guarded
    assert set(settings.dashboard.tokens()) == roles
