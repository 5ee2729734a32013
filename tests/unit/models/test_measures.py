"""Operations of the store are measured; those that fail are counted by what is wrong."""

from __future__ import annotations

from pathlib import Path

import pytest
from prometheus_client import REGISTRY

from driftloop.errors import ArtifactNotFoundError, StoreError
from driftloop.models import ModelStore
from driftloop.settings import StoreSettings


def _errors(operation: str, kind: str) -> float:
    labels = {"operation": operation, "kind": kind}
    return REGISTRY.get_sample_value("driftloop_store_errors_total", labels) or 0.0


def test_what_is_missing_is_told_from_a_store_that_is_away(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder")
    missing, away = _errors("load", "not-found"), _errors("probe", "unavailable")
    count = {"operation": "load"}
    loads = REGISTRY.get_sample_value("driftloop_store_operation_seconds_count", count) or 0.0
    with pytest.raises(ArtifactNotFoundError):
        ModelStore(StoreSettings(uri=str(tmp_path))).load(f"{tmp_path}/nothing", "0" * 64)
    with pytest.raises(StoreError):
        ModelStore(StoreSettings(uri=str(tmp_path / "file" / "below"))).probe()
    assert _errors("load", "not-found") == missing + 1
    assert _errors("probe", "unavailable") == away + 1
    after = REGISTRY.get_sample_value("driftloop_store_operation_seconds_count", count)
    assert after == loads + 1
