"""What a running part says of itself."""

from __future__ import annotations

from typing import ClassVar, Literal

import msgspec

from driftloop.messages.base import Event
from driftloop.messages.grounds import EventTime

PartName = Literal["monitor", "trainer", "scorer"]
PartState = Literal["ready", "not-ready", "stopped"]


class PartReported(Event, kw_only=True, frozen=True):
    """A process of Driftloop is alive: said every few seconds, and when it ends in good order.

    It belongs to no stream. Its key is ``part:``, the part and the instance, so that a compacted
    topic holds the newest of each.

    Attributes:
        part: ``monitor``, ``trainer`` or ``scorer``.
        instance: Host, with the process's number where a part has several.
        state: ``ready``, ``not-ready`` (it starts, or is behind), or ``stopped``.
        detail: Why it is not ready.
        version: Of Driftloop.
        started_at: Wall-clock time.
        reported_at: Wall-clock time.
        every: Seconds until the next report; a part that is silent for three times that is gone.
        metrics: ``records`` (read since it started), ``records_per_second`` (since the last
            report), ``lag`` (records still to be read), ``queue`` (requests that wait for a
            trainer), as far as the part has them.
    """

    type: ClassVar[str] = "driftloop.part.reported.v1"
    stream: str = ""
    profile: str = ""
    part: PartName
    instance: str
    state: PartState
    detail: str = ""
    version: str
    started_at: EventTime
    reported_at: EventTime
    every: float
    metrics: dict[str, float | None] = msgspec.field(default_factory=dict)

    @property
    def subject(self) -> str:
        """The part and its instance."""
        return f"part:{self.part}:{self.instance}"
