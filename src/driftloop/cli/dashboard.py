"""``driftloop dashboard``: all streams in a browser."""

from __future__ import annotations

import os
import socket
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from driftloop import logs
from driftloop.cli.extras import need
from driftloop.cli.settings import load
from driftloop.errors import Fault, SettingsError
from driftloop.settings import DashboardSettings, Settings
from driftloop.settings.dashboard import is_loopback
from driftloop.settings.load import FILE_VARIABLE

app = typer.Typer(add_completion=False)


@app.command()
def dashboard(
    *,
    config: Annotated[
        Path | None, typer.Option("--config", help="Configuration file; default driftloop.toml.")
    ] = None,
    host: Annotated[
        str, typer.Option("--host", help="Address to listen on, in place of dashboard.host.")
    ] = "",
    port: Annotated[
        int | None,
        typer.Option("--port", min=1, max=65535, help="Port, in place of dashboard.port."),
    ] = None,
) -> None:
    """Serve pages of all streams: look, explain, order. SIGTERM and Ctrl-C end it.

    It listens on loopback; elsewhere it asks for dashboard.operator_token, dashboard.viewer_token
    or dashboard.proxy, and refuses to start without.
    """
    need("dashboard", "fastapi", "itsdangerous", "jinja2", "uvicorn")
    logs.configure()
    settings = _with(load(config), host, port)
    if config is not None:  # a trial of policies is a process of its own, and reads the same file
        os.environ[FILE_VARIABLE] = str(config.resolve())
    from driftloop.dashboard.server import serve  # noqa: PLC0415  # needs the extra

    _see_free(settings.dashboard)
    scheme = "https" if settings.dashboard.certificate else "http"
    shown = settings.dashboard.host
    shown = f"[{shown}]" if ":" in shown and not shown.startswith("[") else shown
    asked = "" if settings.dashboard.guarded else " (whoever reaches this machine may order)"
    Console(stderr=True, highlight=False).print(
        f"Dashboard at {scheme}://{shown}:{settings.dashboard.port}/{asked}; Ctrl-C ends it.",
        soft_wrap=True,
    )
    serve(settings)


def _with(settings: Settings, host: str, port: int | None) -> Settings:
    """The configuration with what the command line says instead."""
    own = settings.dashboard
    host = host or own.host
    if not is_loopback(host) and not own.guarded:
        rule = (
            "a loopback address, as 127.0.0.1, unless dashboard.operator_token, "
            "dashboard.viewer_token or dashboard.proxy.user_header says who may come in"
        )
        raise SettingsError([Fault("--host", repr(host), rule)])
    changed = {"host": host, "port": own.port if port is None else port}
    return settings.model_copy(
        update={"dashboard": DashboardSettings.model_validate({**own.model_dump(), **changed})}
    )


def _see_free(own: DashboardSettings) -> None:
    """See that the address can be listened on.

    Raises:
        SettingsError: It cannot.
    """
    place = "dashboard.port"
    try:
        found = socket.getaddrinfo(own.host.strip("[]"), own.port, type=socket.SOCK_STREAM)
        with socket.socket(found[0][0], found[0][1]) as tried:
            tried.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            tried.bind(found[0][4])
    except OSError as error:
        rule = f"an address that is free to listen on ({error.strerror or error})"
        fault = Fault(place, f"{own.host}:{own.port}", rule, "another one by --port")
        raise SettingsError([fault]) from error
