"""Shifts that many streams share."""

from __future__ import annotations

from fastapi import APIRouter, Request
from fastapi.responses import Response

from driftloop.dashboard.context import Shared

router = APIRouter()


@router.get("/incidents")
def incidents(request: Request, shared: Shared) -> Response:
    """Incidents, the open ones first."""
    if not shared.live.ready:
        return shared.page(request, "building.html")
    rows = shared.queries.incidents(limit=100)
    rows.sort(key=lambda one: (one.closed_at is not None, -one.opened_at))
    return shared.page(request, "incidents.html", rows=rows)
