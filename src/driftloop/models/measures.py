"""Prometheus metrics of the model store, in whichever part uses it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from prometheus_client import Counter, Histogram

from driftloop.errors import (
    ArtifactCorruptedError,
    ArtifactNotFoundError,
    StoreError,
    StoreUnavailableError,
)

SECONDS = Histogram(
    "driftloop_store_operation_seconds",
    "Time that reading or writing an artifact took, failed or not.",
    ["operation"],
    buckets=(0.003, 0.01, 0.03, 0.1, 0.3, 1, 3, 10, 30, 100),
)
ERRORS = Counter(
    "driftloop_store_errors",
    "Failed operations: `unavailable` (the store is away), `refused`, `not-found`, `corrupted`.",
    ["operation", "kind"],
)
for _operation in ("load", "save", "probe", "reach", "expect"):
    for _named in ("unavailable", "refused", "not-found", "corrupted"):
        ERRORS.labels(_operation, _named)  # from 0 on: the first one is an increase too


@contextmanager
def measured(operation: str) -> Iterator[None]:
    """Measure one operation, and count it if it fails; the error goes on."""
    try:
        with SECONDS.labels(operation).time():
            yield
    except StoreError as error:
        ERRORS.labels(operation, _kind(error)).inc()
        raise


_KINDS: tuple[tuple[type[StoreError], str], ...] = (
    (StoreUnavailableError, "unavailable"),
    (ArtifactNotFoundError, "not-found"),
    (ArtifactCorruptedError, "corrupted"),
)


def _kind(error: StoreError) -> str:
    return next((name for kind, name in _KINDS if isinstance(error, kind)), "refused")
