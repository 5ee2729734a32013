"""Every retrain and order with what came of it, and the ledger: was it worth it?"""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Request
from fastapi.responses import Response

from driftloop.dashboard.context import Shared
from driftloop.readmodel.trends import ledger

router = APIRouter()

ROWS = 50
OUTCOMES = ("waiting", "published", "rejected", "failed", "superseded")
VERDICTS = ("better", "undecided", "worse", "unscored")
KINDS = {"retrain": "retrains", "rollback": "rollbacks", "promote": "promotions"}


@router.get("/trainings")
def trainings(
    request: Request,
    shared: Shared,
    stream: Annotated[str, Query(max_length=300)] = "",
    outcome: str = "",
    verdict: str = "",
    kind: str = "",
    page: Annotated[int, Query(ge=1, le=100_000)] = 1,
) -> Response:
    """A page of trainings, newest first."""
    if not shared.live.ready:
        return shared.page(request, "building.html")
    rows = shared.queries.requests(
        stream=stream.strip(),
        outcome=outcome if outcome in OUTCOMES else "",
        verdict=verdict if verdict in VERDICTS else "",
        kind=kind if kind in KINDS else "",
        limit=ROWS + 1,
        offset=(page - 1) * ROWS,
    )
    found = shared.memo("fleet", shared.queries.fleet)
    return shared.page(
        request,
        "trainings.html",
        rows=rows[:ROWS],
        more=len(rows) > ROWS,
        page=page,
        fleet=found,
        ledger=shared.memo("ledger", lambda: ledger(shared.model)),
        outcomes=OUTCOMES,
        verdicts=VERDICTS,
        kinds=KINDS,
        chosen={"stream": stream, "outcome": outcome, "verdict": verdict, "kind": kind},
    )
