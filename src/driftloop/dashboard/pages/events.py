"""One event: what it says, and its explanation, computed when it is asked for."""

from __future__ import annotations

import json
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import Response

from driftloop.dashboard.context import Context, Shared
from driftloop.dashboard.jobs import Job
from driftloop.dashboard.story import Story, story_of
from driftloop.explain import explain, page
from driftloop.readmodel.rows import EventRow, WindowRow

router = APIRouter()

EXPLAINED = "driftloop.retrain.requested.v1"


@router.get("/events/{prefix}")
def event(request: Request, shared: Shared, prefix: str) -> Response:
    """The page of an event."""
    if not shared.live.ready:
        return shared.page(request, "building.html")
    found = shared.queries.event(prefix)
    window = None if found else shared.queries.window(prefix)
    if not found and window is None:
        return shared.page(request, "missing.html", status=404, what="event", name=prefix, near=[])
    if len(found) > 1:
        return shared.page(request, "events.html", prefix=prefix, rows=found)
    row = found[0] if found else None
    body = json.loads(bytes(row.body)) if row else {}
    return shared.page(
        request,
        "event.html",
        row=row,
        window=window,
        body=body,
        text=json.dumps(body, indent=2, ensure_ascii=False) if body else "",
        story=_story(shared, row, body),
        request_row=shared.queries.request(_request_of(row, body)),
        facts=_facts(row, window, body),
    )


@router.get("/events/{id_}/explanation")
def explanation(request: Request, shared: Shared, id_: str) -> Response:
    """The explanation, or how far it is."""
    if not shared.queries.event(id_) and shared.queries.window(id_) is None:
        return shared.page(request, "missing.html", status=404, what="event", name=id_, near=[])
    again = request.query_params.get("again") == "1"
    job = shared.jobs.begin(id_, lambda job: _explained(shared, id_, job), again=again)
    return shared.page(request, "explanation.html", job=job, id=id_)


@router.get("/explain.css")
def style() -> Response:
    """Rules of CSS for explanations."""
    return Response(page.style(), media_type="text/css")


def _explained(shared: Context, id_: str, job: Job) -> str:
    def progress(what: str, done: int, total: int) -> None:
        del what
        job.done, job.total = done, total

    return page.body(explain(shared.settings, id_, progress=progress))


def _request_of(row: EventRow | None, body: dict[str, Any]) -> str:
    """Id of the request that an event is about, or empty."""
    if row is None:
        return ""
    return row.id if row.type == EXPLAINED else str(body.get("request_id") or "")


def _story(shared: Context, row: EventRow | None, body: dict[str, Any]) -> Story | None:
    found = shared.queries.request(_request_of(row, body))
    if found is None or found.kind != "retrain":
        return None
    orders = shared.queries.requests(stream=found.stream, kind="rollback", limit=200)
    return story_of(found, orders, shared.queries.versions(found.stream))


_TIMES = ("decided_at", "published_at", "finished_at", "judged_at", "opened_at", "closed_at")


def _facts(
    row: EventRow | None, window: WindowRow | None, body: dict[str, Any]
) -> list[tuple[str, Any, str]]:
    """Name, value and form of what is told first of an event."""
    if row is None:
        assert window is not None  # noqa: S101  # the page has one of the two
        return [
            ("window", window.opened_at, "moment"),
            ("closed", window.closed_at, "moment"),
            ("records", window.records, "count"),
            ("decision", window.decision, ""),
            ("spoke for drift", window.rejected or "nothing", ""),
            ("loss", window.loss, "loss"),
            ("reference", window.reference_loss, "loss"),
            ("smallest p-value", window.p_value, "p_value"),
            ("effect", window.effect, "number"),
            ("place", f"{window.topic}[{window.partition}]@{window.place}", ""),
        ]
    told: list[tuple[str, Any, str]] = [
        (name.replace("_at", ""), body[name], "moment")
        for name in _TIMES
        if body.get(name) is not None
    ]
    names = ("action", "outcome", "reason", "policy", "version", "who", "why", "detail")
    told += [(name, body[name], "") for name in names if body.get(name)]
    told.append(("written", row.told_at, "moment"))
    told.append(("place", f"{row.topic}[{row.partition}]@{row.place}", ""))
    return told
