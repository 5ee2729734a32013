"""Why a model was retrained: a decision is made again on its records, and told.

Needs Kafka and the configuration of the monitor; nothing else need run.
"""

from driftloop.explain import page
from driftloop.explain.compose import explain
from driftloop.explain.model import Explanation
from driftloop.explain.sentences import words

__all__ = ["Explanation", "explain", "page", "words"]
