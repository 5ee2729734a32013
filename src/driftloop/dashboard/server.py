"""Serves the dashboard until it is told to end."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Iterator

import uvicorn

from driftloop.dashboard.app import create_app
from driftloop.settings import Settings


class _Server(uvicorn.Server):
    """Ends in good order by a signal; uvicorn itself would then die of it, with another status."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Have SIGTERM and SIGINT end the server; a second one ends it at once."""
        numbers = (signal.SIGTERM, signal.SIGINT)
        before = {number: signal.signal(number, self.handle_exit) for number in numbers}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


def serve(settings: Settings) -> None:
    """Serve until SIGTERM or Ctrl-C.

    Raises:
        SettingsError: A token cannot be read, or is too short.
        OSError: A certificate cannot be read.
    """
    own = settings.dashboard
    config = uvicorn.Config(
        create_app(settings),
        host=own.host.strip("[]"),
        port=own.port,
        log_config=None,
        log_level="warning",
        access_log=False,
        server_header=False,
        proxy_headers=False,  # who asks is told by the socket; a proxy's headers are read by us
        ssl_certfile=own.certificate or None,
        ssl_keyfile=own.key or None,
        timeout_graceful_shutdown=5,
        limit_concurrency=400,
    )
    _Server(config).run()
