"""Which model version a record's loss belongs to.

Where records say who predicted, the switch happens at the first record of the new version, so that
it is a function of the records alone. Where they do not, it happens where the publication was seen.
"""

from __future__ import annotations

REMEMBERED = 16
"""Earlier versions remembered, so that a straggler of one is not taken for a new one."""


class VersionTracker:
    """The current model version of a stream.

    Attributes:
        current: The version whose losses count, or None.
    """

    def __init__(self) -> None:
        self.current: str | None = None
        self._told_by_records = False
        self._past: list[str] = []
        self._published: list[str] = []

    def see(self, version: str) -> bool:
        """A record says that `version` predicted it.

        Returns:
            Whether its loss counts. It does unless the version is an earlier one; one never seen
            before becomes current.
        """
        if not self._told_by_records:
            # Publications may have run ahead of the records, as at a first start on old topics:
            # what they said is then to come, not past.
            self._told_by_records = True
            self._past.clear()
            self.current = version
            return True
        if version == self.current:
            return True
        if version in self._past:
            return False
        self._switch(version)
        return True

    def begins(self, version: str) -> bool:
        """Whether `see` would make `version` current."""
        past = self._told_by_records and version in self._past
        return version != self.current and not past

    def publish(self, version: str) -> bool:
        """A publication of `version` was seen. Returns whether it became current by that."""
        again = version in self._published
        if not again:
            self._published.append(version)
            del self._published[:-REMEMBERED]
        if version == self.current:
            return False
        # A second publication is a rollback: its records count again. A first one of an earlier
        # version is late news, as where the records are read ahead of the publications.
        if version in self._past and (again or not self._told_by_records):
            self._past.remove(version)
        if self._told_by_records:
            return False
        self._switch(version)
        return True

    def _switch(self, version: str) -> None:
        if self.current is not None:
            self._past.append(self.current)
            del self._past[:-REMEMBERED]
        self.current = version
