"""Detectors on what needs no label: the score and the features of every record."""

from __future__ import annotations

import bisect
from typing import NamedTuple

import numpy as np

from driftloop.detection.detectors import Detector, from_settings
from driftloop.detection.signals import Signal, score
from driftloop.detection.versions import VersionTracker
from driftloop.records.columns import Columns, Floats
from driftloop.settings import Profile

LABELLED = ("loss", "error")
"""What detectors read of labelled records only."""


class Sighting(NamedTuple):
    """A signal, and the model version that was current at its record."""

    signal: Signal
    version: str | None


class Watch:
    """A stream's detectors on score and features.

    Those on the score restart with each model version, as soon as a record says that it was
    predicted by one (or, where records do not say, its publication is seen); scores of earlier
    versions are skipped. Those on features go on: a new model does not change its input. A record
    whose label comes in a record of its own is read once, when its features and prediction come.

    Args:
        profile: Names of the features, detectors.
    """

    def __init__(self, profile: Profile) -> None:
        chosen = [one for one in profile.policy.detectors if one.on not in LABELLED]
        self._scores = [from_settings(one) for one in chosen if one.on == "score"]
        self._features: list[tuple[int, Detector]] = [
            (profile.features.numeric.index(one.on.removeprefix("x.")), from_settings(one))
            for one in chosen
            if one.on != "score"
        ]
        self._versions = VersionTracker()

    def __bool__(self) -> bool:
        return bool(self._scores or self._features)

    def publish(self, version: str) -> None:
        """A publication of `version` was seen."""
        if self._versions.publish(version):
            self._restart()

    def reset(self) -> None:
        """All detectors begin anew."""
        self._restart()
        for _, detector in self._features:
            detector.reset()

    def look(self, rows: Columns) -> list[Sighting]:
        """Read rows, in order; return what was signalled, by record."""
        values = score(rows.y_pred)
        starts, versions = [0, len(rows)], [self._versions.current]
        if not self._uniform(rows.versions, values):
            values = values.copy()
            starts, versions = self._runs(rows.versions, values)
        found: list[Sighting] = []
        for k, version in enumerate(versions):
            if k:
                self._restart()
            found += self._read(values, starts[k], starts[k + 1], version)
        for column, detector in self._features:
            for index in detector.update_many(rows.x[:, column]):
                signal = Signal(detector.name, detector.on, index, float(rows.x[index, column]))
                run = bisect.bisect_right(starts, index, hi=len(versions)) - 1
                found.append(Sighting(signal, versions[run]))
        found.sort(key=lambda one: one.signal.row)
        return found

    def _uniform(self, versions: list[str | None], values: Floats) -> bool:
        """Whether no row changes the version, which is the usual case."""
        current = self._versions.current
        n = len(versions)
        if versions.count(None) == n:
            return True
        if versions.count(current) < n or current is None:
            return False
        if not np.isnan(values).all():
            self._versions.see(current)
        return True

    def _runs(
        self, versions: list[str | None], values: Floats
    ) -> tuple[list[int], list[str | None]]:
        """Where each version's rows begin, with the end; and the versions.

        The first goes on with the version before, and may have no rows. Scores in `values` that
        are not the current version's become nan.
        """
        starts, found = [0], [self._versions.current]
        for i in np.flatnonzero(~np.isnan(values)).tolist():
            version = versions[i]
            if version is None:
                continue
            known = self._versions.current
            if not self._versions.see(version):
                values[i] = np.nan
            elif version != known:
                starts.append(i)
                found.append(version)
        return [*starts, len(versions)], found

    def _read(self, values: Floats, start: int, end: int, version: str | None) -> list[Sighting]:
        return [
            Sighting(Signal(one.name, one.on, start + index, float(values[start + index])), version)
            for one in self._scores
            for index in one.update_many(values[start:end])
        ]

    def _restart(self) -> None:
        for detector in self._scores:
            detector.reset()
