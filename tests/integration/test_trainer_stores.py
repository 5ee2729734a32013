"""The store is read-only, slow, silent, down or gone while a trainer works: it says so, goes on."""

from __future__ import annotations

import os
import shutil
import threading
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from driftloop.errors import KafkaUnavailableError
from driftloop.kafka.groups import group_members
from driftloop.messages import RetrainRequested
from driftloop.models import ModelStore
from driftloop.settings import Settings, StoreSettings
from driftloop.trainer import work
from driftloop.trainer.service import TrainerService
from tests.integration.trainer_rig import TrainerRig, end, until
from tests.required import REQUIRED
from tests.s3 import BUCKET, S3Server

_UNPRIVILEGED = ("setpriv", "--bounding-set=-dac_override,-dac_read_search")
"""Without these, root too may write only where the mode of a folder says so."""


@pytest.fixture
def rig(tmp_path: Path, kafka_bootstrap: str) -> Iterator[TrainerRig]:
    """A trainer's surroundings, cleaned afterwards."""
    made = TrainerRig(tmp_path, kafka_bootstrap)
    yield made
    made.clean()


@pytest.fixture
def s3(tmp_path: Path) -> Iterator[S3Server]:
    """A server of the test's own."""
    try:
        server = S3Server(tmp_path / "s3")
    except KafkaUnavailableError as error:
        if REQUIRED:
            raise
        pytest.skip(f"no S3 server: {error}")
    with server:
        yield server


def _in_bucket(rig: TrainerRig, server: S3Server, seconds: int) -> Settings:
    """The rig's settings with a store in the bucket, which may take so long for an answer."""
    limits = {"connect_timeout": seconds, "read_timeout": seconds}
    store = StoreSettings(
        uri=f"s3://{BUCKET}/{uuid.uuid4().hex}", options=server.options(config_kwargs=limits)
    )
    return rig.settings.model_copy(update={"store": store})


@contextmanager
def _serving(settings: Settings) -> Iterator[TrainerService]:
    """One trainer for the whole block, which must outlive all that happens in it."""
    service = TrainerService(settings)
    thread = threading.Thread(target=service.run)
    thread.start()
    try:
        yield service
        assert thread.is_alive()
    finally:
        service.stop()
        thread.join(60)
    assert not thread.is_alive()


def _first(monkeypatch: pytest.MonkeyPatch, owner: Any, name: str, fault: Callable[[], Any]) -> Any:
    """Let something happen just before a function is called for the first time."""
    original = getattr(owner, name)
    happened: list[None] = []

    def call(*arguments: Any, **options: Any) -> Any:
        if not happened:
            happened.append(None)
            fault()
        return original(*arguments, **options)

    monkeypatch.setattr(owner, name, call)
    return happened


def _send(rig: TrainerRig, name: str, seed: int, version: str | None = None) -> RetrainRequested:
    """Ask for a model of records that no other request names."""
    topic, data = rig.stream(f"streams.{name}", 120, seed=seed, slope=1.0 + seed)
    return rig.request(topic, data, version=version)


def _ask(rig: TrainerRig, name: str, seed: int, version: str | None = None) -> RetrainRequested:
    """Likewise, and wait for its outcome."""
    request = _send(rig, name, seed, version)
    rig.wait_for([request], 90)
    return request


def _retried(logs: list[Any]) -> list[str]:
    """Why rounds were given back."""
    return [one["why"] for one in logs if one["event"] == "trainer.batch_retried"]


def _ends(rig: TrainerRig, request: RetrainRequested) -> tuple[str, str]:
    found = rig.outcome(request)
    return found.outcome, found.reason


def _whole(rig: TrainerRig, settings: StoreSettings, names: list[str]) -> None:
    """Exactly these versions are published, and each of them is whole."""
    store = ModelStore(settings)
    models = rig.models()
    assert sorted(one.version for one in models) == names
    for one in models:
        assert store.load(one.uri, one.sha256).request_id == one.request_id


def test_a_store_that_becomes_read_only_fails_what_is_asked_meanwhile(rig: TrainerRig) -> None:
    root = os.geteuid() == 0
    if root and shutil.which(_UNPRIVILEGED[0]) is None:
        pytest.skip("root may write everywhere, and setpriv is missing")
    process = rig.start(through=_UNPRIVILEGED if root else ())
    try:
        first = _ask(rig, "a", 0)
        folders = [rig.store, *(one for one in rig.store.rglob("*") if one.is_dir())]
        for folder in folders:
            folder.chmod(0o555)
        refused = [_ask(rig, "a", 1, "v1"), _ask(rig, "b", 2)]
        for folder in folders:
            folder.chmod(0o755)
        again = _ask(rig, "a", 3, "v1")
    finally:
        assert end(process) == 0, rig.log
    assert _ends(rig, first) == ("published", "")
    for request in refused:
        assert _ends(rig, request) == ("failed", "store-unwritable")
        assert "Permission denied; give the trainer's user" in rig.outcome(request).detail
    assert rig.outcome(again).version == "v2"
    _whole(rig, rig.settings.store, ["v1", "v2"])
    assert rig.log.count("trainer.started") == 1


