"""Prometheus and its promtool, for tests that ask the real ones."""

from __future__ import annotations

import os
import shutil

import pytest

REQUIRED = os.environ.get("DRIFTLOOP_REQUIRE_PROMETHEUS", "").lower() in {"1", "true"}
"""Whether a test that finds none fails; .ci/run says so."""


def needed(program: str) -> str:
    """Path of ``prometheus`` or ``promtool``; without it the test is skipped, and says why."""
    found = shutil.which(program)
    if found is None:
        told = f"{program} is not installed (Debian: apt-get install prometheus)"
        if REQUIRED:
            pytest.fail(told)
        pytest.skip(told)
    return found
