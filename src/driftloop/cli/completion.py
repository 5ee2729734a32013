"""Names for the shell to complete, without asking any broker."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterable

from driftloop.errors import DriftloopError
from driftloop.settings import load_settings

MOST = 200


def complete_stream(incomplete: str) -> list[str]:
    """Streams whose names begin so, as far as an earlier command has learnt them."""
    from driftloop.readmodel import Queries, open_model  # noqa: PLC0415  # only to complete

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


def complete_need(incomplete: str) -> list[str]:
    """Needs of a stream that begin so."""
    from driftloop.readmodel.need import NAMES  # noqa: PLC0415  # only to complete

    return _of(("any", *NAMES), incomplete)


def complete_state(incomplete: str) -> list[str]:
    """States of a stream that begin so."""
    from driftloop.cli.view import STATES  # noqa: PLC0415  # only to complete

    return _of(STATES, incomplete)


def complete_type(incomplete: str) -> list[str]:
    """Short names of event types that begin so."""
    from driftloop.messages import EVENT_TYPES  # noqa: PLC0415  # only to complete

    short = (kind.removeprefix("driftloop.").removesuffix(".v1") for kind in EVENT_TYPES)
    return _of(short, incomplete)


def complete_part(incomplete: str) -> list[str]:
    """Parts of Driftloop whose needs can be looked at and whose names begin so."""
    from driftloop.kafka.rights import PARTS  # noqa: PLC0415  # only to complete

    return _of(PARTS, incomplete)


def _of(names: Iterable[str], incomplete: str) -> list[str]:
    return [name for name in names if name.startswith(incomplete)]
