"""The level of a single look, from the error that a whole year may make, and back."""

from __future__ import annotations

import math

from driftloop.errors import Fault, SettingsError

SECONDS_PER_YEAR = 31_557_600.0
"""365.25 days of 86,400 seconds (a Julian year)."""


def alpha_for_span(alpha_per_year: float, seconds: float, maximum: float = 0.05) -> float:
    """Return the level at which one window may be tested.

    The level is alpha * (event time that the window spans) / year. The levels of windows that do
    not overlap therefore sum to at most alpha over a year, however they are cut, so the expected
    number of false alarms a year is at most alpha. Windows by count need no rate known in advance.

    Args:
        alpha_per_year: alpha, expected false alarms a stream and year, ≥ 0; it may exceed 1.
        seconds: Event time that the window spans; 0 for negative or nan.
        maximum: The level never exceeds this, in [0, 1].

    Returns:
        A level in [0, maximum].

    Raises:
        SettingsError: alpha is negative or nan, or `maximum` is no probability.

    >>> alpha_for_span(1.0, 7 * 86_400)  # one false alarm a year, weekly windows
    0.019164955509924708
    """
    if not alpha_per_year >= 0.0:
        raise SettingsError([Fault("alpha_per_year", str(alpha_per_year), "must be at least 0")])
    if not 0.0 <= maximum <= 1.0:
        raise SettingsError([Fault("maximum", str(maximum), "must be in [0, 1]")])
    if math.isnan(seconds) or seconds <= 0.0 or alpha_per_year == 0.0:
        return 0.0
    return min(alpha_per_year * (seconds / SECONDS_PER_YEAR), maximum)


def expected_needless_retrains(alpha_per_year: float, streams: int, span_seconds: float) -> float:
    """Return the needless retrains to expect of a fleet without drift.

    alpha · streams · span / year: an upper bound when every window is tested at `alpha_for_span`.
    Expectations add up, whatever the streams have to do with each other. Their spread is that of a
    Poisson number only when they are independent; a common cause brings many at once.

    Args:
        alpha_per_year: Expected false alarms a stream and year, ≥ 0.
        streams: Number of streams, ≥ 0.
        span_seconds: Event time that is watched; 0 for negative or nan.

    Raises:
        SettingsError: alpha is negative or nan, or the number of streams negative.

    >>> round(expected_needless_retrains(0.1, streams=1000, span_seconds=30 * 86_400), 2)
    8.21
    """
    faults = []
    if not alpha_per_year >= 0.0:
        faults.append(Fault("alpha_per_year", str(alpha_per_year), "must be at least 0"))
    if streams < 0:
        faults.append(Fault("streams", str(streams), "must be at least 0"))
    if faults:
        raise SettingsError(faults)
    if math.isnan(span_seconds) or span_seconds <= 0.0 or alpha_per_year == 0.0 or streams == 0:
        return 0.0
    return alpha_per_year * streams * (span_seconds / SECONDS_PER_YEAR)
