"""What was seen lately: a bounded memory of ids."""

from __future__ import annotations

from collections.abc import Iterator

REMEMBERED = 64
"""Ids that a memory holds, the newest."""


class Seen:
    """The newest `REMEMBERED` ids that were added, each once."""

    def __init__(self) -> None:
        self._ids: dict[str, None] = {}

    def __contains__(self, identity: str) -> bool:
        return identity in self._ids

    def __iter__(self) -> Iterator[str]:
        return iter(self._ids)

    def add(self, identity: str) -> bool:
        """Remember an id; whether it was remembered already."""
        if identity in self._ids:
            return True
        self._ids[identity] = None
        if len(self._ids) > REMEMBERED:
            del self._ids[next(iter(self._ids))]
        return False
