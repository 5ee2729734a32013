"""Names for the shell to complete, from the read model alone: no broker is asked."""

from __future__ import annotations

import contextlib
import sqlite3

from driftloop.errors import DriftloopError
from driftloop.readmodel import Queries, open_model
from driftloop.settings import load_settings

MOST = 200


def complete_stream(incomplete: str) -> list[str]:
    """Streams whose names begin so, as far as an earlier command has learnt them."""
    with contextlib.suppress(DriftloopError, sqlite3.Error, OSError):
        settings = load_settings()
        model = open_model(settings)
        try:
            if model.ready:
                page = Queries(model, settings).streams(
                    search=f"{incomplete}*", sort="stream", limit=MOST
                )
                return [row.stream for row in page.rows]
        finally:
            model.close()
    return []
