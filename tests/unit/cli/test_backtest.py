"""``driftloop backtest`` on small folders: what it writes, prints, and says of faults."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from click.testing import Result as Ran
from typer.testing import CliRunner

from driftloop.backtest.result import Result
from driftloop.cli.backtest import app
from driftloop.errors import DriftloopError
from driftloop.settings import Policy, load_settings, parse_policy
from tests.unit.backtest.files import text, write

START = 1_700_000_000_000
DAY = 86_400_000


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("DRIFTLOOP_CONFIG", "KAFKA_BOOTSTRAP_SERVERS"):
        monkeypatch.delenv(name, raising=False)


def rows(
    seed: int, n: int = 400, *, predicted: bool = True, drift: float = 0.85
) -> list[dict[str, Any]]:
    """Records that drift from this share of them on."""
    rng = np.random.default_rng(seed)
    a, noise = rng.normal(size=n), rng.normal(0, 0.3, n)
    late = np.arange(n) >= drift * n
    y = a + 4.0 * late * (1 + a) + noise
    return [
        {"ts": START + i * DAY // 10, "x": {"a": a[i]}, "y": y[i]}
        | ({"y_pred": a[i]} if predicted else {})
        for i in range(n)
    ]


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Two streams with predictions."""
    folder = tmp_path / "data"
    folder.mkdir()
    for seed, name in enumerate(("north", "south")):
        write(folder / f"{name}.csv", rows(seed))
    return folder


def run(*arguments: object) -> Ran:
    return CliRunner().invoke(app, [*map(str, arguments), "--jobs", "1"])


def told(*arguments: object) -> str:
    """What the command says of a fault: an error of our own, which `main` tells in words."""
    done = run(*arguments)
    assert done.exit_code != 0
    if done.exit_code == 2:  # said by the option itself
        return done.output
    assert isinstance(done.exception, DriftloopError), repr(done.exception)
    return str(done.exception)


RECORDED = ("--recorded", "--window", "40", "--policy", "never", "--policy", "mlma(10)",
            "--policy", "always")  # fmt: skip


@pytest.fixture
def drifts() -> Path:
    """Where the streams drift: without it, recorded predictions tell no policy from another."""
    return text(Path("drifts.csv"), "stream,record", "north,340", "south,340")


def test_json_is_the_result_and_the_files_hold_the_same(data: Path) -> None:
    done = run(data, *RECORDED, "--json")
    assert done.exit_code == 0, done.output
    result = msgspec.json.decode(done.stdout, type=Result)
    assert (result.mode, result.task, len(result.failures)) == ("recorded", "regression", 0)
    assert {one.name for one in result.policies} == {"never", "mlma(10)", "always"}
    assert all([s.stream for s in one.streams] == ["north", "south"] for one in result.policies)
    out = Path(".driftloop/backtest")
    assert msgspec.json.decode((out / "result.json").read_bytes(), type=Result) == result
    page = (out / "index.html").read_text()
    assert page.lower().startswith("<!doctype html")
    assert "mlma(10)" in page


def test_the_table_names_policies_advice_and_files(data: Path) -> None:
    done = run(data, *RECORDED, "--out", "here")
    assert done.exit_code == 0, done.output
    for part in ("never", "always", "mlma(10)", "here/index.html", "here/result.json"):
        assert part in done.output.replace("\n", "")
    assert "No policy can be advised" in done.output


def test_without_torch_recorded_data_are_backtested_all_the_same(data: Path) -> None:
    block = (
        "import sys\n"
        "class Blind:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name.split('.')[0] == 'torch': raise ModuleNotFoundError(name, name=name)\n"
        "sys.meta_path.insert(0, Blind())\n"
        "from driftloop.cli.app import main\n"
        f"sys.argv = ['driftloop', 'backtest', {str(data)!r}, '--json', '--jobs', '1', "
        "'--policy', 'never', '--policy', 'mlma(1)']\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", block + "sys.argv.append('--recorded')\nmain()"],
        capture_output=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr.decode()
    assert msgspec.json.decode(done.stdout, type=Result).mode == "recorded"


