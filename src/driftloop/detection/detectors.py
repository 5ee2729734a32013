"""Incremental drift detectors of river, behind one protocol.

A detector reads one stream of numbers, record by record, and signals the records at which its
mean has changed. Values that are not finite are skipped: one nan would blind it for good.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
from river import drift

from driftloop.errors import Fault, SettingsError

Array = npt.NDArray[np.float64]

_ABSURD = 1e100  # its square is still finite, so it cannot overflow a detector's variance


class Detector(Protocol):
    """What every incremental detector does.

    Independent of how its input is split: the same values in other batches give the same signals.
    Pickles, with all of its state.
    """

    name: str

    def update_many(self, values: npt.ArrayLike) -> list[int]:
        """Read values, (n,), in order; return the indices at which drift was signalled."""

    def reset(self) -> None:
        """Forget everything but the parameters."""


class _RiverDetector:
    """A river detector, which starts afresh by itself on the value after a signal."""

    __slots__ = ("_detector", "_make", "_params", "name")

    def __init__(self, name: str, make: Callable[..., Any], params: dict[str, Any]) -> None:
        self.name = name
        self._make = make
        self._params = params
        self.reset()

    def update_many(self, values: npt.ArrayLike) -> list[int]:
        """Read values, (n,), in order; return the indices at which drift was signalled."""
        array = np.asarray(values, dtype=np.float64).ravel()
        usable = np.abs(array) < _ABSURD  # nan is not
        kept = None if usable.all() else np.flatnonzero(usable)
        numbers = (array if kept is None else array[kept]).tolist()
        detector = self._detector
        update = detector.update
        signals = []
        for index, value in enumerate(numbers):
            update(value)
            if detector.drift_detected:
                signals.append(index)
        return signals if kept is None else kept[signals].tolist()

    def reset(self) -> None:
        """Forget everything but the parameters."""
        self._detector = self._make(**self._params)


_DETECTORS: dict[str, Callable[..., Any]] = {
    "adwin": drift.ADWIN,
    "page_hinkley": drift.PageHinkley,
}

DETECTORS = tuple(_DETECTORS)
"""The names that `make_detector` knows."""


def make_detector(name: str, **params: Any) -> Detector:
    """Make a detector by name.

    Args:
        name: ``adwin`` (Bifet, Gavaldà 2007; signals on either side) or ``page_hinkley`` (Page
            1954; ``mode="up"`` signals a rise only).
        params: Parameters of river's class of that name, as ``delta`` for both.

    Raises:
        SettingsError: The name or a parameter is unknown, or river refuses a value.
    """
    make = _DETECTORS.get(name)
    if make is None:
        rule = f"must be one of {', '.join(DETECTORS)}"
        raise SettingsError([Fault("detector", repr(name), rule)])
    try:
        return _RiverDetector(name, make, params)
    except (TypeError, ValueError) as error:
        rule = f"river's parameters for {name} do not fit: {error}"
        raise SettingsError([Fault(f"detector.{name}", repr(params), rule)]) from error
