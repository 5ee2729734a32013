"""Artifacts of trials: loaded aside, tried again, kept within bounds, refused in words."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from driftloop.detection.outputs import Trial
from driftloop.errors import StoreError
from driftloop.models import Encoding, ModelArtifact
from driftloop.monitor import artifacts as module
from driftloop.monitor.artifacts import Artifacts
from driftloop.settings import StoreSettings
from driftloop.trials import Missing
from tests.streams import make_columns, make_profile

PROFILE = make_profile(features={"numeric": ["a", "b"]})


def artifact(numeric: tuple[str, ...] = ("a", "b")) -> ModelArtifact:
    width = len(numeric)
    return ModelArtifact(
        kind="linear",
        task="regression",
        stream="s",
        version="v1",
        request_id="r",
        encoding=Encoding(
            numeric=numeric,
            categorical=(),
            mean=np.zeros(width),
            scale=np.ones(width),
            vocabulary=(),
        ),
        weights={"weight.0": np.ones((width, 1)), "bias.0": np.zeros(1)},
    )


def trial(uri: str) -> Trial:
    return Trial("watch", "v2", "v1", uri, "hash", "r", 0.0, "cpu")


class Shelf:
    """A store whose loads are let through one by one, and a clock."""

    def __init__(self, *answers: Any, patience: float = 60.0) -> None:
        self.answers = list(answers)
        self.loads: list[str] = []
        self.now = 0.0
        self.artifacts = Artifacts(StoreSettings(), patience, self.load, lambda: self.now)

    def load(self, uri: str, sha256: str) -> ModelArtifact:
        del sha256
        self.loads.append(uri)
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer() if callable(answer) else answer

    def ask(self, uri: str = "a") -> Any:
        """Ask, and see that what was begun is finished before the answer is looked at."""
        answer = self.artifacts.ask(trial(uri), PROFILE)
        request = self.artifacts._requests.get((uri, "hash"))
        if request is not None and request.future is not None:
            request.future.exception(10)
            return self.artifacts.ask(trial(uri), PROFILE)
        return answer


def test_an_artifact_is_loaded_once_and_predicts() -> None:
    shelf = Shelf(artifact())
    predict = shelf.ask()
    rows = make_columns(PROFILE, [0.0, 1.0], x=[[1.0, 2.0], [3.0, 4.0]])
    assert predict(rows).tolist() == [3.0, 7.0]
    assert callable(shelf.ask())
    assert shelf.loads == ["a"]


def test_nobody_waits_for_a_load() -> None:
    gate = threading.Event()
    found = artifact()

    def slow() -> ModelArtifact:
        assert gate.wait(30)
        return found

    shelf = Shelf(slow)
    assert shelf.artifacts.ask(trial("a"), PROFILE) is None
    assert shelf.artifacts.ask(trial("a"), PROFILE) is None
    gate.set()
    assert callable(shelf.ask())
    assert shelf.loads == ["a"]


def test_a_load_that_fails_is_tried_again_ever_more_rarely_and_then_given_up() -> None:
    shelf = Shelf(*[StoreError(f"no {i}") for i in range(5)], patience=4.0)
    assert shelf.ask() is None
    times = [0.0]
    while shelf.now < 20:
        shelf.now += 0.25
        before = len(shelf.loads)
        answer = shelf.ask()
        times += [shelf.now] * (len(shelf.loads) - before)
        if answer is not None:
            break
    assert answer == Missing("no 3")
    assert times == [0.0, 0.5, 1.5, 3.5]


def test_what_was_given_up_is_asked_again_for_the_next_trial() -> None:
    shelf = Shelf(StoreError("away"), artifact(), patience=0.0)
    assert shelf.ask() == Missing("away")
    assert callable(shelf.ask())


def test_an_artifact_of_other_features_is_refused_in_words() -> None:
    answer = Shelf(artifact(("a",))).ask()
    assert isinstance(answer, Missing)
    assert "other features than the profile names" in answer.detail


def test_what_is_kept_is_bounded_by_the_bytes_of_weights(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "KEPT_BYTES", 2 * 24)  # each has three weights of 8 bytes
    shelf = Shelf(*[artifact() for _ in range(4)])
    for uri in "abc":
        assert callable(shelf.ask(uri))
    assert callable(shelf.ask("c"))
    assert shelf.loads == ["a", "b", "c"]
    assert callable(shelf.ask("a"))
    assert shelf.loads == ["a", "b", "c", "a"]


def test_without_safetensors_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    absent: Callable[[str], None] = lambda _: None  # noqa: E731
    monkeypatch.setattr(module, "find_spec", absent)
    answer = Artifacts(StoreSettings(), 60.0).ask(trial("a"), PROFILE)
    assert isinstance(answer, Missing)
    assert "pip install 'driftloop[scorer]'" in answer.detail
