"""From closed windows to decisions: criteria, levels, cool-down, commands; all of it pure."""

from driftloop.policy.criteria import StreamTester
from driftloop.policy.decide import StreamDecider
from driftloop.policy.tested import Tested

__all__ = ["StreamDecider", "StreamTester", "Tested"]
