"""Incremental drift detectors of river, behind one protocol.

A detector reads one stream of numbers, record by record, and signals the records at which it has
changed. Values that it cannot read are skipped: those that are not finite (one nan would blind it
for good), and for detectors of errors those that are none (`driftloop.settings.detectors.Reads`).

Their alarms are no calibrated tests: none keeps a level over a stream, and dependence between
records makes all of them signal more. Measured by ``scripts/detector_rates.py`` with river 0.26.1
and its usual parameters, in 20 runs each: mean false alarms a run of 2,000 records without drift,
independent (with the worst run) and dependent; and after 1,000 records a shift by one standard
deviation (ADWIN, Page-Hinkley, KSWIN) or from 20 % to 40 % errors (the others): in how many runs it
was signalled within 1,000 records, and after how many. KSWIN and EDDM signal often on nothing;
Page-Hinkley's threshold is in the value's own units, here standard deviations.

============  ===========  =====  ======  ========  ======  ======
detector      independent  worst  AR(1)   shifts    median  µs a
              records      run    φ = .6  of 20     delay   record
============  ===========  =====  ======  ========  ======  ======
adwin         0.00         0      1.10    20        56      0.18
page_hinkley  0.80         2      4.65    20        38      0.42
kswin         2.75         5      11.45   20        25      171.61
ddm           0.75         3      4.35    20        181     0.36
eddm          7.95         12     10.35   20        44      0.23
fhddm         0.00         0      1.25    20        82      0.25
hddm_a        0.00         0      4.45    20        80      3.53
hddm_w        0.05         1      3.45    20        48      3.02
============  ===========  =====  ======  ========  ======  ======
"""

from __future__ import annotations

import difflib
from collections.abc import Callable
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
from river import drift

from driftloop.errors import Fault, SettingsError
from driftloop.settings.detectors import KINDS, BaseDetector, Reads

Array = npt.NDArray[np.float64]

_ABSURD = 1e100  # its square is still finite, so it cannot overflow a detector's variance


class Detector(Protocol):
    """What every incremental detector does.

    Independent of how its input is split: the same values in other batches give the same signals.
    Pickles, with all of its state.

    Attributes:
        name: As alarms carry it.
        on: What it reads, as `driftloop.settings.detectors.BaseDetector` says.
    """

    name: str
    on: str

    def update_many(self, values: npt.ArrayLike) -> list[int]:
        """Read values, (n,), in order; return the indices at which drift was signalled."""

    def reset(self) -> None:
        """Forget everything but the parameters."""


class _RiverDetector:
    """A river detector, which starts afresh by itself on the value after a signal."""

    __slots__ = ("_detector", "_kind", "_params", "_reads", "name", "on")

    def __init__(self, kind: str, name: str, on: str, params: dict[str, Any]) -> None:
        self.name = name
        self.on = on
        self._kind = kind
        self._reads = KINDS[kind].reads
        self._params = params
        self.reset()

    def update_many(self, values: npt.ArrayLike) -> list[int]:
        """Read values, (n,), in order; return the indices at which drift was signalled."""
        array = np.asarray(values, dtype=np.float64).ravel()
        usable = _readable(array, self._reads)
        kept = None if usable.all() else np.flatnonzero(usable)
        readable = array if kept is None else array[kept]
        numbers = (1.0 - readable if self._kind in _RIGHT else readable).tolist()
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
        self._detector = _DETECTORS[self._kind](**self._params)


def _readable(array: Array, reads: Reads) -> npt.NDArray[np.bool_]:
    """Which values a detector can read, (n,); nan is none."""
    if reads == "bits":
        return np.isin(array, (0.0, 1.0))
    if reads == "unit":
        return np.logical_and(array >= 0.0, array <= 1.0)
    return np.less(np.abs(array), _ABSURD)


_DETECTORS: dict[str, Callable[..., Any]] = {
    "adwin": drift.ADWIN,
    "page_hinkley": drift.PageHinkley,
    "kswin": drift.KSWIN,
    "ddm": drift.binary.DDM,
    "eddm": drift.binary.EDDM,
    "fhddm": drift.binary.FHDDM,
    "hddm_a": drift.binary.HDDMA,
    "hddm_w": drift.binary.HDDMW,
}

_RIGHT = {"fhddm"}
"""Detectors whose class reads 1 as a right answer: it signals a *fall* of the mean."""

DETECTORS = tuple(_DETECTORS)
"""The names that `make_detector` knows."""


def make_detector(kind: str, **params: Any) -> Detector:
    """Make a detector that reads what its kind usually reads.

    All but ``fhddm`` hand their values to river's class as they are; it gets 1 - error.

    Args:
        kind: ``adwin`` (Bifet, Gavaldà 2007), ``page_hinkley`` (Page 1954; ``mode="up"`` signals a
            rise only) and ``kswin`` (Raab, Heusinger, Schleif 2020) read any number; ``ddm``
            (Gama et al. 2004), ``eddm`` (Baena-García et al. 2006) and ``fhddm`` (Pesaranghader,
            Viktor 2016) read errors, 0 or 1; ``hddm_a`` and ``hddm_w`` (Frías-Blanco et al. 2015)
            read numbers in [0, 1]. These five signal rises only, by default.
        params: Parameters of river's class of that name. ``kswin`` has seed 0 unless told.

    Raises:
        SettingsError: The kind or a parameter is unknown, or river refuses a value.

    >>> make_detector("adwin").update_many([0.0] * 500 + [1.0] * 100)
    [511]
    """
    if kind not in _DETECTORS:
        close = difflib.get_close_matches(kind, DETECTORS, n=1, cutoff=0.5)
        hint = f"did you mean {close[0]!r}?" if close else ""
        rule = f"must be one of {', '.join(DETECTORS)}"
        raise SettingsError([Fault("detector", repr(kind), rule, hint)])
    if kind == "kswin":
        params = {"seed": 0, **params}
    try:
        return _RiverDetector(kind, kind, KINDS[kind].usual, params)
    except (TypeError, ValueError, ArithmeticError) as error:
        rule = f"river's parameters for {kind} do not fit: {error}"
        raise SettingsError([Fault(f"detector.{kind}", repr(params), rule)]) from error


def from_settings(detector: BaseDetector) -> Detector:
    """Make the detector that settings, which are already checked, describe."""
    return _RiverDetector(detector.kind, detector.name, detector.on, detector.parameters)
