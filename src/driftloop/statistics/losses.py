"""Per-record losses of predictions.

Values that cannot be scored give nan, never a warning and never an exception: a nan or infinite
label or prediction, a label that is no class index, a probability outside [0, 1].
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from driftloop.errors import Fault, SettingsError

Array = npt.NDArray[np.float64]

PROBABILITY_FLOOR = 1e-12
"""Log loss reads probabilities as at least this, so one record costs at most 27.7 (= -ln 1e-12)."""


def compute(loss: str, y: npt.ArrayLike, y_pred: npt.ArrayLike) -> Array:
    """Return the loss of each record.

    Args:
        loss: ``absolute``, ``squared``, ``log_loss`` (natural logarithm) or ``zero_one``.
        y: Labels, (records,): numbers, or class indices 0, 1, … for the two classification losses.
        y_pred: Predictions. (records,): numbers; for ``log_loss`` the probability of class 1; for
            ``zero_one`` a class index, or a probability of class 1, which counts as class 1 above
            .5. (records, classes): probabilities; ``zero_one`` takes the largest, the first of
            equals; they are not normalised.

    Returns:
        (records,) float64; nan where a record cannot be scored.

    Raises:
        SettingsError: The loss is unknown, or the shapes do not fit each other or the loss.

    >>> compute("absolute", [1.0, 2.0, float("nan")], [1.5, 4.0, 0.0]).tolist()
    [0.5, 2.0, nan]
    """
    function = _LOSSES.get(loss)
    if function is None:
        rule = f"must be one of {', '.join(LOSSES)}"
        raise SettingsError([Fault("loss", repr(loss), rule)])
    labels = np.asarray(y, dtype=np.float64)
    predictions = np.asarray(y_pred, dtype=np.float64)
    fits = labels.ndim == 1 and predictions.shape[:1] == labels.shape
    if not fits or predictions.ndim > (2 if loss in _CLASSIFICATION else 1):
        rule = f"{loss} takes y (records,) and y_pred of the same length"
        raise SettingsError([Fault("y_pred", f"{labels.shape} and {predictions.shape}", rule)])
    with np.errstate(all="ignore"):
        values = function(labels, predictions)
    if not np.isfinite(values).all():
        values = np.where(np.isfinite(values), values, np.nan)
    return values


def _absolute(y: Array, y_pred: Array) -> Array:
    return np.abs(y - y_pred)


def _squared(y: Array, y_pred: Array) -> Array:
    return np.square(y - y_pred)


def _log_loss(y: Array, y_pred: Array) -> Array:
    if y_pred.ndim == 1:
        usable = ((y == 0.0) | (y == 1.0)) & (y_pred >= 0.0) & (y_pred <= 1.0)
        chosen = np.where(y == 1.0, y_pred, 1.0 - y_pred)
    else:
        usable, index = _class_indices(y, y_pred)
        usable &= ((y_pred >= 0.0) & (y_pred <= 1.0)).all(axis=1)
        chosen = _pick(y_pred, index)
    return np.where(usable, -np.log(np.maximum(chosen, PROBABILITY_FLOOR)), np.nan)


def _zero_one(y: Array, y_pred: Array) -> Array:
    if y_pred.ndim == 1:
        # A fraction can only be a probability of class 1; whole numbers are class indices.
        fraction = (y_pred > 0.0) & (y_pred < 1.0)
        predicted = np.where(fraction, (y_pred > 0.5).astype(np.float64), y_pred)
        usable = (y >= 0.0) & (y == np.floor(y)) & np.isfinite(y)
        usable &= (predicted >= 0.0) & (predicted == np.floor(predicted)) & np.isfinite(predicted)
    else:
        usable, _ = _class_indices(y, y_pred)
        usable &= np.isfinite(y_pred).all(axis=1)
        predicted = (
            y_pred.argmax(axis=1).astype(np.float64) if y_pred.shape[1] else np.zeros(len(y))
        )
    return np.where(usable, (predicted != y).astype(np.float64), np.nan)


def _class_indices(y: Array, y_pred: Array) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.intp]]:
    """Return which labels index a column of y_pred, and that index (0 where they do not)."""
    usable = (y >= 0.0) & (y < y_pred.shape[1]) & (y == np.floor(y))
    return usable, np.where(usable, y, 0.0).astype(np.intp)


def _pick(y_pred: Array, index: npt.NDArray[np.intp]) -> Array:
    if not y_pred.shape[1]:
        return np.full(len(index), np.nan)
    picked: Array = y_pred[np.arange(len(index)), index]
    return picked


_LOSSES: dict[str, Callable[[Array, Array], Array]] = {
    "absolute": _absolute,
    "squared": _squared,
    "log_loss": _log_loss,
    "zero_one": _zero_one,
}
_CLASSIFICATION = ("log_loss", "zero_one")

LOSSES = tuple(_LOSSES)
"""The names that `compute` knows."""
