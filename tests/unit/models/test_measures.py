"""Operations of the store are measured; those that fail are counted by what is wrong."""

from __future__ import annotations

from pathlib import Path

import pytest
from prometheus_client import REGISTRY

from driftloop.errors import ArtifactNotFoundError, StoreError, StoreUnavailableError
from driftloop.models import ModelStore
from driftloop.settings import StoreSettings


def _errors(operation: str, kind: str) -> float:
    labels = {"operation": operation, "kind": kind}
    return REGISTRY.get_sample_value("driftloop_store_errors_total", labels) or 0.0


def test_failures_are_told_apart(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder")
    missing, refused = _errors("load", "not-found"), _errors("probe", "refused")
    away = _errors("expect", "unavailable")
    count = {"operation": "load"}
    loads = REGISTRY.get_sample_value("driftloop_store_operation_seconds_count", count) or 0.0
    with pytest.raises(ArtifactNotFoundError):
        ModelStore(StoreSettings(uri=str(tmp_path))).load(f"{tmp_path}/nothing", "0" * 64)
    with pytest.raises(StoreError):
        ModelStore(StoreSettings(uri=str(tmp_path / "file" / "below"))).probe()
    gone = tmp_path / "gone"
    with pytest.raises(StoreUnavailableError):
        ModelStore(StoreSettings(uri=str(gone))).expect([f"file://{gone}/s/v1"])
    assert _errors("load", "not-found") == missing + 1
    assert _errors("probe", "refused") == refused + 1
    assert _errors("expect", "unavailable") == away + 1
    after = REGISTRY.get_sample_value("driftloop_store_operation_seconds_count", count)
    assert after == loads + 1
