"""Whether tests that need a service must run: in CI, and where the environment says so."""

from __future__ import annotations

import os

REQUIRED = any(
    os.environ.get(name, "").lower() in {"1", "true"} for name in ("CI", "DRIFTLOOP_REQUIRE_KAFKA")
)
