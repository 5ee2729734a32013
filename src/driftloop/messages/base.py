"""What every event is made of."""

from __future__ import annotations

from typing import ClassVar

import msgspec


class Event(msgspec.Struct, kw_only=True, frozen=True):
    """What all events share: an id that a replay repeats, the stream, and its profile."""

    type: ClassVar[str] = ""
    id: str
    stream: str
    profile: str

    @property
    def subject(self) -> str:
        """Key of its message: the stream, or the profile of a fleet's event."""
        return self.stream or self.profile
