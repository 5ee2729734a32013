"""Who ordered what, and what came of it."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Request
from fastapi.responses import Response

from driftloop.dashboard.context import Shared

router = APIRouter()

ROWS = 200


@router.get("/audit")
def audit(
    request: Request,
    shared: Shared,
    stream: Annotated[str, Query(max_length=300)] = "",
    who: Annotated[str, Query(max_length=300)] = "",
) -> Response:
    """Commands, newest first."""
    if not shared.live.ready:
        return shared.page(request, "building.html")
    rows = shared.queries.commands(stream=stream.strip(), who=who.strip(), limit=ROWS)
    return shared.page(
        request, "audit.html", rows=rows, most=ROWS, chosen={"stream": stream, "who": who}
    )
