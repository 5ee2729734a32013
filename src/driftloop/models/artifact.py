"""A trained model as a value, and its manifest ``model.json``."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass, field
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt
import safetensors
import safetensors.numpy

import driftloop
from driftloop.errors import ArtifactCorruptedError
from driftloop.models.contract import FittedModel, ModelPlugin
from driftloop.models.encoding import Encoding
from driftloop.models.formats import FORMATS
from driftloop.models.payload import Payload, describe_with

FORMAT = "safetensors"
FORMAT_VERSION = 1
CONTEXT_VERSION = 2
"""Of models that read lags or the calendar: an older release would misread their inputs."""
MANIFEST = "model.json"
WEIGHTS = "weights.safetensors"

Weights = dict[str, npt.NDArray[np.floating]]
Metrics = dict[str, float | None]


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class ModelArtifact:
    """Everything that a prediction needs, and where it came from.

    Attributes:
        kind: As ``model.kind`` names it.
        task: ``regression``, ``binary`` or ``multiclass``.
        stream: Stream id.
        version: As ``v3``.
        request_id: The retrain request that it answers.
        encoding: Features to inputs.
        classes: Class labels in the order of the outputs; empty for regression.
        weights: ``weight.0`` (inputs, outputs), ``bias.0`` (outputs,), then the next layer's. A TCN
            has ``conv.weight.0`` (taps x channels, channels) and ``conv.bias.0``, and the next
            convolution's, before them; its first layer's inputs are channels, then all but lags.
        target: Mean and standard deviation of the label that the outputs are scaled by; (0, 1)
            for classification.
        loss: The loss by which it was judged.
        data: Offset ranges that it was trained on.
        champion: Metrics of the replaced version on the hold-out, or None.
        challenger: Metrics of this version on the hold-out.
        seed: Of its weights and the order of its records.
        records: How many records it was trained on.
        payload: The stored model of a plug-in, which has no `weights`; None for Driftloop's own.
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
    payload: Payload | None = None

    @property
    def format(self) -> str:
        """Format of its file."""
        return self.payload.format if self.payload else FORMAT

    @property
    def file(self) -> str:
        """Name of its file beside the manifest."""
        return self.payload.file if self.payload else WEIGHTS

    def open(self) -> tuple[ModelPlugin, FittedModel] | None:
        """Make a plug-in's model ready to predict, once; None for Driftloop's own kinds.

        Raises:
            PluginError: The plug-in, or what its format needs, is not installed here.
            ArtifactCorruptedError: Its file holds something else, or types that are not trusted.
        """
        if self.payload is None:
            return None
        place = f"{self.stream} {self.version}"
        return self.payload.open(self.encoding, self.task, self.classes, place)

    def describe(self) -> dict[str, Any]:
        """What a plug-in tells of its model, as plain JSON; empty for Driftloop's own kinds.

        Raises:
            PluginError: It is not installed here, or raised.
            ArtifactCorruptedError: As `open`.
        """
        opened = self.open()
        return describe_with(*opened) if opened else {}

    @property
    def layers(self) -> int:
        """Number of affine layers; 1 for a linear model."""
        return sum(name.startswith("weight.") for name in self.weights)

    @property
    def convolutions(self) -> int:
        """Number of convolutions before them; 0 for all but a TCN."""
        return sum(name.startswith("conv.weight.") for name in self.weights)


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
    sequence: list[str] = []
    calendar: list[str] = []
    anchored: bool = False
    level: float = 0.0


