"""Nodes and constants of an ONNX graph in the making."""

from __future__ import annotations

from typing import Any

import numpy as np


class Nodes:
    """What a graph is made of; a value is known by its name.

    Args:
        onnx: The package, which is an extra.

    Attributes:
        made: The nodes, each behind those that it reads.
        constants: The arrays.
    """

    def __init__(self, onnx: Any) -> None:
        self.onnx = onnx
        self.made: list[Any] = []
        self.constants: list[Any] = []

    def constant(self, value: Any, dtype: Any = np.float64) -> str:
        """An array of the graph; a number is one of no dimensions."""
        name = f"c{len(self.constants)}"
        array = np.ascontiguousarray(np.asarray(value, dtype)).reshape(np.shape(value))
        self.constants.append(self.onnx.numpy_helper.from_array(array, name))
        return name

    def whole(self, value: Any) -> str:
        """An array of int64: places, shapes, days."""
        return self.constant(value, np.int64)

    def node(
        self,
        operator: str,
        inputs: list[str],
        output: str = "",
        domain: str = "",
        **attributes: Any,
    ) -> str:
        """Apply an operator; returns the name of its one output."""
        name = output or f"v{len(self.made)}"
        node = self.onnx.helper.make_node(
            operator, inputs, [name], domain=domain or None, **attributes
        )
        self.made.append(node)
        return name

    def not_finite(self, value: str) -> str:
        """Where a number is nan or infinite: it is no number minus itself."""
        return self.node("IsNaN", [self.node("Sub", [value, value])])
