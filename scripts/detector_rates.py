"""Measures how often detectors signal without drift, and how soon with it.

``python scripts/detector_rates.py`` prints the table in the docstring of
`driftloop.detection.detectors`; it takes about a minute, most of it KSWIN. Same seeds, same table.
"""

from __future__ import annotations

import time

import numpy as np
from scipy.signal import lfilter
from scipy.stats import norm

from driftloop.detection.detectors import DETECTORS, make_detector
from driftloop.settings.detectors import KINDS

RUNS = 20
RECORDS = 2000
BEFORE, AFTER = 1000, 1000


def readings(
    kind: str, rng: np.random.Generator, n: int, *, shifted: bool = False, phi: float = 0.0
) -> np.ndarray:
    """What a detector reads, (n,): normal numbers, or errors, from 20 % to 40 % when shifted.

    With `phi`, numbers are AR(1) of variance 1, and errors are such numbers above a quantile.
    """
    noise = rng.normal(size=n)
    start = [phi * rng.normal()]
    numbers, _ = lfilter([np.sqrt(1 - phi**2)], [1.0, -phi], noise, zi=start)
    if KINDS[kind].reads == "numbers":
        return np.asarray(numbers + (1.0 if shifted else 0.0))
    return np.asarray(numbers > norm.isf(0.4 if shifted else 0.2), dtype=np.float64)


def false_alarms(kind: str, phi: float = 0.0, runs: int = RUNS) -> list[int]:
    """Signals in each run of records without drift; independent ones unless `phi` says else."""
    return [
        len(
            make_detector(kind).update_many(
                readings(kind, np.random.default_rng(run), RECORDS, phi=phi)
            )
        )
        for run in range(runs)
    ]


def delays(kind: str) -> tuple[int, float]:
    """Runs in which a shift was signalled, and the median of the records until then."""
    found = []
    for run in range(RUNS):
        rng = np.random.default_rng(1000 + run)
        before = readings(kind, rng, BEFORE)
        after = readings(kind, rng, AFTER, shifted=True)
        detector = make_detector(kind)
        detector.update_many(before)
        signals = detector.update_many(after)
        if signals:
            found.append(signals[0] + 1)
    return len(found), float(np.median(found)) if found else np.nan


def microseconds(kind: str) -> float:
    """CPU time of a record."""
    values = readings(kind, np.random.default_rng(0), RECORDS)
    detector = make_detector(kind)
    start = time.process_time()
    detector.update_many(values)
    return (time.process_time() - start) / RECORDS * 1e6


def main() -> None:
    """Print the table."""
    line = "============  ===========  =====  ======  ========  ======  ======"
    print(line)
    print("detector      independent  worst  AR(1)   shifts    median  µs a")
    print("              records      run    φ = .6  of 20     delay   record")
    print(line)
    for kind in DETECTORS:
        alarms = false_alarms(kind)
        dependent = sum(false_alarms(kind, phi=0.6)) / RUNS
        hits, delay = delays(kind)
        mean = sum(alarms) / RUNS
        print(
            f"{kind:12}  {mean:<11.2f}  {max(alarms):<5}  {dependent:<6.2f}  {hits:<8}  "
            f"{delay:<6.0f}  {microseconds(kind):.2f}"
        )
    print(line)


if __name__ == "__main__":
    main()
