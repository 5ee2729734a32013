"""The built-in kinds as ONNX graphs, with everything from raw features to the label's unit inside.

Inputs are ``numeric``, double (records, numeric), nan where absent, and, where the model has texts,
``categorical``, string (records, categorical), "" where absent. The output ``prediction`` is
double: (records,) numbers or probabilities of class 1, or (records, classes) probabilities.
"""

from __future__ import annotations

import json
from typing import Any

import numpy as np

from driftloop.errors import DriftloopError
from driftloop.models.artifact import ModelArtifact
from driftloop.models.formats import needed
from driftloop.settings.kinds import BUILT_IN_KINDS

OPSET = 17
"""Of the operators; opset 17 is read by ONNX Runtime from 1.12 on."""
_ML_OPSET = 3
_IR = 8


def export(artifact: ModelArtifact) -> bytes:
    """A model as an ONNX file.

    Args:
        artifact: A ``linear``, ``mlp_regressor`` or ``mlp_classifier``.

    Returns:
        The serialised graph; its metadata name kind, stream, version, features and classes.

    Raises:
        DriftloopError: The kind has no graph here, or the package ``onnx`` is not installed.
    """
    encoding = artifact.encoding
    context = bool(encoding.sequence or encoding.calendar or artifact.convolutions)
    if artifact.kind not in BUILT_IN_KINDS or context:
        kinds = "linear, mlp_regressor and mlp_classifier without lags or calendar"
        raise DriftloopError(
            f"ONNX is written for {kinds}, got {artifact.kind!r}: export its own format"
        )
    try:
        import onnx  # noqa: PLC0415  # an extra
    except ImportError as error:
        raise DriftloopError(
            f"ONNX needs the package onnx, not installed here: {needed(error)}"
        ) from error
    graph = _Graph(onnx)
    found = graph.model(artifact)
    onnx.checker.check_model(found, full_check=True)
    return bytes(found.SerializeToString())


class _Graph:
    """Nodes and constants of a graph in the making; a value is known by its name."""

    def __init__(self, onnx: Any) -> None:
        self._onnx = onnx
        self._nodes: list[Any] = []
        self._constants: list[Any] = []

    def model(self, artifact: ModelArtifact) -> Any:
        helper, kinds = self._onnx.helper, self._onnx.TensorProto
        encoding = artifact.encoding
        inputs = [
            helper.make_tensor_value_info("numeric", kinds.DOUBLE, ["n", len(encoding.numeric)])
        ]
        if encoding.categorical:
            shape = ["n", len(encoding.categorical)]
            inputs.append(helper.make_tensor_value_info("categorical", kinds.STRING, shape))
        outputs = self._forward(artifact, self._encoded(artifact))
        self._finished(artifact, outputs)
        wide = artifact.task == "multiclass"
        shape = ["n", len(artifact.classes)] if wide else ["n"]
        output = helper.make_tensor_value_info("prediction", kinds.DOUBLE, shape)
        graph = helper.make_graph(
            self._nodes, f"driftloop-{artifact.kind}", inputs, [output], self._constants
        )
        opsets = [helper.make_opsetid("", OPSET), helper.make_opsetid("ai.onnx.ml", _ML_OPSET)]
        made = helper.make_model(
            graph, producer_name="driftloop", opset_imports=opsets, ir_version=_IR
        )
        facts = {
            "kind": artifact.kind,
            "task": artifact.task,
            "stream": artifact.stream,
            "version": artifact.version,
            "numeric": json.dumps(encoding.numeric),
            "categorical": json.dumps(encoding.categorical),
            "classes": json.dumps(artifact.classes),
        }
        helper.set_model_props(made, facts)
        return made

    def _encoded(self, artifact: ModelArtifact) -> str:
        """As `driftloop.models.Encoding.encode`: (n, width)."""
        encoding = artifact.encoding
        centred = self._node("Sub", ["numeric", self._constant(encoding.mean[None])])
        scaled = self._node("Div", [centred, self._constant(encoding.scale[None])])
        # What is not finite is no number minus itself.
        zero = self._node("Sub", [scaled, scaled])
        odd = self._node("IsNaN", [zero])
        parts = [self._node("Where", [odd, self._constant(np.zeros((1, 1))), scaled])]
        for place, known in enumerate(encoding.vocabulary):
            at = self._constant(np.array([place], np.int64))
            texts = self._node("Gather", ["categorical", at], axis=1)  # (n, 1)
            texts = self._node("Reshape", [texts, self._constant(np.array([-1], np.int64))])
            parts.append(self._one_hot(texts, known))
        return self._node("Concat", parts, axis=1) if len(parts) > 1 else parts[0]

    def _one_hot(self, texts: str, known: tuple[str, ...]) -> str:
        """One column a known category and a last one for every other value."""
        index = self._node(
            "LabelEncoder",
            [texts],
            domain="ai.onnx.ml",
            keys_strings=list(known) or [""],
            values_int64s=list(range(len(known))) or [0],
            default_int64=len(known),
        )
        depth = self._constant(np.array([len(known) + 1], np.int64))
        values = self._constant(np.array([0.0, 1.0], np.float32))  # the runtime knows no doubles
        columns = self._node("OneHot", [index, depth, values], axis=1)
        return self._node("Cast", [columns], to=self._onnx.TensorProto.DOUBLE)

    def _forward(self, artifact: ModelArtifact, hidden: str) -> str:
        for layer in range(artifact.layers):
            if layer:
                hidden = self._node("Relu", [hidden])
            weight = artifact.weights[f"weight.{layer}"].astype(np.float64)
            bias = artifact.weights[f"bias.{layer}"].astype(np.float64)
            product = self._node("MatMul", [hidden, self._constant(weight)])
            hidden = self._node("Add", [product, self._constant(bias[None])])
        return hidden

    def _finished(self, artifact: ModelArtifact, outputs: str) -> None:
        """As `driftloop.models.predict.finish`."""
        if artifact.task == "multiclass":
            self._node("Softmax", [outputs], "prediction", axis=1)
            return
        flat = self._constant(np.array([-1], np.int64))
        if artifact.task == "binary":
            self._node("Reshape", [self._node("Sigmoid", [outputs]), flat], "prediction")
            return
        mean, scale = artifact.target
        scaled = self._node("Mul", [outputs, self._constant(np.array([[scale]]))])
        label = self._node("Add", [scaled, self._constant(np.array([[mean]]))])
        self._node("Reshape", [label, flat], "prediction")

    def _constant(self, value: np.ndarray[Any, Any]) -> str:
        name = f"c{len(self._constants)}"
        self._constants.append(
            self._onnx.numpy_helper.from_array(np.ascontiguousarray(value), name)
        )
        return name

    def _node(
        self,
        operator: str,
        inputs: list[str],
        output: str = "",
        domain: str = "",
        **attributes: Any,
    ) -> str:
        name = output or f"v{len(self._nodes)}"
        node = self._onnx.helper.make_node(
            operator, inputs, [name], domain=domain or None, **attributes
        )
        self._nodes.append(node)
        return name
