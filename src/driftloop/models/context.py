"""What a record says of its time: the lags that it carries, and the calendar of its event time."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]

TAPS = 3
"""Lags that one convolution joins."""

DAY_MS = 86_400_000
LAST_MS = 253_402_300_799_999  # the end of the year 9999


def convolutions(lags: int) -> int:
    """How many convolutions of `TAPS` taps see so many lags, each with `TAPS` times the dilation.

    >>> [convolutions(lags) for lags in (1, 3, 4, 24, 27, 28)]
    [1, 1, 2, 3, 3, 4]
    """
    count = 1
    while TAPS**count < lags:
        count += 1
    return count


def span(lags: int) -> int:
    """Lags that these convolutions see: `lags`, and zeros before them."""
    return int(TAPS ** convolutions(lags))


def filled(lags: Array) -> Array:
    """Fill missing lags from their neighbours in time.

    A lag that is not finite takes the nearest older one that is, else the nearest newer one.

    Args:
        lags: (records, lags) values, oldest first.

    Returns:
        (records, lags), C-contiguous; a record without any finite lag stays nan.

    >>> filled(np.array([[np.nan, 1.0, np.nan, 4.0]])).tolist()
    [[1.0, 1.0, 1.0, 4.0]]
    """
    known = np.isfinite(lags)
    if known.all():
        return np.ascontiguousarray(lags)
    places = np.where(known, np.arange(lags.shape[1]), -1)  # (records, lags)
    nearest = np.maximum.accumulate(places, axis=1)
    first = known.argmax(axis=1)
    nearest = np.where(nearest < 0, first[:, None], nearest)
    values = np.take_along_axis(lags, nearest, axis=1)
    values[~np.isfinite(values)] = np.nan  # of a record without any
    return values


def calendar_columns(parts: tuple[str, ...], ts: Array) -> Array:
    """Sine and cosine of each part's phase, (records, 2 parts).

    ``hour-of-day`` goes on within the hour; ``day-of-week`` (Monday first) and ``day-of-year``
    count whole days, the latter of 365 or 366.

    Args:
        parts: Which, in this order.
        ts: (records,) event times, milliseconds since the epoch, UTC.

    >>> noon = np.array([43_200_000.0])  # Thursday, 1 January 1970
    >>> calendar_columns(("hour-of-day", "day-of-year"), noon).round(6).tolist()
    [[0.0, -1.0, 0.0, 1.0]]
    """
    whole = np.clip(np.nan_to_num(ts), 0, LAST_MS).astype(np.int64)
    out = np.empty((len(whole), 2 * len(parts)))
    for i, part in enumerate(parts):
        angle = 2.0 * np.pi * _phase(part, whole)
        out[:, 2 * i], out[:, 2 * i + 1] = np.sin(angle), np.cos(angle)
    return out


def _phase(part: str, ts: npt.NDArray[np.int64]) -> Array:
    """Where in its cycle a time is, (records,) in [0, 1)."""
    day = ts // DAY_MS
    if part == "hour-of-day":
        return (ts % DAY_MS) / DAY_MS
    if part == "day-of-week":
        return (day + 3) % 7 / 7.0  # 1 January 1970 was a Thursday
    year = day.astype("datetime64[D]").astype("datetime64[Y]")
    first = year.astype("datetime64[D]").astype(np.int64)
    following = (year + 1).astype("datetime64[D]").astype(np.int64)
    return (day - first) / (following - first)
