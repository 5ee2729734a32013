"""Gauges that are made anew at each scrape: what they are called, and what they mean."""

from __future__ import annotations

from typing import NamedTuple

from prometheus_client.core import GaugeMetricFamily


class Family(NamedTuple):
    """A gauge.

    Attributes:
        name: Its name.
        labels: Names of its labels.
        meaning: What it says, for people.
    """

    name: str
    labels: tuple[str, ...]
    meaning: str

    def new(self) -> GaugeMetricFamily:
        """The gauge without values."""
        return GaugeMetricFamily(self.name, self.meaning, labels=self.labels)
