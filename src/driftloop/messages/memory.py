"""Which commands of a stream were seen before: each counts once, however late it is sent again."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal, NamedTuple

from driftloop.messages.commands import Command

REMEMBERED = 64
"""Commands of a stream whose ids are remembered."""

_UNDATED = -(2**63)


class Standing(NamedTuple):
    """What a command is among those of its stream.

    Attributes:
        word: ``new``; ``again``, for one whose id is remembered; or ``too-old``, for one that may
            have been seen and forgotten.
        forgets: Id of a command that is remembered no more from here on, or empty.
        since: For ``too-old``: the time of issue that it had to be newer than, ms.
    """

    word: Literal["new", "again", "too-old"] = "new"
    forgets: str = ""
    since: int = 0


class CommandMemory:
    """The newest `REMEMBERED` commands of a stream by their time of issue.

    A command that was taken is remembered, or was issued no later than `forgotten`; and one that is
    neither was never taken. So none counts twice, with a bounded memory and without any clock. The
    time of issue is a part of what is signed: whoever sends a command again cannot change it.

    By time of issue, not as they come: a sender whose clock is ahead then bars nobody else, until
    it alone has given more than `REMEMBERED` commands to one stream.

    Attributes:
        forgotten: Newest time of issue of a command that was forgotten, ms; None before there is
            one.
    """

    def __init__(self) -> None:
        self.forgotten: int | None = None
        self._issued: dict[str, int] = {}

    @classmethod
    def of_ids(cls, ids: Iterable[str]) -> CommandMemory:
        """The memory of an earlier release, which held no times: all are before the next one's."""
        found = cls()
        found._issued = dict.fromkeys(ids, _UNDATED)
        return found

    def __contains__(self, identity: str) -> bool:
        return identity in self._issued

    def take(self, command: Command) -> Standing:
        """Take a command in; what it is by all that were taken before it."""
        if command.id in self._issued:
            return Standing("again")
        if self.forgotten is not None and command.issued_at <= self.forgotten:
            return Standing("too-old", since=self.forgotten)
        for identity, issued in self._issued.items():
            if issued == _UNDATED:
                self._issued[identity] = command.issued_at - 1
        self._issued[command.id] = command.issued_at
        if len(self._issued) <= REMEMBERED:
            return Standing()
        oldest = min(self._issued, key=self._issued.__getitem__)  # of equals the first that came
        self.forgotten = self._issued.pop(oldest)
        return Standing(forgets=oldest)
