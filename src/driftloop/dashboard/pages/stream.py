"""One stream: the story of its newest retrain, its history on one time axis, and its tables."""

from __future__ import annotations

from typing import Annotated, NamedTuple

from fastapi import APIRouter, Query, Request
from fastapi.responses import Response

from driftloop.dashboard.context import Shared
from driftloop.dashboard.history import History, Span, history
from driftloop.dashboard.story import Story, story_of
from driftloop.dashboard.timeline import timeline
from driftloop.policy.promise import promise
from driftloop.readmodel.rows import RequestRow, VersionRow

router = APIRouter()

LISTED = 5
"""Rows of a table that are shown at first: the others are a click away."""

COMMANDS = 50
VERSIONS = 100
_DAY = 86_400_000.0


class Range(NamedTuple):
    """A link that shows a stretch of time; `begin` of None: all."""

    name: str
    begin: int | None
    here: bool


@router.get("/streams/{name:path}")
def stream(
    request: Request,
    shared: Shared,
    name: str,
    begin: Annotated[float | None, Query(ge=0)] = None,
    end: Annotated[float | None, Query(ge=0)] = None,
) -> Response:
    """The page of a stream."""
    if not shared.live.ready:
        return shared.page(request, "building.html")
    found = shared.queries.stream(name)
    if found is None:
        near = shared.queries.near(name)
        return shared.page(request, "missing.html", status=404, what="stream", name=name, near=near)
    data = history(shared.queries, name, begin=begin, end=end)
    requests = shared.queries.requests(stream=name, limit=200)
    published = shared.queries.versions(name)
    versions = _once(published)[:VERSIONS]
    known = shared.settings.profiles.get(found.profile)
    return shared.page(
        request,
        "stream.html",
        stream=found,
        stories=_stories(requests, published),
        last=data.windows[-1] if data and data.windows else None,
        data=data,
        wide=data and timeline(data),
        narrow=data and timeline(data, width=400),
        ranges=_ranges(data, begin) if data else [],
        zoomed=begin is not None or end is not None,
        requests=requests,
        listed=LISTED,
        versions=versions,
        current=versions[0][0].version if versions else found.model_version,
        commands=shared.queries.commands(stream=name, limit=COMMANDS),
        asked=COMMANDS,
        promise=promise(known.policy, known.fleet) if known else "",
        loss_name=known.loss if known else "",
    )


def _stories(requests: list[RequestRow], versions: list[VersionRow]) -> list[tuple[str, Story]]:
    """The newest retrain, and the newest one that live records have judged."""
    retrains = [one for one in requests if one.kind == "retrain" and one.decided_at is not None]
    orders = [one for one in requests if one.kind == "rollback"]
    if not retrains:
        return []
    told = [("Newest retrain", story_of(retrains[0], orders, versions))]
    judged = next((one for one in retrains if one.verdict or one.dismissed_by), None)
    if judged is not None and judged is not retrains[0]:
        told.append(("Newest retrain that was judged", story_of(judged, orders, versions)))
    return told


def _once(versions: list[VersionRow]) -> list[tuple[VersionRow, bool]]:
    """Versions, newest first, each with whether it is told for the first time."""
    seen: set[str] = set()
    found = []
    for one in versions:
        found.append((one, one.version not in seen))
        seen.add(one.version)
    return found


def _ranges(data: History, begin: float | None) -> list[Range]:
    whole: Span = data.whole
    length = whole.end - whole.begin
    found = [Range("all", None, begin is None)]
    for name, days in (
        ("1 year", 365),
        ("90 days", 90),
        ("30 days", 30),
        ("7 days", 7),
        ("1 day", 1),
    ):
        if days * _DAY < length:
            at = round(whole.end - days * _DAY)
            found.append(Range(name, at, begin is not None and abs(begin - at) < 1000))
    return found
