"""The built-in kinds as ONNX graphs, with everything from raw features to the label's unit inside.

Inputs are those of `driftloop.models.predict`, as far as the model reads them:

- ``numeric``, double (n, numeric): what the model's metadata name ``numeric``, the lags of a
  sequence among them; nan where absent.
- ``categorical``, string (n, categorical), where it has texts: "" where absent.
- ``time``, int64 (n,), where it has a calendar: event times, milliseconds since the epoch, UTC.

The output ``prediction`` is double: (n,) numbers or probabilities of class 1, or (n, classes)
probabilities. Scaling and its reverse, one-hot texts, filling of missing lags, differences to the
newest lag and the calendar are in the graph.
"""

from __future__ import annotations

import json
from typing import Any

from driftloop.errors import DriftloopError
from driftloop.models.artifact import ModelArtifact
from driftloop.models.context import span
from driftloop.models.formats import needed
from driftloop.models.onnx_inputs import encoded
from driftloop.models.onnx_nodes import Nodes
from driftloop.settings.kinds import BUILT_IN_KINDS

OPSET = 17
"""Of the operators; opset 17 is read by ONNX Runtime from 1.12 on."""
_ML_OPSET = 3
_IR = 8

_NUMERIC = "Features that the metadata name under 'numeric', in this order; nan where absent."
_CATEGORICAL = "Features that the metadata name under 'categorical', in this order; '' if absent."
_TIME = "Event times, milliseconds since the epoch, UTC."
_PREDICTION = {
    "regression": "In the unit of the label.",
    "binary": "Probability of class 1.",
    "multiclass": "Probability of each class that the metadata name under 'classes'.",
}


def export(artifact: ModelArtifact) -> bytes:
    """A model as an ONNX file.

    Args:
        artifact: Of a built-in kind: `driftloop.settings.kinds.BUILT_IN_KINDS`.

    Returns:
        The serialised graph. Its metadata are texts: ``kind``, ``task``, ``stream`` and
        ``version``, and as JSON lists ``numeric``, ``categorical``, ``sequence`` (lags, oldest
        first), ``calendar`` and ``classes``. The same artifact has the same bytes.

    Raises:
        DriftloopError: The kind is a plug-in's, or the package ``onnx`` is not installed.
    """
    if artifact.kind not in BUILT_IN_KINDS:
        kinds = ", ".join(BUILT_IN_KINDS)
        raise DriftloopError(
            f"ONNX is written for {kinds}, got {artifact.kind!r}: export its own format"
        )
    try:
        import onnx  # noqa: PLC0415  # an extra
    except ImportError as error:
        raise DriftloopError(
            f"ONNX needs the package onnx, not installed here: {needed(error)}"
        ) from error
    found = _model(Nodes(onnx), artifact)
    onnx.checker.check_model(found, full_check=True)
    return bytes(found.SerializeToString())


def _model(nodes: Nodes, artifact: ModelArtifact) -> Any:
    helper, encoding = nodes.onnx.helper, artifact.encoding
    features = encoded(nodes, encoding)
    hidden = features.inputs
    if artifact.convolutions:
        hidden = _convolved(nodes, artifact, hidden)
    _finished(nodes, artifact, _forward(nodes, artifact, hidden), features.levels)
    graph = helper.make_graph(
        nodes.made,
        f"driftloop-{artifact.kind}",
        _inputs(nodes, artifact),
        [_output(nodes, artifact)],
        nodes.constants,
    )
    opsets = [helper.make_opsetid("", OPSET), helper.make_opsetid("ai.onnx.ml", _ML_OPSET)]
    made = helper.make_model(graph, producer_name="driftloop", opset_imports=opsets, ir_version=_IR)
    facts = {
        "kind": artifact.kind,
        "task": artifact.task,
        "stream": artifact.stream,
        "version": artifact.version,
        "numeric": json.dumps(encoding.numeric),
        "categorical": json.dumps(encoding.categorical),
        "sequence": json.dumps(encoding.sequence),
        "calendar": json.dumps(encoding.calendar),
        "classes": json.dumps(artifact.classes),
    }
    helper.set_model_props(made, facts)
    return made


