"""The stored model of a plug-in: bytes of a safe format, opened when it is first needed."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from driftloop.errors import ArtifactCorruptedError, PluginError, SettingsError
from driftloop.models.contract import FittedModel, Inputs, ModelPlugin
from driftloop.models.encoding import Encoding
from driftloop.models.formats import FORMATS, needed
from driftloop.models.kinds import make_plugin

Array = npt.NDArray[np.float64]


class Payload:
    """A model of a plug-in as it is stored.

    Attributes:
        kind: The plug-in's name.
        format: One of `driftloop.models.formats.FORMATS`.
        content: Its bytes.
        facts: What the plug-in keeps beside them, as plain JSON.
    """

    __slots__ = ("_lock", "_opened", "content", "facts", "format", "kind")

    def __init__(self, kind: str, form: str, content: bytes, facts: Mapping[str, Any]) -> None:
        self.kind, self.format, self.content, self.facts = kind, form, content, dict(facts)
        self._opened: FittedModel | None = None
        self._lock = threading.Lock()

    def __reduce__(self) -> tuple[Any, ...]:
        """Crosses processes as bytes."""
        return Payload, (self.kind, self.format, self.content, self.facts)

    @property
    def file(self) -> str:
        """Name of its file beside ``model.json``."""
        return FORMATS[self.format].file

    def open(
        self, encoding: Encoding, task: str, classes: tuple[str, ...], place: str = ""
    ) -> tuple[ModelPlugin, FittedModel]:
        """The plug-in and its model; read once.

        Raises:
            PluginError: The plug-in, or what its format needs, is not installed here.
            ArtifactCorruptedError: The bytes hold something else, or types that are not trusted.
        """
        plugin = plugin_of(self.kind)
        with self._lock:
            if self._opened is None:
                trusted = frozenset(getattr(plugin, "trusted", ()))
                try:
                    model = FORMATS[self.format].load(self.content, trusted)
                except ImportError as error:
                    rule = f"model kind {self.kind!r} needs {error.name}: {needed(error)}"
                    raise PluginError(f"{place}: {rule}" if place else rule) from error
                except ValueError as error:
                    raise ArtifactCorruptedError(
                        f"{place or self.kind}: {self.file} cannot be read: {error}"
                    ) from error
                self._opened = FittedModel(model, encoding, task, classes, self.facts)
            return plugin, self._opened


def plugin_of(kind: str) -> ModelPlugin:
    """The plug-in of a stored model.

    Raises:
        PluginError: It is not installed here, or broken.
    """
    try:
        return make_plugin(kind)
    except SettingsError as error:
        told = "; ".join(f"{fault.rule} {fault.hint}".strip() for fault in error.faults)
        raise PluginError(f"model kind {kind!r} cannot be used here: needs {told}") from error


def predict_with(plugin: ModelPlugin, model: FittedModel, inputs: Inputs, classes: int) -> Array:
    """Predictions of a plug-in, held against its contract.

    Args:
        plugin: Who predicts.
        model: With what.
        inputs: n records.
        classes: Columns of a multiclass task, else 0.

    Raises:
        PluginError: It raised, or gave something else than (n,) or (n, classes) numbers.
    """
    wanted = (len(inputs), classes) if classes else (len(inputs),)
    if not len(inputs):
        return np.zeros(wanted)
    try:
        found = np.asarray(plugin.predict(model, inputs), np.float64)
    except MemoryError:
        raise
    except Exception as error:  # a plug-in may raise what it likes
        told = f"{type(error).__name__}: {error}"
        raise PluginError(f"model kind {plugin.name!r} cannot predict: {told}") from error
    if found.shape != wanted:
        rule = f"must predict numbers of shape {wanted}, got {found.shape}"
        raise PluginError(f"model kind {plugin.name!r} {rule}")
    return found


def describe_with(plugin: ModelPlugin, model: FittedModel) -> dict[str, Any]:
    """What a plug-in tells of its model.

    Raises:
        PluginError: It raised.
    """
    try:
        return dict(plugin.describe(model))
    except Exception as error:  # a plug-in may raise what it likes
        told = f"{type(error).__name__}: {error}"
        raise PluginError(f"model kind {plugin.name!r} cannot describe a model: {told}") from error
