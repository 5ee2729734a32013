"""Model artifacts, their store, and prediction from them with NumPy alone."""

from driftloop.models.artifact import FORMAT, ModelArtifact
from driftloop.models.encoding import Encoding
from driftloop.models.predict import predict
from driftloop.models.store import ModelStore

__all__ = ["FORMAT", "Encoding", "ModelArtifact", "ModelStore", "predict"]
