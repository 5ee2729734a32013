"""A plug-in's version in the monitor: one that cannot be opened or predict costs no stream."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from driftloop.detection.outputs import Trial
from driftloop.models import Encoding, ModelArtifact
from driftloop.models.formats import FORMATS
from driftloop.models.kinds import _made as made
from driftloop.models.payload import Payload
from driftloop.monitor.artifacts import Artifacts
from driftloop.settings import Features, Profile, StoreSettings
from driftloop.settings.kinds import known_kinds
from driftloop.trials import Missing
from tests.plugins import install
from tests.streams import make_columns

PROFILE = Profile(features=Features(numeric=["a"]))


@pytest.fixture(autouse=True)
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The kinds of `tests.plugins` are installed."""
    monkeypatch.syspath_prepend(install(tmp_path / "site"))
    known_kinds.cache_clear()
    made.cache_clear()
    yield
    known_kinds.cache_clear()
    made.cache_clear()


def answer(kind: str) -> Any:
    """What the monitor gets for a version of that kind, once it is loaded or given up."""
    content = FORMATS["safetensors"].dump({"mean": np.array([5.0])})
    artifact = ModelArtifact(
        kind=kind,
        task="regression",
        stream="s",
        version="v1",
        request_id="r",
        encoding=Encoding.names_only(["a"], []),
        weights={},
        payload=Payload(kind, "safetensors", content, {}),
    )
    kept = Artifacts(StoreSettings(), 0.0, load=lambda _uri, _sha: artifact)
    trial = Trial("watch", "v2", "v1", "uri", "sha256", "r", 1.0, "cpu")
    kept.ask(trial, PROFILE)
    (request,) = kept._requests.values()
    assert request.future is not None
    request.future.exception(60)
    return kept.ask(trial, PROFILE)


def test_its_predictions_are_those_of_the_plugin() -> None:
    rows = make_columns(PROFILE, [1.0, 2.0])
    assert answer("centre")(rows).tolist() == [5.0, 5.0]


def test_a_kind_that_is_not_installed_is_missing_with_what_to_install() -> None:
    found = answer("zzz")
    assert isinstance(found, Missing)
    assert "its package installed" in str(found)


def test_one_that_raises_gives_no_number_and_no_error() -> None:
    rows = make_columns(PROFILE, [1.0, 2.0])
    assert np.isnan(answer("raises-later")(rows)).all()
