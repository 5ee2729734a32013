"""The web application: pages behind the guard, on a read model that a thread keeps fresh."""

from __future__ import annotations

import contextlib
import time
from collections.abc import AsyncIterator, Callable
from importlib.resources import files
from pathlib import Path

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse
from starlette.exceptions import HTTPException
from starlette.staticfiles import StaticFiles

from driftloop.dashboard.access import Door
from driftloop.dashboard.context import Context, make_templates
from driftloop.dashboard.guard import Guard
from driftloop.dashboard.jobs import Jobs
from driftloop.dashboard.live import Live
from driftloop.dashboard.memo import Memo
from driftloop.dashboard.pages import (
    audit,
    commands,
    entry,
    events,
    fleet,
    incidents,
    letters,
    stream,
    streams,
    trainings,
    whatif,
)
from driftloop.readmodel import Queries, open_model
from driftloop.settings import Settings

PAGES = (
    entry,
    fleet,
    streams,
    stream,
    events,
    trainings,
    incidents,
    whatif,
    letters,
    audit,
    commands,
)
STATIC = Path(str(files("driftloop.dashboard").joinpath("static")))


def create_app(
    settings: Settings,
    *,
    clock: Callable[[], float] = time.monotonic,
    live: Live | None = None,
) -> FastAPI:
    """The dashboard of a configuration.

    Args:
        settings: The configuration.
        clock: Seconds, for the pace of log-ins.
        live: Keeps the read model fresh; by default a thread that begins with the server.

    Raises:
        SettingsError: A token cannot be read, or is too short.
    """
    door = Door(settings.dashboard, clock)
    model = open_model(settings)
    fresh = Live(settings, model) if live is None else live
    context = Context(
        settings=settings,
        model=model,
        queries=Queries(model, settings),
        live=fresh,
        door=door,
        jobs=Jobs(),
        trials=Jobs(1),
        memo=Memo(lambda: fresh.changes),
        templates=make_templates(),
    )

    @contextlib.asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        if live is None:
            fresh.start()
        try:
            yield
        finally:
            if live is None:
                fresh.stop()
            context.jobs.close()
            context.trials.close()

    # No pages that describe the interface: they load scripts from elsewhere.
    app = FastAPI(
        title="Driftloop", lifespan=lifespan, docs_url=None, redoc_url=None, openapi_url=None
    )
    app.state.context = context
    app.state.listeners = 0
    app.state.guard_cookie = Guard(app, settings.dashboard, door).set_cookie
    for page in PAGES:
        app.include_router(page.router)
    app.mount("/static", StaticFiles(directory=STATIC), "static")
    app.add_middleware(Guard, settings=settings.dashboard, door=door)

    @app.exception_handler(RequestValidationError)
    def unfit(request: Request, error: RequestValidationError) -> HTMLResponse:
        told = "; ".join(f"{one['loc'][-1]}: {one['msg']}" for one in error.errors())
        return context.page(request, "missing.html", status=422, what="page", name=told, near=[])

    @app.exception_handler(HTTPException)
    def refused(request: Request, error: HTTPException) -> HTMLResponse:
        name = request.url.path if error.status_code == 404 else str(error.detail)
        status = error.status_code
        return context.page(request, "missing.html", status=status, what="page", name=name, near=[])

    return app
