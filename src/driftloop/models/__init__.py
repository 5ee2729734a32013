"""Model artifacts, their store, prediction from them with NumPy alone, and model plug-ins."""

from driftloop.models.artifact import FORMAT, ModelArtifact
from driftloop.models.contract import FittedModel, Inputs, ModelPlugin, Progress, TrainingJob
from driftloop.models.encoding import Categories, Encoding
from driftloop.models.kinds import kind_faults, make_plugin
from driftloop.models.predict import predict
from driftloop.models.store import ModelStore

__all__ = [
    "FORMAT",
    "Categories",
    "Encoding",
    "FittedModel",
    "Inputs",
    "ModelArtifact",
    "ModelPlugin",
    "ModelStore",
    "Progress",
    "TrainingJob",
    "kind_faults",
    "make_plugin",
    "predict",
]
