"""What only an object store can do wrong, on a real S3-compatible server."""

from __future__ import annotations

import subprocess
import sys
import uuid
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from driftloop.cli.trainer import check_store
from driftloop.errors import SettingsError, StoreError
from driftloop.models import ModelStore, files
from driftloop.models.retention import Held
from driftloop.settings import StoreSettings
from tests.artifacts import artifact
from tests.s3 import BUCKET, SECRET, S3Server


def _settings(server: S3Server, bucket: str = BUCKET, **changes: Any) -> StoreSettings:
    return StoreSettings(uri=f"s3://{bucket}/{uuid.uuid4().hex}", options=server.options(**changes))


def test_wrong_credentials_are_told_with_what_to_look_at(s3: S3Server) -> None:
    right = _settings(s3)
    uri, digest = ModelStore(right).save("s", "v1", artifact())
    wrong = right.model_copy(update={"options": s3.options(secret="wrong")})  # noqa: S106
    store = ModelStore(wrong)
    calls = [
        store.probe,
        lambda: store.save("s", "v2", artifact()),
        lambda: store.load(uri, digest),
        lambda: store.versions("s"),
        store.streams,
    ]
    for call in calls:
        with pytest.raises(StoreError, match=r"credentials in store\.options") as caught:
            call()
        assert "wrong" not in str(caught.value)
        assert SECRET not in str(caught.value)


def test_a_bucket_that_is_not_there_is_named(s3: S3Server) -> None:
    store = ModelStore(_settings(s3, bucket="nowhere"))
    for call in (store.probe, lambda: store.save("s", "v1", artifact())):
        with pytest.raises(StoreError, match=r"make nowhere, or choose another store\.uri"):
            call()


def test_a_server_that_goes_down_in_the_middle_is_told_and_work_goes_on_when_it_is_back(
    s3: S3Server, tmp_path: Path
) -> None:
    del s3  # the jars are there
    server = S3Server(tmp_path)
    once = {"connect_timeout": 2, "read_timeout": 2, "retries": {"total_max_attempts": 1}}
    with server:
        store = ModelStore(_settings(server, config_kwargs=once))
        uri, digest = store.save("s", "v1", artifact())
    calls = [
        store.probe,
        lambda: store.save("s", "v2", artifact(version="v2")),
        lambda: store.load(uri, digest),
        lambda: store.versions("s"),
        lambda: store.prune("s", Held()),
    ]
    for call in calls:
        with pytest.raises(StoreError, match="look whether the store answers"):
            call()
    with server:
        assert store.load(uri, digest).version == "v1"
        second = store.save("s", "v2", artifact(version="v2"))
        assert store.load(*second).version == "v2"
        assert [one.version for one in store.versions("s")] == ["v2", "v1"]


def test_a_server_that_is_down_does_not_keep_a_trainer_from_starting_and_a_mistake_does(
    s3: S3Server, tmp_path: Path
) -> None:
    for wrong in (_settings(s3, bucket="nowhere"), _settings(s3, secret="wrong")):  # noqa: S106
        with pytest.raises(SettingsError, match="a place where models can be written"):
            check_store(wrong)
    once = {"connect_timeout": 2, "read_timeout": 2}
    down = _settings(S3Server(tmp_path), config_kwargs=once)
    with capture_logs() as logs:
        check_store(down)
    assert [one["event"] for one in logs] == ["trainer.store_unwritable"]


def test_one_client_alone_asks_again_unless_the_options_say_otherwise() -> None:
    """Five tries of five tries each, of 15 s, would hold a trainer for minutes at every call."""
    for given in ({}, {"read_timeout": 3}, {"retries": {"total_max_attempts": 4}}):
        fs, _ = files.open_place(f"s3://{BUCKET}/a", {"config_kwargs": given})
        assert fs.config_kwargs == {"retries": {"total_max_attempts": 1}, **given}


def test_a_missing_package_is_named_with_its_extra() -> None:
    """In a process of its own: fsspec remembers what was imported before."""
    code = (
        "import sys; sys.modules['s3fs'] = None\n"
        "from driftloop.models import ModelStore\n"
        "from driftloop.settings import StoreSettings\n"
        "ModelStore(StoreSettings(uri='s3://bucket/models'))"
    )
    ended = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=60
    )
    assert ended.returncode == 1
    assert "StoreError" in ended.stderr
    assert "pip install 'driftloop[s3]'" in ended.stderr
