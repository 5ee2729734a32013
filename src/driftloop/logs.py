"""Logs: key-value lines, JSON where no person watches. Only entry points configure them."""

from __future__ import annotations

import logging
import math
import os
import re
import sys
import time

import structlog

_CLIENT = "driftloop.kafka"
_FIGURES = re.compile(r"\d+")
_SELDOM_SECONDS = 10.0
_KINDS = 256


def client_logger() -> logging.Logger:
    """Where a Kafka client's own lines go: ``Consumer(…, logger=client_logger())``.

    They become events ``kafka.client`` of the log that `configure` sets up.
    """
    return forward(_CLIENT, "kafka.client")


def forward(name: str, event: str, level: int = logging.NOTSET) -> logging.Logger:
    """Let the lines of a library's logger become events of our log.

    Args:
        name: Of the logger, as ``opentelemetry``.
        event: What the events are called.
        level: Least level that is forwarded.
    """
    logger = logging.getLogger(name)
    logger.propagate = False
    if not logger.handlers:
        logger.addHandler(_ClientLines(event, level))
    return logger


class _ClientLines(logging.Handler):
    """Turns a client's lines into key-value lines, those that differ in figures alone seldom.

    While no broker answers, Kafka's clients write twenty lines a second.
    """

    def __init__(self, event: str, level: int) -> None:
        super().__init__(level)
        self._event = event
        self._seen: dict[str, tuple[float, int]] = {}  # when the last was shown, and how many not

    def emit(self, record: logging.LogRecord) -> None:
        """Log one line as an event of its level, or count it."""
        message = record.getMessage().strip()
        kind = f"{record.levelno} {_FIGURES.sub('#', message)}"
        shown, more = self._seen.get(kind, (-math.inf, 0))
        now = time.monotonic()
        if now - shown < _SELDOM_SECONDS:
            self._seen[kind] = (shown, more + 1)
            return
        if len(self._seen) >= _KINDS:
            self._seen.clear()
        self._seen[kind] = (now, 0)
        suppressed = {"suppressed": more} if more else {}
        structlog.get_logger(_CLIENT).log(
            record.levelno, self._event, message=message, **suppressed
        )


def configure(*, json: bool | None = None, level: str | None = None) -> None:
    """Send logs to standard error.

    Args:
        json: One JSON object a line, or lines for people. By default as ``DRIFTLOOP_LOG_FORMAT``
            (``json`` or ``text``) says, else JSON unless standard error is a terminal.
        level: Least level shown; by default ``DRIFTLOOP_LOG_LEVEL``, else ``info``.
    """
    wanted = os.environ.get("DRIFTLOOP_LOG_FORMAT", "")
    if json is None:
        json = wanted == "json" if wanted in {"json", "text"} else not sys.stderr.isatty()
    name = (level or os.environ.get("DRIFTLOOP_LOG_LEVEL") or "info").upper()
    least = logging.getLevelNamesMapping().get(name, logging.INFO)
    processors: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.StackInfoRenderer(),
    ]
    if json:
        processors += [
            # Without local variables: they hold users' records, and clients' secrets.
            structlog.processors.ExceptionRenderer(
                structlog.tracebacks.ExceptionDictTransformer(show_locals=False)
            ),
            structlog.processors.JSONRenderer(),
        ]
    else:
        processors.append(structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty()))
    structlog.configure(
        processors=processors,
        wrapper_class=structlog.make_filtering_bound_logger(least),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )
