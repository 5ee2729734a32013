"""Many streams under many policies: alike by any number of processes, kept, failing alone."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from driftloop.backtest import run as module
from driftloop.backtest.baseline import baseline_name, naive_predictions
from driftloop.backtest.data import open_source
from driftloop.backtest.keep import Keep
from driftloop.backtest.outcome import Outcome, Plan, StreamFailure, StreamOutcome
from driftloop.backtest.policies import default_policies, grid, profiles_of
from driftloop.backtest.run import run_streams
from driftloop.backtest.session import Options, backtest
from driftloop.backtest.source import StreamData
from driftloop.errors import DataError, SettingsError
from driftloop.settings import Profile
from tests.unit.backtest.files import write
from tests.unit.backtest.simulated import (
    CYCLE,
    MemorySource,
    bits,
    plan_of,
    profile_of,
    stream_of,
)

FEW = ("never", "reducible(5, min_records=20)")


@pytest.fixture
def profile() -> Profile:
    return profile_of()


def fleet(profile: Profile, names: str, n: int = 300) -> list[StreamData]:
    return [stream_of(profile, name, seed, n) for seed, name in enumerate(names)]


def outcomes(source: MemorySource, plan: Plan, keep: Keep | None = None) -> dict[str, Outcome]:
    return {one.stream: one for one in run_streams(source, source.streams, plan, keep=keep)}


def test_two_processes_come_to_the_same_bits_as_one(tmp_path: Path, profile: Profile) -> None:
    for seed in range(6):  # two groups
        columns = stream_of(profile, seed=seed, n=240).columns
        write(
            tmp_path / f"s{seed}.csv",
            [
                {"ts": int(columns.ts[i]), "a": columns.x[i, 0], "b": columns.x[i, 1],
                 "colour": columns.categories[0][i], "y": columns.y[i]}
                for i in range(240)
            ],
        )  # fmt: skip
    plan = plan_of(profile, FEW)
    source = open_source(str(tmp_path), profile)
    one, two = (
        sorted((bits(o) for o in run_streams(source, source.streams, plan, jobs=jobs)), key=repr)
        for jobs in (1, 2)
    )
    assert len(one) == 6
    assert one == two


def test_a_stream_that_cannot_be_read_does_not_end_the_others(profile: Profile) -> None:
    source = MemorySource(profile, fleet(profile, "ac"), bad=["b"])
    found = outcomes(source, plan_of(profile, FEW))
    assert isinstance(found["b"], StreamFailure)
    assert "a line that is none" in found["b"].why
    alone = outcomes(MemorySource(profile, fleet(profile, "ac")), plan_of(profile, FEW))
    assert bits(found["a"]) == bits(alone["a"])
    assert bits(found["c"]) == bits(alone["c"])


def test_a_stream_that_cannot_be_simulated_fails_alone(
    profile: Profile, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = module.Simulation

    def failing(stream: str, *arguments: object, **more: object) -> object:
        if stream == "b":
            raise DataError("something is odd")
        return real(stream, *arguments, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(module, "Simulation", failing)
    found = outcomes(MemorySource(profile, fleet(profile, "abc")), plan_of(profile, FEW))
    assert found["b"] == StreamFailure("b", "something is odd")
    assert all(isinstance(found[name], StreamOutcome) for name in "ac")


# Resumed


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """The streams of each call to `simulate`."""
    calls: list[list[str]] = []
    real = module.simulate

    def simulate(plan: Plan, data: Sequence[StreamData]) -> list[StreamOutcome]:
        calls.append([one.name for one in data])
        return real(plan, data)

    monkeypatch.setattr(module, "simulate", simulate)
    return calls


def test_what_is_done_is_not_done_again(
    tmp_path: Path, profile: Profile, counted: list[list[str]]
) -> None:
    data = fleet(profile, "abcde")
    plan, keep = plan_of(profile, FEW), Keep(tmp_path / "kept")
    first = outcomes(MemorySource(profile, data[:2]), plan, keep)
    whole = outcomes(MemorySource(profile, data), plan, keep)
    again = outcomes(MemorySource(profile, data), plan, keep)
    assert counted == [["a", "b"], ["c", "d"], ["e"]]
    assert bits(whole["a"]) == bits(first["a"])
    assert {n: bits(o) for n, o in again.items()} == {n: bits(o) for n, o in whole.items()}
    assert not list(keep.folder.glob("*.part*"))


def test_a_file_that_was_cut_off_is_ignored_and_replaced(
    tmp_path: Path, profile: Profile, counted: list[list[str]]
) -> None:
    data, plan, keep = fleet(profile, "a"), plan_of(profile, FEW), Keep(tmp_path)
    whole = outcomes(MemorySource(profile, data), plan, keep)
    (file,) = tmp_path.glob("*.npz")
    content = file.read_bytes()
    damages = [content[:k] for k in (0, 3, len(content) // 2, len(content) - 5)]
    flipped = bytearray(content)
    flipped[len(content) // 2] ^= 0xFF
    for damaged in [*damages, bytes(flipped)]:
        file.write_bytes(damaged)
        counted.clear()
        assert bits(outcomes(MemorySource(profile, data), plan, keep)["a"]) == bits(whole["a"])
        assert counted == [["a"]]


@pytest.mark.parametrize(
    "change",
    ["policy", "seed", "latency", "delay", "recorded", "season", "profile", "name", "x", "y",
     "y_pred", "ts", "categories", "ids", "versions", "offsets"],
)  # fmt: skip
def test_what_rests_on_anything_else_is_done_anew(
    tmp_path: Path, profile: Profile, change: str
) -> None:
    plan, data, keep = plan_of(profile, FEW), stream_of(profile, n=150), Keep(tmp_path)
    outcome = next(iter(outcomes(MemorySource(profile, [data]), plan).values()))
    assert isinstance(outcome, StreamOutcome)
    keep.save(plan, data, outcome)
    assert keep.load(plan, stream_of(profile, n=150)) is not None
    more: dict[str, dict[str, object]] = {
        "seed": {"seed": 1},
        "latency": {"latency_ms": 1.0},
        "delay": {"delay_ms": 1.0},
        "recorded": {"recorded": True},
        "season": {"season": 2},
    }
    other, columns = data, data.columns
    if change == "policy":
        plan = plan_of(profile, ("never", "reducible(6, min_records=20)"))
    elif change == "profile":
        plan = plan_of(profile.model_copy(update={"deduplicate": 7}), FEW)
    elif change in more:
        plan = plan_of(profile, FEW, **more[change])
    elif change == "name":
        other = StreamData("other", columns)
    elif change == "categories":
        columns.categories[0][7] = "pink"
    elif change in {"ids", "versions"}:
        getattr(columns, change)[7] = "other"
    else:
        getattr(columns, change)[7:] += 1
    assert keep.load(plan, other) is None


# Sessions


def test_a_session_tells_what_failed_and_goes_on(profile: Profile) -> None:
    data = [*fleet(profile, "ab"), stream_of(profile, "short", n=30)]
    source = MemorySource(profile, data, bad=["bad"])
    seen: list[str] = []
    result = backtest(source, Options(FEW), lambda one: seen.append(one.stream))
    assert sorted(seen) == ["a", "b", "bad", "short"]
    assert {one.stream for one in result.failures} == {"bad", "short"}
    assert "too few records" in next(f.why for f in result.failures if f.stream == "short")
    for policy in result.policies:
        assert [one.stream for one in policy.streams] == ["a", "b"]
    never = next(p for p in result.policies if p.name == "never")
    assert never.retrains == 0
    assert (result.mode, result.warmup, result.records) == ("simulated", 100, 2 * 200)


def test_a_session_without_any_readable_stream_is_an_error(profile: Profile) -> None:
    with pytest.raises(DataError, match="no stream could be read"):
        backtest(MemorySource(profile, [], bad=["b"]), Options(FEW))


def test_without_a_warmup_the_first_tenth_of_each_stream_trains_its_first_model() -> None:
    profile = profile_of(training={"min_records": 30})
    data = [stream_of(profile, "a", n=1000), stream_of(profile, "b", n=1500)]
    source = MemorySource(profile, data)
    result = backtest(source, Options(["never"]))
    (never,) = result.policies
    assert [one.records for one in never.streams] == [1000 - 100, 1500 - 150]
    given = backtest(MemorySource(profile, data), Options(["never"], warmup=200))
    assert [one.records for one in given.policies[0].streams] == [800, 1300]
    assert given.warmup == 200


def test_the_trivial_prediction_is_scored_on_the_same_records(profile: Profile) -> None:
    data = stream_of(profile, "a")
    result = backtest(MemorySource(profile, [data]), Options(["never"], season=3))
    y = data.columns.y
    assert result.baseline is not None
    assert result.baseline.name == "seasonal naive (3 records)"
    assert result.baseline.loss == pytest.approx(np.abs(y[100:] - y[97:-3]).mean())


def test_trivial_predictions_never_look_ahead() -> None:
    binary = Profile(task="binary", loss="log_loss")
    three = Profile(task="multiclass", loss="log_loss", classes=["a", "b", "c"])
    y = np.random.default_rng(0).integers(0, 2, 60).astype(float)
    for profile in (Profile(), binary, three, Profile(task="binary", loss="zero_one")):
        whole = naive_predictions(profile, y)
        for k in (1, 20, 59):
            changed = y.copy()
            changed[k:] = 1 - changed[k:]
            found = naive_predictions(profile, changed)[: k + 1]
            np.testing.assert_array_equal(found, whole[: k + 1])
        assert np.isnan(whole[0]).all()
    p = naive_predictions(three, y)
    np.testing.assert_allclose(p[1:].sum(axis=1), 1.0)
    assert baseline_name(Profile(), 4) == "seasonal naive (4 records)"
    assert baseline_name(binary, 4) == "last class"


# Names


@pytest.mark.parametrize("window", [{"kind": "count", "records": 50}, CYCLE])
@pytest.mark.parametrize("task", ["regression", "binary"])
def test_the_policies_that_are_tried_by_default_and_by_grid_all_parse(
    window: dict[str, object], task: str
) -> None:
    loss = "absolute" if task == "regression" else "log_loss"
    profile = profile_of(window=window, task=task, loss=loss)
    assert len(default_policies(profile)) == 13
    for names in (default_policies(profile), grid(profile)):
        found = profiles_of(profile, names)
        assert list(found) == names
        assert len({one.policy.model_dump_json() for one in found.values()}) == len(names)
        for one in found.values():
            assert one.model_copy(update={"policy": profile.policy}) == profile
    assert ("detector(ddm)" in grid(profile)) == (task == "binary")


def test_every_name_that_is_not_understood_is_told_at_once(profile: Profile) -> None:
    with pytest.raises(SettingsError) as caught:
        profiles_of(profile, ["nevr", "vote(9)", "periodic", "reducible(0)", "any(x=1)", "never"])
    told = "\n".join(map(str, caught.value.faults))
    assert len(caught.value.faults) == 5
    for part in (
        "did you mean 'never'",
        "votes must be at most",
        "needs 'every'",
        "greater than 0",
        "--policy any(x=1)",
    ):
        assert part in told


@pytest.mark.parametrize("recorded", [False, True])
def test_a_session_says_where_seconds_of_this_machine_decide(
    profile: Profile, *, recorded: bool
) -> None:
    price = {"gpu_second": 1.0, "seconds": 1.0, "loss": 1.0}
    notes = {}
    for measured in (False, True):
        own = {"dear": {"kind": "reducible", "price": {**price, "measured": measured}}}
        source = MemorySource(profile, [stream_of(profile, "a")])
        options = Options(["never", "dear"], own=own, recorded=recorded)
        notes[measured] = backtest(source, options).notes
    (more,) = [one for one in notes[True] if one not in notes[False]]
    assert ("price.seconds" in more) if recorded else ("on this machine" in more)
