"""Alert rules fire when they should and are quiet when they should; each has its runbook."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from scripts.metrics_page import groups
from tests.deploy.manifests import ROOT
from tests.prometheus import needed

FOLDER = ROOT / "deploy" / "prometheus"
SECTIONS = ("**Meaning.**", "**Look.**", "**Do.**")


def _yaml(name: str) -> Any:
    return yaml.safe_load((FOLDER / name).read_text(encoding="utf-8"))


def rules() -> dict[str, dict[str, Any]]:
    """Each rule by its name."""
    found = [rule for group in _yaml("alerts.yml")["groups"] for rule in group["rules"]]
    assert len({rule["alert"] for rule in found}) == len(found)
    return {rule["alert"]: rule for rule in found}


def metrics_in(expression: str) -> set[str]:
    """Names of the metrics of Driftloop that an expression reads, without a histogram's suffix."""
    found: set[str] = set()
    for name in re.findall(r"driftloop_(?:[a-z0-9_]|\([a-z]+(?:\|[a-z]+)+\))+", expression):
        one_of = re.search(r"\(([^)]+)\)", name)
        names = (
            [name.replace(one_of[0], part) for part in one_of[1].split("|")] if one_of else [name]
        )
        found |= {re.sub(r"_seconds_(bucket|sum|count)$", "_seconds", one) for one in names}
    return found


def test_the_rules_pass_their_tests() -> None:
    done = subprocess.run(
        [needed("promtool"), "test", "rules", str(FOLDER / "alerts.test.yml")],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_each_rule_is_tested_to_fire_and_to_stay_quiet() -> None:
    told: dict[str, list[bool]] = {}
    for test in _yaml("alerts.test.yml")["tests"]:
        for one in test["alert_rule_test"]:
            told.setdefault(one["alertname"], []).append(bool(one["exp_alerts"]))
    assert set(told) == set(rules())
    assert all(set(fires) == {True, False} for fires in told.values())


def test_a_rule_that_is_wrong_is_found_out(tmp_path: Path) -> None:
    """What the tests rely on: a rule with another threshold does not pass them."""
    text = (FOLDER / "alerts.yml").read_text(encoding="utf-8")
    (tmp_path / "alerts.yml").write_text(text.replace("> 0.01", "> 0.1"), encoding="utf-8")
    (tmp_path / "t.yml").write_text((FOLDER / "alerts.test.yml").read_text("utf-8"), "utf-8")
    done = subprocess.run(
        [needed("promtool"), "test", "rules", str(tmp_path / "t.yml")],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert "DriftloopUnreadableRecords" in done.stdout + done.stderr


@pytest.mark.parametrize("name", list(rules()))
def test_each_rule_reads_metrics_that_there_are_and_says_what_to_do(name: str) -> None:
    rule = rules()[name]
    known = {one.name for found in groups().values() for one in found}
    assert metrics_in(rule["expr"]) <= known
    assert rule["labels"]["severity"] in {"critical", "warning", "info"}
    assert set(rule["annotations"]) == {"summary", "description", "runbook_url"}
    page, _, anchor = rule["annotations"]["runbook_url"].partition("#")
    assert anchor == name.lower()
    text = (ROOT / page).read_text(encoding="utf-8")
    (entry,) = re.findall(rf"^## {name}\n(.*?)(?=^## |\Z)", text, re.DOTALL | re.MULTILINE)
    assert [entry.count(section) for section in SECTIONS] == [1, 1, 1]


def test_each_runbook_has_a_rule() -> None:
    text = (ROOT / "docs" / "runbooks.md").read_text(encoding="utf-8")
    headings = re.findall(r"^## (\w+)$", text, re.MULTILINE)
    assert sorted(headings) == sorted(rules())
    assert metrics_in(text) <= {one.name for found in groups().values() for one in found}