def test_what_is_emitted_loads_and_is_the_advised_policy(data: Path, drifts: Path) -> None:
    done = run(data, *RECORDED, "--drifts", drifts, "--emit-config", "--json")
    result = msgspec.json.decode(done.stdout, type=Result)
    assert result.advice is not None
    assert result.advice.policy == "mlma(10)"
    file = Path(".driftloop/backtest/driftloop.toml")
    settings = load_settings(file)
    (profile,) = settings.profiles.values()
    assert profile.policy == Policy(**parse_policy(result.advice.policy))
    assert profile.features.numeric == ["a"]
    # What it wrote is a configuration for the next backtest: the same policy comes to the same.
    again = run(data, "--recorded", "--config", file, "--policy", result.advice.policy, "--json")
    (score,) = msgspec.json.decode(again.stdout, type=Result).policies
    before = next(one for one in result.policies if one.name == result.advice.policy)
    assert [one.retrained_at for one in score.streams] == [o.retrained_at for o in before.streams]


CONFIG = """
[policies.mine]
kind = "vote"
criteria = ["ks", "loss"]
votes = 1
alpha_per_year = 50
[profiles.p]
policy = "mlma(1)"
features = { numeric = ["a"] }
window = { kind = "count", records = 40 }
[profiles.q]
topics = 'other'
features = { numeric = ["a"] }
"""


def test_where_nothing_can_be_advised_no_configuration_is_written(data: Path) -> None:
    assert "--emit-config: no policy can be advised" in told(data, *RECORDED, "--emit-config")
    assert not Path(".driftloop/backtest/driftloop.toml").exists()


def test_a_configurations_profile_and_policies_are_used(data: Path, drifts: Path) -> None:
    config = text(Path("c.toml"), CONFIG)
    done = run(data, "--recorded", "--config", config, "--profile", "p", "--json",
               "--policy", "mine", "--policy", "mine(votes=2)")  # fmt: skip
    assert done.exit_code == 0, done.exception
    names = {one.name for one in msgspec.json.decode(done.stdout, type=Result).policies}
    assert names == {"mine", "mine(votes=2)"}
    done = run(data, "--recorded", "--config", config, "--profile", "p", "--json", "--emit-config",
               "--drifts", drifts)  # fmt: skip
    assert done.exit_code == 0, done.exception
    names = {one.name for one in msgspec.json.decode(done.stdout, type=Result).policies}
    assert "configured" in names
    assert load_settings(".driftloop/backtest/driftloop.toml").policies["mine"].votes == 1


def test_models_are_trained_where_there_are_no_predictions(tmp_path: Path) -> None:
    file = write(tmp_path / "one.csv", rows(0, predicted=False, drift=0.5))
    done = run(file, "--policy", "never", "--policy", "periodic(60)", "--warmup", 100,
               "--window", 30, "--latency", "1h", "--json")  # fmt: skip
    assert done.exit_code == 0, done.exception
    result = msgspec.json.decode(done.stdout, type=Result)
    assert (result.mode, result.latency, result.warmup) == ("simulated", 3_600_000, 100)
    loss = {one.name: one.loss for one in result.policies}
    assert loss["periodic(60)"] < loss["never"]  # type: ignore[operator]
    assert {one.name for one in result.policies if one.retrains} == {"periodic(60)"}


def test_known_drifts_are_scored(data: Path, drifts: Path) -> None:
    done = run(data, *RECORDED, "--drifts", drifts, "--json")
    result = msgspec.json.decode(done.stdout, type=Result)
    scores = {one.name: (one.missed, one.false) for one in result.policies}
    assert scores["never"] == (2, 0)
    assert scores["mlma(10)"][0] == 0
    assert result.horizon


