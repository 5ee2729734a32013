"""The step *referee* in Bytewax, over a real model store: loads aside, aborted and resumed."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import bytewax.operators as op
import numpy as np
import pytest
import structlog
from bytewax.dataflow import Dataflow
from bytewax.recovery import RecoveryConfig, init_db_dir
from bytewax.testing import TestingSink, TestingSource, run_main

from driftloop.messages import Event, ModelPublished, RetrainJudged, VersionOrdered
from driftloop.models import Encoding, ModelArtifact, ModelStore
from driftloop.monitor.artifacts import Artifacts, check
from driftloop.monitor.decide import DecideLogic
from driftloop.monitor.fleet import is_for_fleet
from driftloop.monitor.items import Control, Records, StreamName
from driftloop.monitor.referee import RefereeLogic, is_for_referee
from driftloop.monitor.test import TestLogic
from driftloop.monitor.track import TrackLogic
from driftloop.settings import Policy, Settings, StoreSettings
from tests.court import trained
from tests.streams import STREAM, frozen, make_profile, make_stream

PROFILE = make_profile(
    training={"watch": {"records": 300}}, policy=Policy(kind="never", detectors=[])
)
ROWS = make_stream(PROFILE, 4, 500, versions=(0, 60))
ROWS.y_pred = ROWS.y_pred + np.where(np.arange(500) >= 60, 1.5, 0.0)  # v2 is off
NAME = StreamName(STREAM, STREAM, "default")


def settings_of(folder: Path) -> Settings:
    return Settings(profiles={"default": PROFILE}, store=StoreSettings(uri=str(folder / "store")))


def saved(settings: Settings) -> ModelPublished:
    """The publication of v2, whose parent lies in the store."""
    encoding = Encoding.fit(
        ROWS.x, ROWS.categories, numeric=["a", "b"], categorical=["colour"], max_categories=8
    )
    inputs = encoding.encode(ROWS.x, ROWS.categories)
    design = np.column_stack([inputs, np.ones(len(inputs))])
    fit = np.linalg.lstsq(design, ROWS.y, rcond=None)[0]
    artifact = ModelArtifact(
        kind="linear",
        task="regression",
        stream=STREAM,
        version="v1",
        request_id="request-v1",
        encoding=encoding,
        weights={"weight.0": fit[:-1, None], "bias.0": fit[-1:]},
    )
    uri, sha256 = ModelStore(settings.store).save(STREAM, "v1", artifact)
    return trained("v2", "v1", parent_uri=uri, parent_sha256=sha256)


def items(event: ModelPublished) -> list[Any]:
    out: list[Any] = []
    for start in range(0, len(ROWS), 20):
        if start == 60:
            out.append((STREAM, Control(NAME, event)))
        rows = ROWS.select(slice(start, start + 20))
        out.append((STREAM, Records(NAME, rows, 1, 0)))
    return out


def flow_of(source: list[Any], out: list[tuple[str, Event]], settings: Settings) -> Dataflow:
    flow = Dataflow("referee-step")
    artifacts = Artifacts(settings.store, settings.monitor.store_patience.total_seconds())
    readable = op.input("in", flow, TestingSource(source))
    tracked = op.stateful_batch("track", readable, lambda state: TrackLogic(settings, state))
    ways = op.branch("on-trial", tracked, is_for_referee)
    judged = op.stateful_batch("test", ways.falses, lambda state: TestLogic(settings, state))
    refereed = op.stateful_batch(
        "referee", ways.trues, lambda state: RefereeLogic(settings, state, artifacts)
    )
    known = op.merge("known", judged, refereed)
    decided = op.stateful_batch("decide", known, lambda state: DecideLogic(settings, state))
    op.output("out", op.branch("fleet", decided, is_for_fleet).falses, TestingSink(out))
    return flow


def told(out: list[tuple[str, Event]]) -> dict[str, Any]:
    """Orders and entries of the ledger by id; each id means the same, however often it came."""
    found: dict[str, Any] = {}
    for _, event in out:
        if isinstance(event, VersionOrdered | RetrainJudged):
            assert found.setdefault(event.id, frozen(event)) == frozen(event)
    return found


def resumed(folder: Path, settings: Settings, event: ModelPublished, *aborts: int) -> Any:
    """Run to the end, aborted at these items; then once more, as a restart long afterwards."""
    init_db_dir(folder, 1)
    recovery = RecoveryConfig(str(folder))
    out: list[tuple[str, Event]] = []
    for at in (*aborts, None):
        source = items(event)
        if at is not None:
            source.insert(at, TestingSource.ABORT())
        run_main(
            flow_of(source, out, settings), epoch_interval=timedelta(0), recovery_config=recovery
        )
    return told(out)


def test_aborted_and_resumed_it_orders_the_same_rollback(tmp_path: Path) -> None:
    settings = settings_of(tmp_path)
    event = saved(settings)
    (tmp_path / "one").mkdir()
    (tmp_path / "two").mkdir()
    whole = resumed(tmp_path / "one", settings, event)
    cut = resumed(tmp_path / "two", settings, event, 6, 9, 13)
    assert [kind for kind, _ in whole.values()] == ["RetrainJudged", "VersionOrdered"]
    assert cut == whole


def test_a_trial_whose_records_are_all_there_waits_for_its_artifact_over_a_restart(
    tmp_path: Path,
) -> None:
    """The input has ended; the next start takes the trial up before any record comes."""
    settings = settings_of(tmp_path)
    event = saved(settings)
    store = tmp_path / "store"
    aside = tmp_path / "aside"
    store.rename(aside)
    recovery_folder = tmp_path / "recovery"
    recovery_folder.mkdir()
    init_db_dir(recovery_folder, 1)
    recovery = RecoveryConfig(str(recovery_folder))
    out: list[tuple[str, Event]] = []
    run_main(
        flow_of(items(event), out, settings),
        epoch_interval=timedelta(0),
        recovery_config=recovery,
    )
    assert not told(out)
    aside.rename(store)
    # Something has to keep the flow awake: another stream's records.
    other = StreamName("streams.b", "streams.b", "default")
    more = make_stream(PROFILE, 9, 4000)
    source = [
        ("streams.b", Records(other, more.select(slice(i, i + 4)), 1, 0)) for i in range(0, 4000, 4)
    ]
    run_main(
        flow_of([*items(event), *source], out, settings),
        epoch_interval=timedelta(0),
        recovery_config=recovery,
    )
    assert [kind for kind, _ in told(out).values()] == ["RetrainJudged", "VersionOrdered"]


def test_without_the_artifact_the_stream_goes_on_and_the_ledger_says_why(tmp_path: Path) -> None:
    settings = settings_of(tmp_path).model_copy(
        update={"monitor": Settings().monitor.model_copy(update={"store_patience": timedelta(0)})}
    )
    saved(settings)  # the store is there, and holds something else
    nowhere = str(tmp_path / "store" / "nowhere")
    event = trained("v2", "v1", parent_uri=nowhere, parent_sha256="0" * 64)
    out: list[tuple[str, Event]] = []
    source = items(event)
    source += [(STREAM, Records(NAME, ROWS.select(slice(i, i + 1)), 1, 0)) for i in range(400)]
    with structlog.testing.capture_logs() as logs:
        run_main(flow_of(source, out, settings))
    judged = [one for _, one in out if isinstance(one, RetrainJudged)]
    assert [one.verdict for one in judged] == ["unscored"]
    assert "no model.json lies at" in judged[0].detail
    assert not [one for _, one in out if isinstance(one, VersionOrdered)]
    warned = [log for log in logs if log["event"] == "monitor.artifact_unavailable"]
    assert [log["then"] for log in warned] == ["given up"]


@pytest.mark.parametrize("reachable", [True, False])
def test_the_start_says_that_the_store_cannot_be_read(tmp_path: Path, *, reachable: bool) -> None:
    uri = str(tmp_path) if reachable else "nowhere://models"
    settings = Settings(profiles={"default": PROFILE}, store=StoreSettings(uri=uri))
    with structlog.testing.capture_logs() as logs:
        check(settings)
    assert [log["event"] for log in logs] == ([] if reachable else ["monitor.store_unreachable"])
    silent = Settings(
        profiles={"default": make_profile(training={"watch": False})},
        store=StoreSettings(uri="nowhere://models"),
    )
    with structlog.testing.capture_logs() as logs:
        check(silent)
    assert not logs
