"""Several partitions as one stream: rows in event-time order, however reads interleave."""

from __future__ import annotations

import numpy as np

from driftloop.records.columns import Columns


class PartitionMerger:
    """Holds rows back until every partition has passed them.

    A row is late, and dropped, when its *own* partition has already seen an event time more than
    `lateness` above its own; so lateness does not depend on the other partitions. The others come
    out ordered by (event time, partition, offset), once every partition of the topic has seen an
    event time more than `lateness` above theirs. A partition without records therefore holds the
    stream back.

    Attributes:
        late: Rows dropped as late.
    """

    def __init__(self, lateness_ms: int) -> None:
        self.lateness = lateness_ms
        self.late = 0
        self._newest: dict[int, float] = {}
        self._held: list[Columns] = []

    @property
    def held(self) -> int:
        """Rows held back."""
        return sum(len(rows) for rows in self._held)

    def add(self, rows: Columns, partition: int, partitions: int) -> Columns | None:
        """Take rows of one partition, in offset order.

        Args:
            rows: At least one row.
            partition: Where they come from.
            partitions: How many the topic has.

        Returns:
            Rows that every partition has passed now, or None.
        """
        before = self._newest.get(partition, -np.inf)
        newest = np.maximum.accumulate(np.concatenate([[before], rows.ts]))
        on_time = rows.ts >= newest[:-1] - self.lateness
        if not on_time.all():
            self.late += int((~on_time).sum())
            rows = rows.select(on_time)
        self._newest[partition] = float(newest[-1])
        if len(rows):
            self._held.append(rows)
        if len(self._newest) < partitions or not self._held:
            return None
        passed = min(self._newest.values()) - self.lateness
        merged = Columns.concatenate(self._held)
        ready = merged.ts < passed
        if not ready.any():
            self._held = [merged]
            return None
        self._held = [] if ready.all() else [merged.select(~ready)]
        out = merged.select(ready)
        return out.select(np.lexsort((out.offsets, out.partitions, out.ts)))
