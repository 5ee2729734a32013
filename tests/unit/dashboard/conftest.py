"""Closes the read models that tests have opened."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.dashboard import OPENED


@pytest.fixture(autouse=True)
def _closed() -> Iterator[None]:
    yield
    while OPENED:
        OPENED.pop().close()
