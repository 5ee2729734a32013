"""Records that could not be read, and their replay."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from fastapi.responses import Response

from driftloop.dashboard.access import Visitor
from driftloop.dashboard.context import Context, Shared, field
from driftloop.dashboard.orders import LEAST_WHY
from driftloop.errors import DriftloopError, SettingsError
from driftloop.operator import dead_letters
from driftloop.readmodel.trends import count_of

router = APIRouter()

ROWS = 100
SHOWN_BYTES = 20_000


@router.get("/dead-letters")
def letters(
    request: Request,
    shared: Shared,
    topic: Annotated[str, Query(max_length=300)] = "",
    reason: Annotated[str, Query(max_length=100)] = "",
    page: Annotated[int, Query(ge=1, le=100_000)] = 1,
) -> Response:
    """A page of dead letters, newest first."""
    if not shared.live.ready:
        return shared.page(request, "building.html")
    rows = shared.queries.letters(
        topic=topic.strip(), reason=reason, limit=ROWS + 1, offset=(page - 1) * ROWS
    )
    return shared.page(
        request,
        "letters.html",
        rows=rows[:ROWS],
        more=len(rows) > ROWS,
        page=page,
        total=count_of(shared.model, "dead_letters"),
        reasons=shared.queries.letter_reasons(),
        chosen={"topic": topic, "reason": reason},
    )


@router.get("/dead-letters/replay")
def replay_form(
    request: Request,
    shared: Shared,
    place: Annotated[list[str] | None, Query()] = None,
    edit: str = "",
) -> Response:
    """The form that asks why letters are sent again; of one letter, other bytes may be sent."""
    visitor: Visitor = request.state.visitor
    if not visitor.orders:
        what = "for operators alone"
        return shared.page(request, "missing.html", status=403, what=what, name="replay", near=[])
    places = place or []
    value = None
    if edit and len(places) == 1:
        try:
            value = (dead_letters.read(shared.settings, places[0]).value or b"").decode()
        except (DriftloopError, UnicodeDecodeError) as error:
            return _form(request, shared, places, faults=[str(error)])
    return _form(request, shared, places, value=value)


def _form(
    request: Request,
    shared: Context,
    places: list[str],
    *,
    faults: list[str] | None = None,
    value: str | None = None,
    why: str = "",
) -> Response:
    return shared.page(
        request,
        "replay.html",
        status=422 if faults else 200,
        places=places,
        faults=faults or [],
        value=value,
        why=why,
        done=None,
        fragment="hx-request" in request.headers,
    )


@router.post("/dead-letters/replay")
def replay(request: Request, shared: Shared) -> Response:
    """Send letters to their streams again, once each."""
    visitor: Visitor = request.state.visitor
    places: list[str] = request.state.form.get("place", [])
    edited: str | None = request.state.form.get("value", [None])[0]
    edited = edited and edited.replace("\r\n", "\n")  # as forms end their lines
    why = field(request, "why")
    faults: list[str] = []
    done: list[Any] = []
    if len(why) < LEAST_WHY:
        faults = [f"why: a reason of at least {LEAST_WHY} characters, for the audit"]
    try:
        value = edited.encode() if edited and len(places) == 1 else None
        if not faults:
            name = visitor.name
            done = dead_letters.replay(shared.settings, places, who=name, why=why, value=value)
    except SettingsError as error:
        faults = [str(one) for one in error.faults]
    except DriftloopError as error:
        faults = [str(error)]
    if faults:
        return _form(request, shared, places, faults=faults, value=edited, why=why)
    return shared.page(
        request,
        "replay.html",
        places=places,
        faults=[],
        value=None,
        why=why,
        done=done,
        fragment="hx-request" in request.headers,
    )


@router.get("/dead-letters/{partition}/{offset}")
def letter(request: Request, shared: Shared, partition: int, offset: int) -> Response:
    """One letter with its bytes."""
    place = f"{partition}:{offset}"
    try:
        found = dead_letters.read(shared.settings, place)
    except DriftloopError as error:
        return shared.page(
            request,
            "missing.html",
            status=404,
            what="dead letter",
            name=f"{place}: {error}",
            near=[],
        )
    value: bytes = found.value or b""
    try:
        text, readable = value.decode(), True
    except UnicodeDecodeError:
        text, readable = value[:SHOWN_BYTES].hex(" "), False
    return shared.page(
        request,
        "letter.html",
        letter=found,
        place=place,
        text=text[:SHOWN_BYTES],
        whole=len(text) <= SHOWN_BYTES,
        readable=readable,
    )
