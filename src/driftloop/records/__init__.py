"""Records: what the messages of a stream hold, as columns; and the join of late labels."""

from driftloop.records.columns import Columns, DeadLetter
from driftloop.records.decode import RecordDecoder
from driftloop.records.join import Joiner, join

__all__ = ["Columns", "DeadLetter", "Joiner", "RecordDecoder", "join"]
