"""From closed windows to decisions: criteria, levels, cool-down, commands; all of it pure."""

from driftloop.policy.criteria import StreamTester
from driftloop.policy.decide import StreamDecider
from driftloop.policy.fleet import FleetDecider
from driftloop.policy.fleet_items import FleetItem, FleetNote, FleetObservation
from driftloop.policy.tested import Tested

__all__ = [
    "FleetDecider",
    "FleetItem",
    "FleetNote",
    "FleetObservation",
    "StreamDecider",
    "StreamTester",
    "Tested",
]