def test_a_store_that_leaves_in_training_is_not_made_anew_and_its_request_waits(
    rig: TrainerRig, monkeypatch: pytest.MonkeyPatch
) -> None:
    aside = rig.folder / "aside"
    with _serving(rig.settings):
        _ask(rig, "a", 0)
        gone = _first(monkeypatch, work, "fit_each", lambda: rig.store.rename(aside))
        with capture_logs() as logs:
            second = _send(rig, "a", 1, "v1")
            until(lambda: len(_retried(logs)) > 1, 180)
        assert gone
        assert all("mount or restore it" in why for why in _retried(logs))
        assert not rig.store.exists(), "nothing is made in its place"
        assert len(rig.trainings()) == 1
        aside.rename(rig.store)
        rig.wait_for([second], 60)
    assert _ends(rig, second) == ("published", "")
    _whole(rig, rig.settings.store, ["v1", "v2"])


def test_a_version_that_is_gone_from_a_store_that_is_there_ends_its_request(
    rig: TrainerRig,
) -> None:
    with _serving(rig.settings):
        for name in "ab":
            _ask(rig, name, 0)
        (lost,) = (one for one in rig.models() if one.stream.endswith("streams.a"))
        shutil.rmtree(lost.uri.removeprefix("file://"))
        asked = _ask(rig, "a", 1, "v1")
    assert _ends(rig, asked) == ("failed", "champion-missing")
    assert "tombstone" in rig.outcome(asked).detail


def test_a_new_store_that_vanishes_while_its_first_version_is_written_gets_it_whole(
    rig: TrainerRig, monkeypatch: pytest.MonkeyPatch
) -> None:
    with _serving(rig.settings):
        gone = _first(monkeypatch, os, "fsync", lambda: shutil.rmtree(rig.store))
        request = _ask(rig, "a", 0)
        assert gone
    assert _ends(rig, request) == ("published", "")
    _whole(rig, rig.settings.store, ["v1"])
    assert not list(rig.store.rglob(".aside*"))


def test_a_slow_store_costs_the_trainer_neither_its_partitions_nor_the_request(
    rig: TrainerRig, s3: S3Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It answers nothing for longer than a member of the group may be silent."""
    settings = _in_bucket(rig, s3, 60)
    group = settings.trainer.group
    with _serving(settings) as service:
        first = _ask(rig, "a", 0)
        member = service.member
        begun = threading.Event()
        _first(monkeypatch, ModelStore, "save", lambda: (s3.freeze(), begun.set()))
        topic, data = rig.stream("streams.a", 120, seed=1, slope=5.0)
        slow = rig.request(topic, data, version="v1")
        try:
            assert begun.wait(60)
            assert not threading.Event().wait(12.0)  # the fault's own length
            assert member in group_members(rig.client, group).values()
            assert len(rig.trainings()) == 1
        finally:
            s3.thaw()
        rig.wait_for([slow], 60)
        assert service.member == member
    assert [_ends(rig, one) for one in (first, slow)] == [("published", "")] * 2
    _whole(rig, settings.store, ["v1", "v2"])


@pytest.mark.parametrize("fault", [pytest.param("silent", marks=pytest.mark.slow), "down"])
def test_a_store_that_stops_answering_in_training_is_waited_for_and_fails_nothing(
    rig: TrainerRig, s3: S3Server, monkeypatch: pytest.MonkeyPatch, fault: str
) -> None:
    settings = _in_bucket(rig, s3, 1)
    stop, back = (s3.freeze, s3.thaw) if fault == "silent" else (s3.stop, s3.start)
    with _serving(settings):
        _ask(rig, "a", 0)
        stopped = _first(monkeypatch, work, "fit_each", stop)
        with capture_logs() as logs:
            unsaved = _send(rig, "a", 1, "v1")
            until(lambda: bool(_retried(logs)), 180)
            assert stopped
            unread = _send(rig, "b", 2)
            until(lambda: len(_retried(logs)) > 1, 180)
        assert all("look whether the store answers" in why for why in _retried(logs))
        assert len(rig.trainings()) == 1, "nothing is decided while the store is away"
        back()
        rig.wait_for([unsaved, unread], 90)
    assert [_ends(rig, one) for one in (unsaved, unread)] == [("published", "")] * 2
    _whole(rig, settings.store, ["v1", "v1", "v2"])
