"""The dialog of a command: what it does, why it is given, then what came of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated
from urllib.parse import urlencode

import structlog
from fastapi import APIRouter, Query, Request
from fastapi.responses import RedirectResponse, Response

from driftloop.dashboard.access import Visitor
from driftloop.dashboard.context import Context, Shared, field
from driftloop.dashboard.orders import (
    ACTIONS,
    DANGER,
    MOST_TARGETS,
    TAKES_UNTIL,
    TAKES_VERSION,
    Order,
    Told,
    build,
    followed,
    send,
)
from driftloop.errors import DriftloopError, SettingsError
from driftloop.messages.commands import Command
from driftloop.readmodel.trends import commands_of

router = APIRouter()

SHOWN = 50
_log = structlog.get_logger(__name__)


@router.get("/commands/new")
def new(
    request: Request,
    shared: Shared,
    action: str,
    stream: str = "",
    pattern: str = "",
    incident: str = "",
    version: str = "",
    request_id: str = "",
) -> Response:
    """The form of a command."""
    visitor: Visitor = request.state.visitor
    if not visitor.orders or action not in ACTIONS:
        status, why = (404, "an action") if visitor.orders else (403, "for operators alone")
        return shared.page(request, "missing.html", status=status, what=why, name=action, near=[])
    order = Order(action, stream, pattern, incident, version or None, request_id or None)
    return _form(request, shared, order)


def _form(
    request: Request,
    shared: Context,
    order: Order,
    *,
    faults: list[str] | None = None,
    commands: list[Command] | None = None,
    notes: Sequence[str] = (),
) -> Response:
    title, does = ACTIONS.get(order.action, (order.action, ""))
    row = shared.queries.stream(order.stream) if order.stream else None
    versions = shared.queries.versions(order.stream) if order.stream else []
    current = versions[0].version if versions else row and row.model_version
    earlier = [one for one in versions if one.version != current]
    return shared.page(
        request,
        "command.html",
        status=422 if faults else 200,
        order=order,
        title=title,
        does=does,
        danger=order.action in DANGER,
        takes_version=order.action in TAKES_VERSION,
        takes_until=order.action in TAKES_UNTIL,
        earlier=list({one.version: one for one in earlier}.values()),
        row=row,
        current=current,
        faults=faults or [],
        commands=commands or [],
        notes=notes,
        shown=SHOWN,
        fragment="hx-request" in request.headers,
    )


@router.post("/commands")
def give(request: Request, shared: Shared) -> Response:
    """Check a command and send it; more than one stream is asked about once more."""
    visitor: Visitor = request.state.visitor
    order = Order(
        action=field(request, "action"),
        stream=field(request, "stream"),
        pattern=field(request, "pattern"),
        incident=field(request, "incident"),
        version=field(request, "version") or None,
        request_id=field(request, "request_id") or None,
        until=field(request, "until"),
        why=field(request, "why"),
    )
    notes: list[str] = []
    try:
        commands = build(shared.settings, order, visitor.name, notes.append)
        if not commands or len(commands) > MOST_TARGETS:
            rule = f"1 to {MOST_TARGETS:,} streams, got {len(commands):,}"
            return _form(request, shared, order, faults=[rule])
        if order.many and field(request, "confirmed") != str(len(commands)):
            return _form(request, shared, order, commands=commands, notes=notes)
        send(shared.settings, commands)
    except SettingsError as error:
        return _form(
            request, shared, order, faults=[str(one).removeprefix("--") for one in error.faults]
        )
    except DriftloopError as error:
        return _form(request, shared, order, faults=[str(error)])
    _log.info(
        "dashboard.command",
        action=order.action,
        who=visitor.name,
        streams=len(commands),
        ids=[one.id for one in commands[:SHOWN]],
    )
    batch = commands[0].batch
    query = {"batch": batch, "of": len(commands)} if batch else {"id": commands[0].id}
    there = f"/commands/sent?{urlencode(query)}"
    if "hx-request" in request.headers:
        return _sent(request, shared, batch, [] if batch else [commands[0].id], len(commands))
    return RedirectResponse(there, 303)


@router.get("/commands/sent")
def sent(
    request: Request,
    shared: Shared,
    batch: Annotated[str, Query(max_length=100)] = "",
    id: Annotated[str, Query(max_length=100)] = "",  # noqa: A002  # of the address
    of: Annotated[int, Query(ge=1, le=MOST_TARGETS)] = 1,
) -> Response:
    """What came of commands so far."""
    return _sent(request, shared, batch, [id] if id else [], of)


def _sent(request: Request, shared: Context, batch: str, ids: list[str], many: int) -> Response:
    rows = commands_of(shared.model, batch=batch, ids=ids)
    told = [Told(one.id, one, followed(shared.queries, one)) for one in rows]
    told += [Told(one, None, []) for one in ids if one not in {row.id for row in rows}]
    settled = len(told) >= many and all(one.settled for one in told)
    counts: dict[str, int] = {}
    for one in told:
        outcome = (one.command.outcome if one.command else "") or "no answer yet"
        counts[outcome] = counts.get(outcome, 0) + 1
    query = {"batch": batch, "of": many} if batch else {"id": ids[0] if ids else ""}
    return shared.page(
        request,
        "sent.html",
        told=told[:SHOWN],
        many=many,
        counts=counts,
        settled=settled,
        again=f"/commands/sent?{urlencode(query)}",
        fragment="hx-request" in request.headers,
    )
