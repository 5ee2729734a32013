"""Trials of two model versions on the same live records; pure: artifacts come from outside."""

from driftloop.trials.bout import Answer, Missing, Predict
from driftloop.trials.referee import Referee

__all__ = ["Answer", "Missing", "Predict", "Referee"]