class Manifest(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
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
    weights: _File | None = None
    payload: _File | None = None
    facts: dict[str, Any] = {}

    @property
    def file(self) -> _File:
        """The file beside it."""
        found = self.weights or self.payload
        if found is None:  # `parse_manifest` has refused it
            raise ArtifactCorruptedError(f"{MANIFEST} names no file")
        return found


def sha256(content: bytes) -> str:
    """Hexadecimal SHA-256."""
    return hashlib.sha256(content).hexdigest()


def dump(artifact: ModelArtifact) -> tuple[bytes, bytes]:
    """Return the bytes of ``model.json`` and of `ModelArtifact.file`; the same for the same."""
    payload = artifact.payload
    if payload is not None:
        content = payload.content
    else:
        content = safetensors.numpy.save(
            {name: np.ascontiguousarray(value) for name, value in sorted(artifact.weights.items())}
        )
    file = _File(artifact.file, len(content), sha256(content))
    encoding = artifact.encoding
    manifest = Manifest(
        format=artifact.format,
        format_version=_format_version(encoding),
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
            sequence=list(encoding.sequence),
            calendar=list(encoding.calendar),
            anchored=encoding.anchored,
            level=encoding.level,
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
        weights=None if payload else file,
        payload=file if payload else None,
        facts=payload.facts if payload else {},
    )
    return msgspec.json.format(msgspec.json.encode(manifest), indent=1) + b"\n", content


def _format_version(encoding: Encoding) -> int:
    return CONTEXT_VERSION if encoding.sequence or encoding.calendar else FORMAT_VERSION


def parse_manifest(content: bytes, place: str) -> Manifest:
    """Read ``model.json``.

    Raises:
        ArtifactCorruptedError: It does not parse, or has a format of another version.
    """
    try:
        manifest = msgspec.json.decode(content, type=Manifest)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise ArtifactCorruptedError(f"{place}: {MANIFEST} does not parse: {error}") from error
    known = FORMATS if manifest.payload else (FORMAT,)
    versions = (FORMAT_VERSION, CONTEXT_VERSION)
    if manifest.format not in known or manifest.format_version not in versions:
        got = f"{manifest.format} {manifest.format_version}"
        rule = f"this release reads {' or '.join(known)} {FORMAT_VERSION} or {CONTEXT_VERSION}"
        raise ArtifactCorruptedError(f"{place}: {rule}, got {got}; upgrade Driftloop or retrain")
    if (manifest.weights is None) == (manifest.payload is None):
        raise ArtifactCorruptedError(f"{place}: {MANIFEST} must name either weights or a payload")
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", manifest.file.name):
        raise ArtifactCorruptedError(
            f"{place}: {MANIFEST} must name a file beside it, got {manifest.file.name!r}"
        )
    return manifest


def _inputs(encoding: Encoding, shapes: dict[str, list[int]]) -> int:
    """How many inputs weights of these shapes read."""
    inputs = shapes.get("weight.0", [-1])[0]
    convolutions = sum(name.startswith("conv.weight.") for name in shapes)
    if not convolutions:
        return inputs
    channels = shapes[f"conv.weight.{convolutions - 1}"][1]
    return inputs - channels + len(encoding.sequence)


def build(manifest: Manifest, content: bytes, place: str) -> ModelArtifact:
    """Put manifest and its file together.

    Raises:
        ArtifactCorruptedError: The file does not match what the manifest says of it.
    """
    file = manifest.file
    if len(content) != file.size or sha256(content) != file.sha256:
        raise ArtifactCorruptedError(
            f"{place}: {file.name} must have the sha256 {file.sha256} that {MANIFEST} "
            f"names, got {sha256(content)} ({len(content)} bytes)"
        )
    features = manifest.features
    encoding = Encoding(
        numeric=tuple(features.numeric),
        categorical=tuple(features.categorical),
        mean=np.asarray(features.mean, np.float64),
        scale=np.asarray(features.scale, np.float64),
        vocabulary=tuple(tuple(known) for known in features.vocabulary),
        sequence=tuple(features.sequence),
        calendar=tuple(features.calendar),
        anchored=features.anchored,
        level=features.level,
    )
    payload, weights = None, Weights()
    if manifest.payload is not None:
        payload = Payload(manifest.kind, manifest.format, content, manifest.facts)
    else:
        weights = _weights(manifest, content, encoding, place)
    return ModelArtifact(
        kind=manifest.kind,
        task=manifest.task,
        stream=manifest.stream,
        version=manifest.version,
        request_id=manifest.request_id,
        encoding=encoding,
        weights=weights,
        classes=tuple(manifest.classes),
        target=manifest.target,
        loss=manifest.loss,
        data=tuple(manifest.data),
        champion=manifest.champion,
        challenger=manifest.challenger,
        seed=manifest.seed,
        records=manifest.records,
        payload=payload,
    )


def _weights(manifest: Manifest, content: bytes, encoding: Encoding, place: str) -> Weights:
    try:
        arrays = safetensors.numpy.load(content)
    except safetensors.SafetensorError as error:
        raise ArtifactCorruptedError(f"{place}: {WEIGHTS} does not parse: {error}") from error
    shapes = {name: list(value.shape) for name, value in sorted(arrays.items())}
    if shapes != manifest.shapes or _inputs(encoding, shapes) != encoding.width:
        raise ArtifactCorruptedError(
            f"{place}: weights must have the shapes {manifest.shapes} and {encoding.width} "
            f"inputs, got {shapes}"
        )
    # Predictions are computed in float64, whatever the weights were trained in.
    return {name: value.astype(np.float64) for name, value in arrays.items()}
