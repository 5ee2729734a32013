"""What the topics say of all streams, as tables that the CLI and the dashboard ask."""

from driftloop.readmodel.feed import Feed, open_model, refresh
from driftloop.readmodel.queries import SORTS, Page, Queries
from driftloop.readmodel.store import ReadModel

__all__ = ["SORTS", "Feed", "Page", "Queries", "ReadModel", "open_model", "refresh"]
