"""The Grafana dashboard: its structure, and that its queries read metrics that there are."""

from __future__ import annotations

import json
from typing import Any

import pytest
import yaml

from scripts.metrics_page import groups
from tests.deploy.manifests import ROOT, compose
from tests.deploy.test_alerts import metrics_in

FOLDER = ROOT / "deploy" / "grafana"
SOURCE = {"type": "prometheus", "uid": "${datasource}"}
COLUMNS = 24


def dashboard() -> dict[str, Any]:
    """The dashboard."""
    found: dict[str, Any] = json.loads((FOLDER / "driftloop.json").read_text(encoding="utf-8"))
    return found


def panels() -> list[dict[str, Any]]:
    """Its panels, but for the headings of rows."""
    return [one for one in dashboard()["panels"] if one["type"] != "row"]


def test_it_has_the_form_that_grafana_reads() -> None:
    found = dashboard()
    assert found["schemaVersion"] >= 36
    assert found["uid"] == "driftloop"
    (variable,) = found["templating"]["list"]
    assert (variable["name"], variable["type"], variable["query"]) == (
        "datasource",
        "datasource",
        "prometheus",
    )
    ids = [panel["id"] for panel in found["panels"]]
    assert len(set(ids)) == len(ids)
    titles = [panel["title"] for panel in panels()]
    assert len(set(titles)) == len(titles)


def test_no_panel_lies_over_another_or_beyond_the_edge() -> None:
    taken: dict[tuple[int, int], str] = {}
    for panel in dashboard()["panels"]:
        place = panel["gridPos"]
        assert place["x"] + place["w"] <= COLUMNS, panel["title"]
        for x in range(place["x"], place["x"] + place["w"]):
            for y in range(place["y"], place["y"] + place["h"]):
                assert (x, y) not in taken, (panel["title"], taken.get((x, y)))
                taken[x, y] = panel["title"]


@pytest.mark.parametrize("panel", panels(), ids=lambda panel: panel["title"])
def test_each_panel_reads_metrics_that_there_are(panel: dict[str, Any]) -> None:
    known = {one.name for found in groups().values() for one in found}
    assert panel["datasource"] == SOURCE
    assert panel["fieldConfig"]["defaults"]["unit"]
    references = [target["refId"] for target in panel["targets"]]
    assert references
    assert len(set(references)) == len(references)
    for target in panel["targets"]:
        assert target["datasource"] == SOURCE
        assert target["legendFormat"]
        found = metrics_in(target["expr"])
        assert found <= known
        assert found or "process_" in target["expr"]


def test_compose_provisions_it() -> None:
    services = compose()["services"]
    mounted = {
        one["target"]: compose()["configs"][one["source"]]["file"]
        for one in services["grafana"]["configs"]
    }
    provider = yaml.safe_load((FOLDER / "dashboards.yml").read_text("utf-8"))["providers"][0]
    place = f"{provider['options']['path']}/driftloop.json"
    assert mounted[place] == "deploy/grafana/driftloop.json"
    home = services["grafana"]["environment"]["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"]
    assert home == place
    source = yaml.safe_load((FOLDER / "datasource.yml").read_text("utf-8"))["datasources"][0]
    assert source["url"] == "http://prometheus:9090"
    assert source["isDefault"] is True
