"""From closed windows to decisions: criteria, levels, cool-down, commands; all of it pure."""

from driftloop.policy.criteria import StreamTester, Tested
from driftloop.policy.decide import StreamDecider

__all__ = ["StreamDecider", "StreamTester", "Tested"]
