"""The generated part of docs/criteria.md: criteria, presets and detectors from their registries."""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from driftloop.criteria import CRITERIA, Description
from driftloop.settings import Policy
from driftloop.settings.detectors import KINDS
from driftloop.settings.presets import FIRST, MEANINGS
from scripts.criteria_figures import FIGURES

_FAMILIES = {"features": "On features", "score": "On predictions", "loss": "On losses"}
_READS = {"numbers": "any number", "unit": "numbers in [0, 1]", "bits": "0 and 1"}


def criteria() -> str:
    """Every criterion by family: what it is, and what was measured."""
    figures = json.loads(FIGURES.read_text(encoding="utf-8"))
    lines: list[str] = []
    for family, title in _FAMILIES.items():
        chosen = {name: one for name, one in CRITERIA.items() if one.family == family}
        lines += [f"### {title}", ""]
        lines += _table(
            ("criterion", "finds", "statistic and effect", "source", "params"),
            [_what(name, one) for name, one in chosen.items()],
        )
        lines += _table(
            (
                *("criterion", "p-value", "default floor", "windows, φ = 0", "windows, φ = .6"),
                *("tests, φ = 0", "tests, φ = .6", "µs a window"),
            ),
            [_measured(name, one, figures["criteria"][name]) for name, one in chosen.items()],
        )
    lines += [
        _text(
            f"Measured on {figures['date']} with Python {figures['python']}, "
            + ", ".join(f"{name} {version}" for name, version in figures["versions"].items())
            + "; {} windows each, {} of {}.".format(
                max(one["runs"] for one in figures["criteria"].values()),
                min(one["runs"] for one in figures["criteria"].values()),
                ", ".join(f"`{n}`" for n, one in figures["criteria"].items() if one["runs"] < 400),
            )
        ),
        "",
    ]
    return "\n".join(lines)


def _what(name: str, one: Description) -> tuple[str, ...]:
    return (f"`{name}`", one.finds, one.formula, one.source, _params(one.make))


def _measured(name: str, one: Description, figures: Mapping[str, Any]) -> tuple[str, ...]:
    still, moving = figures["phi"]["0.0"], figures["phi"]["0.6"]
    return (
        f"`{name}`",
        "yes" if one.calibrated else "no",
        "none" if one.calibrated else _number(one.floor),
        _share(still["windows"]),
        _share(moving["windows"]),
        _share(still["tests"]),
        _share(moving["tests"]),
        f"{(still['microseconds'] + moving['microseconds']) / 2:,.0f}",
    )


def _params(make: Callable[..., Any]) -> str:
    """What a user may give as ``params``, with the defaults."""
    found = dict(inspect.signature(make).parameters)
    bound = getattr(make, "keywords", {})
    if any(one.kind is one.VAR_KEYWORD for one in found.values()):
        test = inspect.signature(make.args[1]).parameters  # type: ignore[attr-defined]  # a partial
        found |= dict(test)
    named = [
        f"`{name}={bound.get(name, one.default)!r}`"
        for name, one in found.items()
        if one.kind is one.KEYWORD_ONLY and name not in {"draws", "seed"}
    ]
    return ", ".join(named) or "none"


def presets() -> str:
    """Every preset: its argument, and when it retrains."""
    rows = []
    for name, bare in FIRST.items():
        example, meaning = MEANINGS[name]
        default = "none" if not bare else _default(bare[0])
        rows.append((f"`{name}`", f"`{example}`", default, meaning))
    return "\n".join(_table(("preset", "written", "argument and default", "retrains when"), rows))


def _default(key: str) -> str:
    value = Policy.model_fields[key].default
    return f"`{key}`, required" if value is None else f"`{key}`, {value}"


def detectors() -> str:
    """Every incremental detector."""
    figures = json.loads(FIGURES.read_text(encoding="utf-8"))["detectors"]
    rows = []
    for name, kind in KINDS.items():
        one = figures["kinds"][name]
        first = (inspect.getdoc(kind) or "").splitlines()[0].partition(": ")[2].rstrip(".")
        rows.append(
            (
                f"`{name}`",
                first,
                f"`{kind.usual}`; {_READS[kind.reads]}",
                _number(one["false"]),
                _number(one["false_ar"]),
                f"{one['hits']} of {figures['runs']}",
                f"{one['delay']:.0f}",
                _number(one["microseconds"]),
            )
        )
    return "\n".join(
        _table(
            (
                *("detector", "compares", "reads", "false alarms, φ = 0", "false alarms, φ = .6"),
                *("shifts found", "median delay", "µs a record"),
            ),
            rows,
        )
    )


def _table(head: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> list[str]:
    out = [head, tuple("---" for _ in head), *rows]
    return [*("| " + " | ".join(map(_text, row)) + " |" for row in out), ""]


def _text(text: str) -> str:
    return text.replace("``", "`").replace("|", r"\|")


def _share(value: float | None) -> str:
    return "" if value is None else f"{value:.3f}".removeprefix("0")


def _number(value: float) -> str:
    return f"{value:.2f}".rstrip("0").rstrip(".")
