"""Whether tests that need a service must run: in CI, and where the environment says so.

`tests/conftest.py` says the same by itself: it is also run alone, by a test.
"""

from __future__ import annotations

import os

REQUIRED = any(
    os.environ.get(name, "").lower() in {"1", "true"} for name in ("CI", "DRIFTLOOP_REQUIRE_KAFKA")
)
