"""docs/model-store.md: its commands run, and its tables are configuration."""

from __future__ import annotations

import json
import re
import shlex
import tomllib
from pathlib import Path

import pytest
from typer.testing import CliRunner

from benchmarks.store import page as render
from benchmarks.throughput import RESULTS
from driftloop.cli.app import app
from driftloop.settings import MlflowSettings, StoreSettings
from tests.store.test_models_command import Rig, published, rig

__all__ = ["rig"]
PAGE = (Path(__file__).parents[2] / "docs" / "model-store.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)


def test_its_commands_run_in_their_order(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(rig.folder)
    saved = rig.save("orders.lyon", 12)
    rig.send(published("orders.lyon", 12, saved[11], "v11"))
    rig.save("load.a", 3)
    outputs = {}
    for line in "".join(blocks("sh")).splitlines():
        name, *words = shlex.split(line, comments=True)
        assert name == "driftloop"
        ended = CliRunner().invoke(app, [*words, "--config", str(rig.config)])
        assert ended.exit_code == 0, f"{line}\n{ended.output}"
        outputs[" ".join(words)] = ended.stdout
    assert "current" in outputs["models list orders.lyon"]
    assert (rig.folder / "export" / "model.json").exists()
    assert "Removed 9 of 12 versions" in outputs["models prune orders.lyon --keep 3 --yes"]
    assert len(rig.store.versions("orders.lyon")) == 3


def test_its_tables_are_configuration(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STORE_SECRET", "s")
    kept, bucket, mlflow = (tomllib.loads(one) for one in blocks("toml"))
    assert StoreSettings(**kept["store"]).keep == 10
    assert StoreSettings(**bucket["store"]).resolved()["secret"] == "s"  # noqa: S105
    assert MlflowSettings(**mlflow["mlflow"]).register_models


def test_the_measured_page_is_that_of_its_figures() -> None:
    """What the page claims: the same calls to the file system at every size."""
    figures = json.loads((RESULTS / "store.json").read_text(encoding="utf-8"))
    assert render(figures) == (RESULTS / "store.md").read_text(encoding="utf-8")
    assert "100000" in figures["cases"]
    for name in ("list", "load", "prune", "save"):
        counts = [case[name]["calls"] for case in figures["cases"].values()]
        assert counts == [counts[0]] * len(counts)
