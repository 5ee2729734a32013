"""The generated part of docs/metrics.md: every metric, from the code that counts."""

from __future__ import annotations

from collections.abc import Iterator
from types import ModuleType
from typing import NamedTuple

from prometheus_client import Counter
from prometheus_client.metrics import MetricWrapperBase

from driftloop.engine import _metrics as engine
from driftloop.models import measures as store
from driftloop.monitor import metrics as monitor
from driftloop.monitor import overview
from driftloop.scorer import metrics as scorer
from driftloop.telemetry import server
from driftloop.telemetry.families import Family
from driftloop.trainer import gpu
from driftloop.trainer import metrics as trainer


class Told(NamedTuple):
    """A metric as it is told.

    Attributes:
        name: As it is scraped; of a histogram without ``_bucket``, ``_sum`` and ``_count``.
        kind: ``counter``, ``gauge`` or ``histogram``.
        labels: Names of its labels.
        meaning: What it says.
    """

    name: str
    kind: str
    labels: tuple[str, ...]
    meaning: str


_GROUPS: dict[str, list[ModuleType]] = {
    "Every part": [server],
    "Monitor and scorer: sources, epochs and the sink": [engine],
    "Monitor": [monitor, overview],
    "Trainer": [trainer, gpu],
    "Scorer": [scorer],
    "Model store, in each part that uses it": [store],
}


def groups() -> dict[str, list[Told]]:
    """Every metric, by heading."""
    return {
        heading: [one for module in modules for one in _of(module)]
        for heading, modules in _GROUPS.items()
    }


def _of(module: ModuleType) -> Iterator[Told]:
    for value in vars(module).values():
        if isinstance(value, MetricWrapperBase):
            # Public names hold neither the suffix nor the labels of one that has labels.
            name = value._name + ("_total" if isinstance(value, Counter) else "")  # noqa: SLF001
            labels = tuple(value._labelnames)  # noqa: SLF001
            yield Told(name, value._type, labels, value._documentation)  # noqa: SLF001
    for family in getattr(module, "DESCRIBED", ()):
        assert isinstance(family, Family)  # noqa: S101  # for the type checker
        yield Told(family.name, "gauge", family.labels, family.meaning)


def metrics() -> str:
    """A table of each group."""
    lines: list[str] = []
    for heading, found in groups().items():
        lines += [f"### {heading}", "", "| metric | type | labels | meaning |", "|---|---|---|---|"]
        for one in found:
            labels = ", ".join(f"`{label}`" for label in one.labels)
            lines.append(f"| `{one.name}` | {one.kind} | {labels} | {one.meaning} |")
        lines.append("")
    return "\n".join(lines).strip() + "\n"
