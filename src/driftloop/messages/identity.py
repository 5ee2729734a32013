"""Deterministic identity of events, and the trace that runs from alarm to model."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable


def event_id(stream: str, profile_hash: str, kind: str, parts: Iterable[object]) -> str:
    """Id of an event: the same decision on the same records has the same id, also after a replay.

    Args:
        stream: Stream id.
        profile_hash: `driftloop.settings.Profile.hash` under which it was decided.
        kind: What kind of event, as ``retrain``.
        parts: What tells it from the stream's other events of that kind: the offset ranges that
            close its window, or the id of the event that caused it.

    Returns:
        32 hexadecimal digits.

    >>> event_id("a", "p", "retrain", ["a:0:0:9"]) == event_id("a", "p", "retrain", ["a:0:0:9"])
    True
    """
    digest = hashlib.blake2b(digest_size=16)
    for part in (stream, profile_hash, kind, *parts):
        text = str(part).encode()
        digest.update(len(text).to_bytes(4, "big"))
        digest.update(text)
    return digest.hexdigest()


def new_traceparent(seed: str) -> str:
    """W3C ``traceparent`` that starts a trace, derived from an event id."""
    trace = hashlib.blake2b(seed.encode(), digest_size=16, person=b"trace").hexdigest()
    span = hashlib.blake2b(seed.encode(), digest_size=8, person=b"span").hexdigest()
    return f"00-{trace}-{span}-01"


def next_span(traceparent: str) -> str:
    """The same trace with a new span; an unreadable value starts a new trace."""
    parts = traceparent.split("-")
    hexadecimal = set("0123456789abcdef")
    if len(parts) != 4 or len(parts[1]) != 32 or not set(parts[1]) <= hexadecimal:
        return new_traceparent(os.urandom(16).hex())
    return f"00-{parts[1]}-{os.urandom(8).hex()}-01"
