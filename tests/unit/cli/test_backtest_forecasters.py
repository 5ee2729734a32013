"""``driftloop backtest`` of forecasters: lags as columns, the calendar from the event time."""

from __future__ import annotations

from pathlib import Path

import msgspec
import numpy as np
import pytest
from typer.testing import CliRunner

from driftloop.backtest.result import PolicyScore, Result
from driftloop.cli.backtest import app
from experiments.forecasters import Setting, names, series
from tests.unit.backtest.files import text, write

LAGS = 6
CONFIG = """
[profiles.hourly]
loss = "squared"
window = {{ kind = "count", records = 100 }}
training = {{ records = 400, initial = 300 }}
[profiles.hourly.features]
numeric = {numeric}
sequence = {sequence}
calendar = {calendar}
[profiles.hourly.model]
kind = "{kind}"
epochs = 60
"""


def _config(kind: str, calendar: list[str]) -> Path:
    lags = names(LAGS)
    sequence = lags if kind.startswith("forecaster") else []
    return text(
        Path(f"{kind}.toml"),
        CONFIG.format(kind=kind, numeric=lags, sequence=sequence, calendar=calendar),
    )


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A stream of hourly values whose level moves at its middle."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("DRIFTLOOP_CONFIG", raising=False)
    own = series(Setting("", 0.7, shift=15.0), 1, 1200, LAGS, train=600)
    rows = [
        {"ts": int(ts), "x": dict(zip(names(LAGS), x, strict=True)), "y": y}
        for ts, x, y in zip(own.ts, own.x.tolist(), own.y.tolist(), strict=True)
    ]
    return write(tmp_path / "one.csv", rows)


def _scores(data: Path, config: Path, *more: str) -> dict[str, PolicyScore]:
    arguments = [str(data), "--config", str(config), "--jobs", "1", "--json", *more]
    for policy in ("never", "periodic(200)"):
        arguments += ["--policy", policy]
    done = CliRunner().invoke(app, arguments)
    assert done.exit_code == 0, done.output
    result = msgspec.json.decode(done.stdout, type=Result)
    assert (result.mode, result.failures) == ("simulated", [])
    return {one.name: one for one in result.policies}


@pytest.mark.parametrize("kind", ["forecaster_linear", "forecaster_mlp", "forecaster_tcn"])
def test_a_forecaster_is_backtested_and_needs_no_retrain_where_the_level_moves(
    data: Path, kind: str
) -> None:
    found = _scores(data, _config(kind, ["hour-of-day", "day-of-week"]))
    assert found["never"].loss is not None
    assert found["never"].loss < 4.0
    assert found["periodic(200)"].retrains > 0
    plain = _scores(data, _config("mlp_regressor", ["hour-of-day", "day-of-week"]))
    assert plain["never"].loss is not None
    assert plain["never"].loss > 4.0 * found["never"].loss


def test_a_late_label_does_not_move_the_time_that_the_model_sees(data: Path) -> None:
    """Trained and asked by the hour of the features, a delay costs labels alone."""
    config = _config("linear", ["hour-of-day"])
    at_once, late = _scores(data, config), _scores(data, config, "--delay", "7h")
    first, second = at_once["never"].loss, late["never"].loss
    assert first is not None
    assert second is not None
    assert np.isclose(first, second, rtol=0.1)
