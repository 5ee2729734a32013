"""Model kinds by name: found, or refused with what is wrong and what to do."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from driftloop.errors import SettingsError
from driftloop.models import kind_faults, make_plugin
from driftloop.models.contract import ModelPlugin
from driftloop.models.formats import FORMATS
from driftloop.models.kinds import _made as made
from driftloop.models.kinds import is_plugin
from driftloop.settings import Profile
from driftloop.settings.kinds import BUILT_IN_KINDS, SHIPPED_KINDS, known_kinds
from tests.plugins import install


@pytest.fixture(autouse=True)
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The kinds of `tests.plugins`."""
    monkeypatch.syspath_prepend(install(tmp_path / "site"))
    known_kinds.cache_clear()
    made.cache_clear()
    yield
    known_kinds.cache_clear()
    made.cache_clear()


def profile(kind: str, task: str = "regression", **params: Any) -> Profile:
    loss = "squared" if task == "regression" else "log_loss"
    classes = ["a", "b", "c"] if task == "multiclass" else []
    model = {"kind": kind, "params": params}
    return Profile.model_validate({"task": task, "loss": loss, "classes": classes, "model": model})


def told(kind: str, task: str = "regression", **params: Any) -> list[str]:
    return [str(fault) for fault in kind_faults({"p": profile(kind, task, **params)})]


@pytest.mark.parametrize("name", SHIPPED_KINDS)
def test_a_shipped_kind_keeps_to_the_contract(name: str) -> None:
    plugin: ModelPlugin = make_plugin(name)
    assert plugin.name == name
    assert plugin.format in FORMATS
    assert not set(SHIPPED_KINDS) & set(BUILT_IN_KINDS)
    for task in plugin.tasks:
        assert told(name, task) == []


def test_a_kind_of_another_package_is_found_and_made_once() -> None:
    assert "centre" in known_kinds()
    assert is_plugin("centre")
    assert make_plugin("centre") is make_plugin("centre")
    assert told("centre", shift=1.0) == []


def test_what_is_wrong_with_each_kind_is_told_and_the_others_stand() -> None:
    """A broken plug-in is named; the sound one beside it has no fault."""
    names = ["centre", "no-format", "no-task", "no-fit", "check-fails", "unmade", "absent"]
    faults = kind_faults({name: profile(name) for name in names})
    found = {fault.place: str(fault) for fault in faults}
    assert not [place for place in found if place.startswith("profiles.centre")]
    assert "format is 'pickle'" in found["profiles.no-format.model.kind"]
    assert "tasks are ['ranking']" in found["profiles.no-task.model.kind"]
    assert "no tasks, format, check, fit" in found["profiles.no-fit.model.kind"]
    assert "ZeroDivisionError: by zero" in found["profiles.check-fails.model.params"]
    assert "OSError: no licence" in found["profiles.unmade.model.kind"]
    assert "Absent" in found["profiles.absent.model.kind"]
    assert len(found) == 6


def test_an_unknown_kind_is_told_with_those_that_are_near() -> None:
    (text,) = told("sklearn_rigde")
    assert text.startswith("profiles.p.model.kind: a model kind that is known here")
    assert "did you mean 'sklearn_ridge'" in text
    (text,) = told("zzz")
    assert "linear, mlp_classifier, mlp_regressor" in text
    with pytest.raises(SettingsError, match="its package installed"):
        make_plugin("zzz")


def test_params_and_task_are_held_against_the_kind() -> None:
    texts = told("sklearn_ridge", "binary", alfa=1.0)
    assert "a kind that fits task binary" in texts[0]
    assert "alfa is not among alpha" in texts[1]
    (text,) = told("sklearn_lasso", alpha=-1.0)
    assert "must be a float in the range [0.0, inf)" in text
    (text,) = told("xgboost", max_depth=-3)
    assert "max_depth" in text
    (text,) = told("xgboost", n_estimators=0)
    assert "n_estimators must be a whole number" in text


@pytest.mark.parametrize(
    ("kind", "package", "extra"),
    [("xgboost", "xgboost", "xgboost"), ("sklearn_ridge", "sklearn", "sklearn")],
)
def test_a_missing_package_is_told_with_the_command_that_installs_it(
    kind: str, package: str, extra: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    made.cache_clear()
    monkeypatch.delitem(sys.modules, f"driftloop.models.plugins.{extra}", raising=False)
    monkeypatch.setitem(sys.modules, package, None)
    (text,) = told(kind)
    assert text.startswith("profiles.p.model.kind: a kind whose package is installed")
    assert f"pip install 'driftloop[{extra}]'" in text


def test_params_of_a_built_in_kind_are_refused() -> None:
    with pytest.raises(ValueError, match="takes the keys of its table"):
        profile("linear", l2=1.0)
