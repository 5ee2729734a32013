"""The engine: Bytewax around Kafka, with a source, a control source and a sink that lose nothing.

The only package that knows Bytewax's interfaces, besides the flows' steps; `docs/adr` says why
Bytewax's own Kafka connectors are not used.
"""

from driftloop.engine.control import ControlSource
from driftloop.engine.items import ControlItem, Lifecycle, Outgoing, StreamBatch
from driftloop.engine.run import run_flow
from driftloop.engine.sink import KafkaSink
from driftloop.engine.source import StreamSource

__all__ = [
    "ControlItem",
    "ControlSource",
    "KafkaSink",
    "Lifecycle",
    "Outgoing",
    "StreamBatch",
    "StreamSource",
    "run_flow",
]