def _inputs(nodes: Nodes, artifact: ModelArtifact) -> list[Any]:
    kinds, encoding = nodes.onnx.TensorProto, artifact.encoding
    info = nodes.onnx.helper.make_tensor_value_info
    found = [info("numeric", kinds.DOUBLE, ["n", len(encoding.numeric)], _NUMERIC)]
    if encoding.categorical:
        shape = ["n", len(encoding.categorical)]
        found.append(info("categorical", kinds.STRING, shape, _CATEGORICAL))
    if encoding.calendar:
        found.append(info("time", kinds.INT64, ["n"], _TIME))
    return found


def _output(nodes: Nodes, artifact: ModelArtifact) -> Any:
    shape = ["n", len(artifact.classes)] if artifact.task == "multiclass" else ["n"]
    told = _PREDICTION[artifact.task]
    double = nodes.onnx.TensorProto.DOUBLE
    return nodes.onnx.helper.make_tensor_value_info("prediction", double, shape, told)


def _affine(nodes: Nodes, artifact: ModelArtifact, hidden: str, weight: str, bias: str) -> str:
    product = nodes.node("MatMul", [hidden, nodes.constant(artifact.weights[weight])])
    return nodes.node("Add", [product, nodes.constant(artifact.weights[bias][None])])


def _convolved(nodes: Nodes, artifact: ModelArtifact, inputs: str) -> str:
    """Channels of the newest lag, and the inputs that are no lags, (n, inputs)."""
    lags, width = len(artifact.encoding.sequence), artifact.encoding.width
    hidden = nodes.node("Slice", [inputs, *(nodes.whole([at]) for at in (0, lags, 1))])
    pads, zero = nodes.whole([0, span(lags) - lags, 0, 0]), nodes.constant(0.0)
    hidden = nodes.node("Pad", [hidden, pads, zero])  # zeros before the oldest lag
    for layer in range(artifact.convolutions):
        weight, bias = f"conv.weight.{layer}", f"conv.bias.{layer}"
        taps = nodes.whole([-1, len(artifact.weights[weight])])  # times channels
        hidden = nodes.node("Reshape", [hidden, taps])  # (n x places, taps x channels)
        hidden = nodes.node("Relu", [_affine(nodes, artifact, hidden, weight, bias)])
    if lags == width:
        return hidden
    others = nodes.node("Slice", [inputs, *(nodes.whole([at]) for at in (lags, width, 1))])
    return nodes.node("Concat", [hidden, others], axis=1)


def _forward(nodes: Nodes, artifact: ModelArtifact, hidden: str) -> str:
    for layer in range(artifact.layers):
        if layer:
            hidden = nodes.node("Relu", [hidden])
        hidden = _affine(nodes, artifact, hidden, f"weight.{layer}", f"bias.{layer}")
    return hidden


def _finished(nodes: Nodes, artifact: ModelArtifact, outputs: str, levels: str) -> None:
    """As `driftloop.models.predict.finish`, and the newest lag where it was taken."""
    if artifact.task == "multiclass":
        nodes.node("Softmax", [outputs], "prediction", axis=1)
        return
    flat = nodes.whole([-1])
    if artifact.task == "binary":
        nodes.node("Reshape", [nodes.node("Sigmoid", [outputs]), flat], "prediction")
        return
    mean, scale = artifact.target
    scaled = nodes.node("Mul", [outputs, nodes.constant([[scale]])])
    label = nodes.node("Add", [scaled, nodes.constant([[mean]])])
    if levels:
        label = nodes.node("Add", [label, levels])
    nodes.node("Reshape", [label, flat], "prediction")
