"""docs/own-model.md: what it shows works as it is written, found by its entry point."""

from __future__ import annotations

import re
import shlex
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from driftloop.backtest.training import MemoryStore
from driftloop.cli.app import app
from driftloop.messages import RetrainRequested
from driftloop.models import kind_faults, make_plugin
from driftloop.models.formats import FORMATS
from driftloop.models.kinds import _made as made
from driftloop.models.kinds import is_plugin
from driftloop.models.predict import predict
from driftloop.settings import Profile, Settings
from driftloop.settings.kinds import BUILT_IN_KINDS, SHIPPED_KINDS, known_kinds
from driftloop.trainer.history import Current
from driftloop.trainer.work import Trainer
from tests.plugins import install
from tests.streams import make_profile, make_stream
from tests.unit.backtest.files import write
from tests.unit.trainer.jobs import CPU

PAGE = (Path(__file__).parents[2] / "docs" / "own-model.md").read_text(encoding="utf-8")


def block(language: str, index: int = 0) -> str:
    return re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)[index]


def table(head: str) -> list[list[str]]:
    """Cells of the table that begins with a head."""
    body = PAGE.split(f"\n| {head} |", 1)[1].split("\n\n", 1)[0].splitlines()[2:]
    return [[cell.strip().strip("`") for cell in row.strip("|").split(" | ")] for row in body]


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The page's model kind as an installed package; gives its name."""
    points = tomllib.loads(block("toml", 1))["project"]["entry-points"]["driftloop.models"]
    monkeypatch.syspath_prepend(install(tmp_path / "site", block("python"), points))
    known_kinds.cache_clear()
    made.cache_clear()
    yield next(iter(points))
    known_kinds.cache_clear()
    made.cache_clear()


def model_table() -> dict[str, Any]:
    found: dict[str, Any] = tomllib.loads(block("toml", 2))["profiles"]["orders"]["model"]
    return found


def test_it_takes_about_thirty_lines() -> None:
    written = [one for one in block("python").splitlines() if one.strip()]
    assert len(written) <= 33


def test_its_params_are_checked(installed: str) -> None:
    for k in (0, 1.5, "many"):
        profile = make_profile(model={"kind": installed, "params": {"k": k}})
        (fault,) = kind_faults({"orders": profile})
        assert fault.place == "profiles.orders.model.params"
        assert "k must be a whole number above 0" in str(fault)
    shown = [tomllib.loads(block("toml", i))["profiles"]["orders"]["model"] for i in (0, 2)]
    assert not kind_faults({str(i): Profile(model=one) for i, one in enumerate(shown)})


def test_the_trainer_publishes_it_and_it_beats_a_model_that_knows_nothing(installed: str) -> None:
    profile = make_profile(model=model_table(), training={"records": 300, "min_records": 30})
    settings = Settings(profiles={"orders": profile})
    records, store = make_stream(profile, 0, 300), MemoryStore()
    trainer = Trainer(
        settings,
        CPU,
        now_ms=lambda: 0,
        load=lambda wanted, _: dict.fromkeys(wanted, records),
        store=store,
    )
    request = RetrainRequested(
        id="a" * 16,
        stream="streams.orders",
        profile="orders",
        profile_hash="p",
        reason="policy",
        policy="reducible",
        grounds=[],
        data=["streams.orders:0:0:299"],
        current_version=None,
        decided_at=0,
    )
    (result,) = trainer.run([request], lambda _: Current(None, 0))
    assert result.published is not None, result.finished
    figures = result.finished.challenger or {}
    assert figures["loss"] < 0.7 * figures["baseline"]
    artifact = store.load(result.published.uri, "")
    assert artifact.describe() == {"k": 7, "records": 300}
    whole = predict(artifact, records.x, records.categories)
    lone = predict(artifact, records.x[5:6], [one[5:6] for one in records.categories])
    assert whole[5] == lone[0]
    odd = np.array([[np.nan, np.inf]])
    assert np.isfinite(predict(artifact, odd, [["never seen"]])).all()
    assert make_plugin(installed).name == installed


def test_the_pages_commands_run(
    installed: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a user would: a configuration with the page's table, and a folder of history."""
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    rows = [
        {"ts": 1_700_000_000_000 + 60_000 * i, "a": float(a), "y": float(3 * a)}
        for i, a in enumerate(rng.standard_normal(600))
    ]
    (tmp_path / "shops").mkdir()
    write(tmp_path / "shops" / "lyon.csv", rows)
    Path("driftloop.toml").write_text(
        "[profiles.orders]\ntopics = 'orders\\..+'\nfeatures = { numeric = [\"a\"] }\n"
        "training = { records = 200, min_records = 50, initial = 100 }\n" + block("toml", 2)
    )
    check, backtest = (shlex.split(line) for line in block("sh").strip().splitlines())
    done = CliRunner().invoke(app, check[1:])
    assert done.exit_code == 0, done.output
    assert f"model {installed}" in done.output
    done = CliRunner().invoke(app, [*backtest[1:], "--jobs", "1"])
    assert done.exit_code == 0, done.output
    assert "periodic(2000)" in done.output


def test_an_unknown_kind_is_a_fault_and_for_the_monitor_a_warning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from driftloop.cli.flows import load  # noqa: PLC0415  # beside what it shows

    file = tmp_path / "driftloop.toml"
    file.write_text('[profiles.orders]\nmodel = { kind = "neighbors" }\n')
    monkeypatch.setenv("DRIFTLOOP_CONFIG", str(file))
    done = CliRunner().invoke(app, ["config", "check", "--config", str(file)])
    assert done.exit_code == 2
    assert "profiles.orders.model.kind" in done.output
    assert load(file, models=False).profiles["orders"].model.kind == "neighbors"


def test_the_tables_are_whole() -> None:
    kinds = {row[0]: row for row in table("kind")}
    assert set(kinds) == {*BUILT_IN_KINDS, *SHIPPED_KINDS}
    for name, (_, tasks, form, extra) in kinds.items():
        plugin = make_plugin(name) if is_plugin(name) else None
        known = plugin.tasks if plugin else BUILT_IN_KINDS[name]
        assert set(tasks.split(", ")) == set(known), name
        assert form == (plugin.format if plugin else "safetensors")
        assert extra == SHIPPED_KINDS.get(name, "")
    files = {row[0]: row[2] for row in table("format")}
    assert files == {name: form.file for name, form in FORMATS.items()}


def test_every_reason_of_a_failure_is_told() -> None:
    source = Path(__file__).parents[2] / "src" / "driftloop" / "trainer"
    text = (source / "plugins.py").read_text() + (source / "work.py").read_text()
    raised = set(re.findall(r'"(plugin-[a-z]+|unknown-kind)"', text))
    assert {row[0] for row in table("reason")} == raised
