"""Log-in and log-out, probes, the stream of changes, and where a search leads."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Annotated
from urllib.parse import quote, urlsplit

import structlog
from fastapi import APIRouter, Query, Request
from fastapi.responses import JSONResponse, RedirectResponse, Response, StreamingResponse

from driftloop.dashboard.access import Visitor
from driftloop.dashboard.context import Shared, field
from driftloop.readmodel.trends import first_stream

router = APIRouter()
_log = structlog.get_logger(__name__)

LONGEST_NAME = 80
_PAUSE = 1.0  # at least so long between two changes that are told
_BEAT = 15.0  # a comment so often keeps proxies from closing the connection
LISTENERS = 100


@router.get("/log-in")
def log_in_page(request: Request, shared: Shared, to: str = "/") -> Response:
    """The form that takes a token."""
    visitor: Visitor = request.state.visitor
    if visitor.role is not None:
        return RedirectResponse(_within(to), 303)
    return shared.page(request, "log-in.html", to=_within(to), fault="", name="")


@router.post("/log-in")
def log_in(request: Request, shared: Shared) -> Response:
    """Take a token; a right one starts a session."""
    address = request.client.host if request.client else ""
    name, to = field(request, "name")[:LONGEST_NAME], _within(field(request, "to"))
    wait = shared.door.pace.wait(address)
    if wait > 0:
        told = f"Too many log-ins have failed. Try again in {wait:.0f} s."
        answer = shared.page(request, "log-in.html", status=429, to=to, fault=told, name=name)
        answer.headers["retry-after"] = str(round(wait) + 1)
        return answer
    if not name:
        fault = "Give your name: it stands beside what you order."
        return shared.page(request, "log-in.html", status=422, to=to, fault=fault, name=name)
    visitor = shared.door.log_in(name, field(request, "token"))
    if visitor is None:
        shared.door.pace.failed(address)
        _log.warning("dashboard.log_in_failed", name=name, address=address)
        fault = "This token is not known."
        return shared.page(request, "log-in.html", status=401, to=to, fault=fault, name=name)
    shared.door.sessions.end(request.state.visitor)
    _log.info("dashboard.log_in", name=name, role=visitor.role, address=address)
    done = RedirectResponse(to, 303)
    done.headers["set-cookie"] = request.app.state.guard_cookie(visitor)
    return done


@router.post("/log-out")
def log_out(request: Request, shared: Shared) -> Response:
    """End the session."""
    shared.door.sessions.end(request.state.visitor)
    done = RedirectResponse("/log-in", 303)
    done.headers["set-cookie"] = request.app.state.guard_cookie(shared.door.sessions.new())
    return done


def _within(to: str) -> str:
    """A place on this site; anything else leads to the first page."""
    parts = urlsplit(to)
    sound = to.startswith("/") and not to.startswith(("//", "/\\"))
    return to if sound and not parts.netloc and not parts.scheme else "/"


@router.get("/healthz")
def healthz() -> Response:
    """Alive."""
    return JSONResponse({"alive": True})


@router.get("/readyz")
def readyz(shared: Shared) -> Response:
    """Ready once all that was there at the start is read; pages show it while Kafka is away."""
    done, total = shared.live.progress
    # Whoever asks is a stranger: what the fault is stands in the log.
    fault = "the topics cannot be read now" if shared.live.fault else ""
    told = {"ready": shared.live.ready, "read": done, "of": total, "fault": fault}
    return JSONResponse(told, 200 if shared.live.ready else 503)


@router.get("/go")
def go(shared: Shared, q: Annotated[str, Query(max_length=300)] = "") -> Response:
    """Where a search leads: to a stream, an event by its id, or the streams that match."""
    text = q.strip()
    if shared.queries.stream(text):
        return RedirectResponse(f"/streams/{quote(text, safe='')}", 303)
    digits = text.lower()
    if len(digits) >= 8 and set(digits) <= set("0123456789abcdef"):
        found = shared.queries.event(digits)
        if len(found) == 1 or shared.queries.window(digits):
            return RedirectResponse(f"/events/{found[0].id if found else digits}", 303)
    page = shared.queries.streams(search=text, limit=2)
    if page.total == 1:
        return RedirectResponse(f"/streams/{quote(page.rows[0].stream, safe='')}", 303)
    return RedirectResponse(f"/streams?search={quote(text)}", 303)


@router.get("/names")
def names(
    request: Request, shared: Shared, q: Annotated[str, Query(max_length=300)] = ""
) -> Response:
    """Streams whose names begin so, for the search's list."""
    found = first_stream(shared.model, q.strip()) if q.strip() else []
    return shared.page(request, "names.html", names=found)


@router.get("/live")
async def live(request: Request, shared: Shared) -> Response:
    """Server-sent events: one ``changed`` after each change, at most one a second."""
    state = request.app.state
    if state.listeners >= LISTENERS:
        return Response("Too many pages are open.\n", 503, {"retry-after": "30"}, "text/plain")
    return StreamingResponse(
        _changes(request, shared),
        media_type="text/event-stream",
        headers={"x-accel-buffering": "no"},
    )


async def _changes(request: Request, shared: Shared) -> AsyncIterator[bytes]:
    loop, changed = asyncio.get_running_loop(), asyncio.Event()

    def wake() -> None:
        loop.call_soon_threadsafe(changed.set)

    request.app.state.listeners += 1
    shared.live.listen(wake)
    try:
        yield _event(shared)
        while not shared.live.stopped:
            try:
                await asyncio.wait_for(changed.wait(), _BEAT)
            except TimeoutError:
                yield b": still here\n\n"
                continue
            changed.clear()
            yield _event(shared)
            await asyncio.sleep(_PAUSE)
    finally:
        shared.live.forget(wake)
        request.app.state.listeners -= 1


def _event(shared: Shared) -> bytes:
    fault = "away" if shared.live.fault else "fresh"
    return f"event: changed\nid: {shared.live.changes}\ndata: {fault}\n\n".encode()
