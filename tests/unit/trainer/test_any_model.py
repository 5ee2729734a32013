"""Kinds of plug-ins on the trainer's way from request to version, beside the built-in ones."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from driftloop.backtest.outcome import Plan
from driftloop.backtest.policies import profiles_of
from driftloop.backtest.run import simulate
from driftloop.backtest.training import MemoryStore
from driftloop.messages import RetrainRequested
from driftloop.models import ModelStore, predict
from driftloop.models.kinds import _made as made
from driftloop.settings import Profile, Settings, StoreSettings
from driftloop.settings.kinds import SHIPPED_KINDS, known_kinds
from driftloop.trainer.history import Current
from driftloop.trainer.shelf import Store
from driftloop.trainer.work import Result, Trainer
from tests.plugins import install
from tests.streams import make_profile, make_stream
from tests.unit.backtest.simulated import bits, profile_of, stream_of
from tests.unit.trainer.jobs import CPU

FEW = {
    "sklearn_random_forest": {"n_estimators": 20},
    "sklearn_hist_gradient_boosting": {"max_iter": 30},
    "xgboost": {"n_estimators": 30},
}


@pytest.fixture(autouse=True)
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The kinds of `tests.plugins` are installed."""
    monkeypatch.syspath_prepend(install(tmp_path / "site"))
    known_kinds.cache_clear()
    made.cache_clear()
    yield
    known_kinds.cache_clear()
    made.cache_clear()


def profile(kind: str, task: str = "regression", **params: Any) -> Profile:
    return make_profile(
        task=task,
        loss="squared" if task == "regression" else "log_loss",
        classes=["low", "mid", "high"] if task == "multiclass" else [],
        model={"kind": kind, "params": params},
        training={"records": 300, "min_records": 30},
    )


def request(name: str, tag: str = "") -> RetrainRequested:
    return RetrainRequested(
        id=f"{name}{tag}".ljust(16, "0"),
        stream=f"streams.{name}",
        profile=name,
        profile_hash="p",
        reason="policy",
        policy="reducible",
        grounds=[],
        data=[f"streams.{name}:0:0:299"],
        current_version=None,
        decided_at=0,
    )


def run(
    profiles: Mapping[str, Profile],
    store: Store,
    current: Mapping[str, Current] | None = None,
    seed: int = 0,
    **trainer: Any,
) -> dict[str, Result]:
    """Serve a request of each profile; the outcome by its name."""
    given = {"plugin_memory": "800MiB", "plugin_processes": 2, **trainer}
    settings = Settings.model_validate({"profiles": dict(profiles), "trainer": given})
    records = {name: make_stream(one, seed, 300) for name, one in profiles.items()}
    served = Trainer(
        settings,
        CPU,
        now_ms=lambda: 0,
        load=lambda wanted, _check: {name: records[name.rstrip("0")] for name in wanted},
        store=store,
    )
    known = current or {}
    results = served.run(
        [request(name) for name in profiles],
        lambda one: known.get(one.profile, Current(None, 0)),
    )
    return {one.request.profile: one for one in results}


@pytest.mark.parametrize("kind", ["linear", *SHIPPED_KINDS])
def test_every_kind_is_published_and_then_held_against_its_champion(
    kind: str, tmp_path: Path
) -> None:
    """A second version meets the first, which was read from the store."""
    task = "binary" if kind == "sklearn_logistic" else "regression"
    profiles = {"a": profile(kind, task, **FEW.get(kind, {}))}
    store = ModelStore(StoreSettings(uri=str(tmp_path / "store")))
    first = run(profiles, store)["a"]
    assert first.finished.outcome == "published", first.finished
    assert first.published is not None
    figures = first.finished.challenger or {}
    assert figures["loss"] < 0.8 * figures["baseline"]
    stored = store.load(first.published.uri, first.published.sha256)
    assert (first.published.kind, first.published.format) == (kind, stored.format)
    second = run(profiles, store, {"a": Current(first.published, 1)}, seed=1)["a"]
    assert second.finished.outcome in {"published", "rejected"}, second.finished
    assert second.finished.champion is not None
    held = make_stream(profiles["a"], 1, 300).select(slice(240, 300))
    expected = predict(stored, held.x, held.categories)
    if task == "regression":
        theirs = np.mean((expected - held.y) ** 2)
        assert second.finished.champion["loss"] == pytest.approx(theirs)


def test_a_plugin_that_fails_fails_its_own_request() -> None:
    """In one batch one raises, eats, dies, predicts nonsense; the rest is published."""
    kinds = {
        "ridge": "sklearn_ridge",
        "raises": "raises",
        "eats": "eats",
        "exits": "exits",
        "shape": "wrong-shape",
        "linear": "linear",
        "centre": "centre",
        "strange": "zzz",
    }
    found = run({name: profile(kind) for name, kind in kinds.items()}, MemoryStore())
    outcomes = {name: (one.finished.outcome, one.finished.reason) for name, one in found.items()}
    assert outcomes == {
        "ridge": ("published", ""),
        "raises": ("failed", "plugin-raised"),
        "eats": ("failed", "plugin-memory"),
        "exits": ("failed", "plugin-died"),
        "shape": ("failed", "plugin-raised"),
        "linear": ("published", ""),
        "centre": ("published", ""),
        "strange": ("failed", "unknown-kind"),
    }
    assert "no idea how" in found["raises"].finished.detail
    assert "its package installed" in found["strange"].finished.detail


def test_params_reach_the_plugin() -> None:
    store = MemoryStore()
    losses = {}
    for shift in (0.0, 100.0):
        found = run({"a": profile("centre", shift=shift)}, store)["a"]
        losses[shift] = (found.finished.challenger or {})["loss"]
    assert losses[100.0] > 5000.0 > losses[0.0]


def test_several_classes_are_learned_by_a_plugin() -> None:
    found = run({"a": profile("xgboost", "multiclass", **FEW["xgboost"])}, MemoryStore())["a"]
    assert found.finished.outcome == "published"
    assert found.finished.challenger["loss"] < found.finished.challenger["baseline"]


def test_a_backtest_takes_a_plugin_and_repeats_itself() -> None:
    chosen = profile_of(model={"kind": "sklearn_ridge"})
    data = stream_of(chosen, n=300)
    plan = Plan(profiles_of(chosen, ["never", "periodic(100, min_records=20)"]))
    (one,), (two,) = simulate(plan, [data]), simulate(plan, [data])
    assert bits(one) == bits(two)
    never, periodic = one.tracks.values()
    assert [d.outcome for d in periodic.decisions].count("published") >= 1, periodic.decisions
    assert np.nanmean(periodic.losses[200:]) < np.nanmean(never.losses[200:])