def test_a_second_run_takes_up_what_the_first_has_done(data: Path) -> None:
    first = json.loads(run(data, *RECORDED, "--json").stdout)
    kept = sorted(Path(".driftloop/backtest/streams").iterdir())
    stamps = [file.stat().st_mtime_ns for file in kept]
    second = json.loads(run(data, *RECORDED, "--json").stdout)
    for one in (first, second):
        del one["created_at"], one["seconds"]
    assert second == first
    assert [file.stat().st_mtime_ns for file in kept] == stamps
    assert len(kept) == 2


def test_one_bad_file_is_told_and_the_others_count(data: Path) -> None:
    text(data / "west.csv", "ts,x.a,y,y_pred", "1700000000000,1,high,2")
    done = run(data, *RECORDED, "--json")
    assert done.exit_code == 0, done.exception
    result = msgspec.json.decode(done.stdout, type=Result)
    (failure,) = result.failures
    assert failure.stream == "west"
    assert "west.csv" in failure.why
    assert "line 2" in failure.why


@pytest.mark.parametrize(
    ("arguments", "parts"),
    [
        (("--policy", "nevr"), ("--policy", "did you mean 'never'")),
        (("--policy", "vote(9)"), ("--policy vote(9)", "votes must be at most")),
        (("--policy", "periodic"), ("needs 'every'",)),
        (("--delay", "soon"), ("--delay", "'soon'")),
        (("--delay", "-1h"), ("--delay", "'-1h'")),
        (("--latency", "1x"), ("--latency", "'1x'")),
        (("--window", "3"), ("--window", "20 or more")),
        (("--window", "x"), ("--window", "as 7d")),
        (("--warmup", "5"), ("--warmup", "20")),
        (("--season", "0"), ("--season",)),
        (("--jobs", "0"), ("--jobs",)),
        (("--profile", "p"), ("--profile", "with --config")),
        (("--config", "absent.toml"), ("absent.toml", "a readable file")),
        (("--config", "c.toml"), ("--profile", "one of p, q", "several")),
        (("--config", "c.toml", "--profile", "r"), ("--profile", "one of p, q")),
        (("--drifts", "absent.csv"), ("absent.csv",)),
        (("--drifts", "bad.csv"), ("bad.csv",)),
        (("--out", "file.txt"), ("file.txt",)),
    ],
    ids=lambda value: "-".join(value).strip("-") if isinstance(value, tuple) else None,
)
def test_each_options_fault_is_told_without_a_traceback(
    data: Path, arguments: tuple[str, ...], parts: tuple[str, ...]
) -> None:
    text(Path("c.toml"), CONFIG)
    text(Path("bad.csv"), "stream,when", "north,1")
    text(Path("file.txt"), "a file, no folder")
    found = CliRunner().invoke(app, [str(data), "--recorded", *arguments])
    assert found.exit_code != 0
    if found.exit_code != 2:
        assert isinstance(found.exception, DriftloopError), repr(found.exception)
    message = found.output + str(found.exception)
    for part in parts:
        assert part in message


def test_data_that_are_none_are_told(tmp_path: Path) -> None:
    assert "no such file or folder" in told("absent")
    (tmp_path / "empty").mkdir()
    assert "empty" in told("empty")
    assert "bootstrap, from and to; got 'x'" in told("kafka://a?bootstrap=b:1&x=1")
    write(tmp_path / "one.csv", rows(0, 30))
    assert "stream" in told("one.csv", "--recorded", "--stream-column", "absent")


def test_where_nothing_can_be_scored_the_status_is_1(tmp_path: Path) -> None:
    """Too few records for a first model."""
    write(tmp_path / "one.csv", rows(0, 40, predicted=False))
    done = run("one.csv", "--policy", "never", "--warmup", 100)
    assert done.exit_code == 1
    assert "too few records" in done.output.replace("\n", " ")
