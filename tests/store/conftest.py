"""Fixtures of the store's tests: a real S3-compatible server, and stores in both kinds of place."""

from __future__ import annotations

import os
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from driftloop.errors import KafkaUnavailableError
from driftloop.settings import StoreSettings
from tests.required import REQUIRED
from tests.s3 import BUCKET, S3Server


@pytest.fixture(scope="session")
def s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    """A server for the whole session."""
    try:
        server = S3Server(tmp_path_factory.mktemp("s3"))
    except KafkaUnavailableError as error:
        if REQUIRED:
            raise
        pytest.skip(f"no S3 server: {error}")
    with server:
        yield server


class Place:
    """Where an empty store lies; called, it gives the settings of a store there.

    Attributes:
        folder: Where its files lie on this machine.
    """

    def __init__(self, uri: str, folder: Path, options: dict[str, Any]) -> None:
        self.folder = folder
        self._uri, self._options = uri, options

    def __call__(self, **changes: Any) -> StoreSettings:
        """Settings; `changes` replace `keep` and `grace`."""
        return StoreSettings(uri=self._uri, options=self._options, **changes)

    def backdate(self, seconds: float) -> None:
        """Make all that lies there older."""
        moment = time.time() - seconds
        for path in self.folder.rglob("*"):
            os.utime(path, (moment, moment))


@pytest.fixture(params=["local", "s3"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    """An empty store: in a folder, and in a bucket of the server."""
    if request.param == "local":
        return Place(str(tmp_path / "models"), tmp_path / "models", {})
    server: S3Server = request.getfixturevalue("s3")
    name = uuid.uuid4().hex
    return Place(f"s3://{BUCKET}/{name}", server.bucket / name, server.options())
