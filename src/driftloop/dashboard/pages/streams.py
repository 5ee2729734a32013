"""All streams: searched, filtered, sorted and paged by the read model."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Request
from fastapi.responses import Response

from driftloop.dashboard.context import Shared
from driftloop.dashboard.words import NEEDS, STATES
from driftloop.readmodel import SORTS
from driftloop.readmodel.trends import profiles, sparks

router = APIRouter()

ROWS = 50
COLUMNS = (
    ("stream", "Stream", ""),
    ("state", "State", ""),
    ("", "Model", ""),
    ("need", "Needs a person", ""),
    ("loss", "Loss", "number"),
    ("ratio", "Against reference", "number"),
    ("baseline", "Against trivial", "number"),
    ("", "Newest windows", ""),
    ("retrains", "Retrains", "number"),
    ("saved", "Saved", "number"),
    ("records", "Records", "number"),
    ("event_time", "Newest record", "number"),
)
"""Sort, heading and class of each column; an empty sort: it is not sorted by."""


@router.get("/streams")
def streams(
    request: Request,
    shared: Shared,
    search: Annotated[str, Query(max_length=300)] = "",
    state: str = "",
    profile: str = "",
    need: str = "",
    sort: str = "need",
    down: Annotated[str, Query(pattern="^(|0|1)$")] = "",
    page: Annotated[int, Query(ge=1, le=100_000)] = 1,
) -> Response:
    """A page of streams."""
    if not shared.live.ready:
        return shared.page(request, "building.html")
    sort = sort if sort in SORTS else "need"
    found = shared.queries.streams(
        search=search.strip(),
        state=state if state in STATES else "",
        profile=profile,
        need=need if need in NEEDS or need == "any" else "",
        sort=sort,
        reverse=down == "1",
        limit=ROWS,
        offset=(page - 1) * ROWS,
    )
    pages = max(1, -(-found.total // ROWS))
    return shared.page(
        request,
        "streams.html",
        found=found,
        lines=sparks(shared.model, [one.stream for one in found.rows]),
        current=shared.queries.current([one.stream for one in found.rows]),
        columns=COLUMNS,
        sort=sort,
        turned=down == "1",
        page=page,
        pages=pages,
        first=(page - 1) * ROWS + 1,
        states=STATES,
        needs=NEEDS,
        profiles=profiles(shared.model),
        chosen={"search": search, "state": state, "profile": profile, "need": need},
    )
