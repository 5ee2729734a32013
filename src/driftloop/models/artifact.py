"""A trained model as a value, and its manifest ``model.json``."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field

import msgspec
import numpy as np
import numpy.typing as npt
import safetensors
import safetensors.numpy

import driftloop
from driftloop.errors import ArtifactCorruptedError
from driftloop.models.encoding import Encoding

FORMAT = "safetensors"
FORMAT_VERSION = 1
MANIFEST = "model.json"
WEIGHTS = "weights.safetensors"

Weights = dict[str, npt.NDArray[np.floating]]
Metrics = dict[str, float | None]


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class ModelArtifact:
    """Everything that a prediction needs, and where it came from.

    Attributes:
        kind: ``linear``, ``mlp_regressor`` or ``mlp_classifier``.
        task: ``regression``, ``binary`` or ``multiclass``.
        stream: Stream id.
        version: As ``v3``.
        request_id: The retrain request that it answers.
        encoding: Features to inputs.
        classes: Class labels in the order of the outputs; empty for regression.
        weights: ``weight.0`` (inputs, outputs), ``bias.0`` (outputs,), then the next layer's.
        target: Mean and standard deviation of the label that the outputs are scaled by; (0, 1)
            for classification.
        loss: The loss by which it was judged.
        data: Offset ranges that it was trained on.
        champion: Metrics of the replaced version on the hold-out, or None.
        challenger: Metrics of this version on the hold-out.
        seed: Of its weights and the order of its records.
        records: How many records it was trained on.
    """

    kind: str
    task: str
    stream: str
    version: str
    request_id: str
    encoding: Encoding
    weights: Weights
    classes: tuple[str, ...] = ()
    target: tuple[float, float] = (0.0, 1.0)
    loss: str = ""
    data: tuple[str, ...] = ()
    champion: Metrics | None = None
    challenger: Metrics = field(default_factory=dict)
    seed: int = 0
    records: int = 0

    @property
    def file(self) -> str:
        """Name of its file beside the manifest."""
        return WEIGHTS

    @property
    def layers(self) -> int:
        """Number of affine layers; 1 for a linear model."""
        return sum(name.startswith("weight.") for name in self.weights)


class _File(msgspec.Struct, frozen=True):
    name: str
    size: int
    sha256: str


class _Features(msgspec.Struct, frozen=True):
    numeric: list[str]
    categorical: list[str]
    mean: list[float]
    scale: list[float]
    vocabulary: list[list[str]]


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """What ``model.json`` holds; `ModelArtifact` says what the fields mean."""

    format: str
    format_version: int
    driftloop: str
    kind: str
    task: str
    stream: str
    version: str
    request_id: str
    features: _Features
    classes: list[str]
    shapes: dict[str, list[int]]
    target: tuple[float, float]
    loss: str
    data: list[str]
    champion: Metrics | None
    challenger: Metrics
    seed: int
    records: int
    weights: _File

    @property
    def file(self) -> _File:
        """The file beside it."""
        return self.weights


def sha256(content: bytes) -> str:
    """Hexadecimal SHA-256."""
    return hashlib.sha256(content).hexdigest()


def dump(artifact: ModelArtifact) -> tuple[bytes, bytes]:
    """Return the bytes of ``model.json`` and of the weights; the same artifact, the same bytes."""
    weights = safetensors.numpy.save(
        {name: np.ascontiguousarray(value) for name, value in sorted(artifact.weights.items())}
    )
    encoding = artifact.encoding
    manifest = Manifest(
        format=FORMAT,
        format_version=FORMAT_VERSION,
        driftloop=driftloop.__version__,
        kind=artifact.kind,
        task=artifact.task,
        stream=artifact.stream,
        version=artifact.version,
        request_id=artifact.request_id,
        features=_Features(
            numeric=list(encoding.numeric),
            categorical=list(encoding.categorical),
            mean=encoding.mean.tolist(),
            scale=encoding.scale.tolist(),
            vocabulary=[list(known) for known in encoding.vocabulary],
        ),
        classes=list(artifact.classes),
        shapes={name: list(value.shape) for name, value in sorted(artifact.weights.items())},
        target=artifact.target,
        loss=artifact.loss,
        data=list(artifact.data),
        champion=artifact.champion,
        challenger=artifact.challenger,
        seed=artifact.seed,
        records=artifact.records,
        weights=_File(WEIGHTS, len(weights), sha256(weights)),
    )
    return msgspec.json.format(msgspec.json.encode(manifest), indent=1) + b"\n", weights


def parse_manifest(content: bytes, place: str) -> Manifest:
    """Read ``model.json``.

    Raises:
        ArtifactCorruptedError: It does not parse, or has a format of another version.
    """
    try:
        manifest = msgspec.json.decode(content, type=Manifest)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise ArtifactCorruptedError(f"{place}: {MANIFEST} does not parse: {error}") from error
    if (manifest.format, manifest.format_version) != (FORMAT, FORMAT_VERSION):
        got = f"{manifest.format} {manifest.format_version}"
        rule = f"this release reads format {FORMAT} {FORMAT_VERSION}"
        raise ArtifactCorruptedError(f"{place}: {rule}, got {got}; upgrade Driftloop or retrain")
    return manifest


def build(manifest: Manifest, weights: bytes, place: str) -> ModelArtifact:
    """Put manifest and weights together.

    Raises:
        ArtifactCorruptedError: The weights do not match what the manifest says of them.
    """
    if len(weights) != manifest.weights.size or sha256(weights) != manifest.weights.sha256:
        raise ArtifactCorruptedError(
            f"{place}: {WEIGHTS} must have the sha256 {manifest.weights.sha256} that {MANIFEST} "
            f"names, got {sha256(weights)} ({len(weights)} bytes)"
        )
    try:
        arrays = safetensors.numpy.load(weights)
    except safetensors.SafetensorError as error:
        raise ArtifactCorruptedError(f"{place}: {WEIGHTS} does not parse: {error}") from error
    shapes = {name: list(value.shape) for name, value in sorted(arrays.items())}
    features = manifest.features
    encoding = Encoding(
        numeric=tuple(features.numeric),
        categorical=tuple(features.categorical),
        mean=np.asarray(features.mean, np.float64),
        scale=np.asarray(features.scale, np.float64),
        vocabulary=tuple(tuple(known) for known in features.vocabulary),
    )
    if shapes != manifest.shapes or shapes.get("weight.0", [-1])[0] != encoding.width:
        raise ArtifactCorruptedError(
            f"{place}: weights must have the shapes {manifest.shapes} and {encoding.width} "
            f"inputs, got {shapes}"
        )
    return ModelArtifact(
        kind=manifest.kind,
        task=manifest.task,
        stream=manifest.stream,
        version=manifest.version,
        request_id=manifest.request_id,
        encoding=encoding,
        # Predictions are computed in float64, whatever the weights were trained in.
        weights={name: value.astype(np.float64) for name, value in arrays.items()},
        classes=tuple(manifest.classes),
        target=manifest.target,
        loss=manifest.loss,
        data=tuple(manifest.data),
        champion=manifest.champion,
        challenger=manifest.challenger,
        seed=manifest.seed,
        records=manifest.records,
    )
