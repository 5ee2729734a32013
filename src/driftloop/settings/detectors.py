"""Incremental detectors as a configuration names them: which one, what it reads, its parameters.

As text, ``"adwin"`` or ``"kswin:x.temperature"``, with river's parameters; or as a table,
``{ kind = "adwin", on = "score", delta = 0.01 }``, to change them. Bounds are those within which
river's class takes a parameter, so that a fault is found here and not in mid-stream.
"""

from __future__ import annotations

import difflib
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import BeforeValidator, Field, model_serializer, model_validator

from driftloop.settings.base import Section

Reads = Literal["numbers", "unit", "bits"]
"""Values a detector can read: any number, numbers in [0, 1], or 0 and 1 alone."""

LONGEST = 10_000
"""Records that a detector keeps at most: its state is held and stored for every stream."""

Share = Annotated[float, Field(gt=0, lt=1)]
Count = Annotated[int, Field(ge=1, le=1_000_000)]


class BaseDetector(Section):
    """What the settings of all detectors share.

    Attributes:
        kind: Which detector.
        on: What it reads: ``loss``, ``error``, ``score`` or ``x.NAME``, a numeric feature.
    """

    reads: ClassVar[Reads] = "numbers"
    usual: ClassVar[str] = "loss"

    kind: str
    on: str

    @model_validator(mode="after")
    def _readable(self) -> Self:
        if self.on not in {"loss", "error", "score"} and not (
            self.on.startswith("x.") and len(self.on) > len("x.")
        ):
            raise ValueError(f"on is loss, error, score or x.NAME, not {self.on!r}")
        able = {"numbers": None, "unit": ("error", "score"), "bits": ("error",)}[self.reads]
        if able is not None and self.on not in able:
            values = "0 and 1" if self.reads == "bits" else "numbers from 0 to 1"
            raise ValueError(f"{self.kind} reads {values}: on {' or '.join(able)}, not {self.on}")
        return self

    @model_serializer(mode="plain")
    def _shortest(self) -> str | dict[str, Any]:
        """Text where all parameters are the usual ones, else a table of what differs."""
        fields = type(self).model_fields
        changed = {k: v for k, v in self.parameters.items() if v != fields[k].default}
        if not changed:
            return self.name
        read = {} if self.on == self.usual else {"on": self.on}
        return {"kind": self.kind, **read, **changed}

    @property
    def name(self) -> str:
        """``kind``, and behind a colon what it reads, unless that is what it usually reads."""
        return self.kind if self.on == self.usual else f"{self.kind}:{self.on}"

    @property
    def parameters(self) -> dict[str, Any]:
        """The parameters of river's class, by its names."""
        return {k: getattr(self, k) for k in type(self).model_fields if k not in {"kind", "on"}}


class AdwinDetector(BaseDetector):
    """ADWIN: a window that shrinks when the means of its two parts differ; either direction.

    Attributes:
        kind: ``adwin``.
        on: What it reads: ``loss``, ``error``, ``score`` or ``x.NAME``.
        delta: Significance; smaller signals less.
        clock: Records between two looks.
        max_buckets: Buckets of each size; more is finer.
        min_window_length: Records of the smaller part, at least.
        grace_period: Records before the first look.
    """

    kind: Literal["adwin"] = "adwin"
    on: str = "loss"
    delta: Share = 0.002
    clock: Count = 32
    max_buckets: Annotated[int, Field(ge=1, le=100)] = 5
    min_window_length: Count = 5
    grace_period: Count = 10


class PageHinkleyDetector(BaseDetector):
    """Page-Hinkley: a CUSUM of the deviations from the running mean, in the value's own units.

    Attributes:
        kind: ``page_hinkley``.
        on: What it reads: ``loss``, ``error``, ``score`` or ``x.NAME``.
        min_instances: Records before the first signal.
        delta: Deviation that is accepted, in the units of what is read.
        threshold: Sum of deviations that signals, in the same units.
        alpha: Weight that the sum keeps, a record.
        mode: Which direction signals.
    """

    kind: Literal["page_hinkley"] = "page_hinkley"
    on: str = "loss"
    min_instances: Count = 30
    delta: float = Field(default=0.005, ge=0, le=1e9)
    threshold: float = Field(default=50.0, gt=0, le=1e9)
    alpha: float = Field(default=1 - 0.0001, gt=0, le=1)
    mode: Literal["up", "down", "both"] = "both"


class KswinDetector(BaseDetector):
    """KSWIN: KS between the newest records of a window and as many drawn from its older ones.

    Attributes:
        kind: ``kswin``; it takes some 170 µs a record, the others .2 to 4.
        on: What it reads: ``loss``, ``error``, ``score`` or ``x.NAME``.
        alpha: Level of each record's test; it is not corrected for their number, so that the usual
            one signals without drift, 2 to 3 times in 2,000 records.
        window_size: Records of the window.
        stat_size: Newest records; at most half of the window.
        seed: Seed of the draw.
    """

    kind: Literal["kswin"] = "kswin"
    on: str = "loss"
    alpha: Share = 0.005
    window_size: Annotated[int, Field(ge=2, le=LONGEST)] = 100
    stat_size: Annotated[int, Field(ge=1, le=LONGEST)] = 30
    seed: int = 0

    @model_validator(mode="after")
    def _enough_older(self) -> Self:
        if 2 * self.stat_size > self.window_size:
            raise ValueError(
                f"stat_size is at most half of window_size, not {self.stat_size} "
                f"of {self.window_size}"
            )
        return self


class ErrorDetector(BaseDetector):
    """What the settings of detectors of errors share: see `BaseDetector`."""

    reads: ClassVar[Reads] = "bits"
    usual: ClassVar[str] = "error"

    on: str = "error"


class DdmDetector(ErrorDetector):
    """DDM: the error rate against its minimum so far, in standard deviations; rises only.

    Attributes:
        kind: ``ddm``.
        on: What it reads: ``error``.
        warm_start: Records before the first signal.
        drift_threshold: Standard deviations that signal.
    """

    kind: Literal["ddm"] = "ddm"
    warm_start: Count = 30
    drift_threshold: float = Field(default=3.0, gt=0, le=1000)


class EddmDetector(ErrorDetector):
    """EDDM: the distance between two errors against its maximum so far; rises of the rate only.

    Attributes:
        kind: ``eddm``.
        on: What it reads: ``error``.
        warm_start: Records before the first signal.
        beta: Share of the maximum below which it signals; smaller signals less, and the usual one
            signals without drift, 8 times in 2,000 records.
    """

    kind: Literal["eddm"] = "eddm"
    warm_start: Count = 30
    beta: float = Field(default=0.9, gt=0, le=0.95)


class FhddmDetector(ErrorDetector):
    """FHDDM: the share of right answers in a window against its maximum so far, by Hoeffding.

    Attributes:
        kind: ``fhddm``.
        on: What it reads: ``error``.
        sliding_window_size: Records of the window.
        confidence_level: Significance; smaller signals less.
        short_window_size: Records of a second, shorter window, or none.
    """

    kind: Literal["fhddm"] = "fhddm"
    sliding_window_size: Annotated[int, Field(ge=1, le=LONGEST)] = 100
    confidence_level: Share = 0.000001
    short_window_size: int | None = Field(default=None, ge=1, le=LONGEST)

    @model_validator(mode="after")
    def _shorter(self) -> Self:
        if self.short_window_size is not None and self.short_window_size > self.sliding_window_size:
            raise ValueError(
                f"short_window_size is at most sliding_window_size, not "
                f"{self.short_window_size} of {self.sliding_window_size}"
            )
        return self


class HddmADetector(ErrorDetector):
    """HDDM-A: the newest mean against the lowest so far, by Hoeffding's bound.

    Attributes:
        kind: ``hddm_a``.
        on: What it reads: ``error``, or for classification ``score``.
        drift_confidence: Significance; smaller signals less.
        two_sided_test: Whether falls signal too.
    """

    reads: ClassVar[Reads] = "unit"

    kind: Literal["hddm_a"] = "hddm_a"
    drift_confidence: Share = 0.001
    two_sided_test: bool = False


class HddmWDetector(ErrorDetector):
    """HDDM-W: the same with means that forget, by McDiarmid's bound.

    Attributes:
        kind: ``hddm_w``.
        on: What it reads: ``error``, or for classification ``score``.
        drift_confidence: Significance; smaller signals less.
        lambda_val: Weight of the newest record.
        two_sided_test: Whether falls signal too.
    """

    reads: ClassVar[Reads] = "unit"

    kind: Literal["hddm_w"] = "hddm_w"
    drift_confidence: Share = 0.001
    lambda_val: Share = 0.05
    two_sided_test: bool = False


KINDS: dict[str, type[BaseDetector]] = {
    kind.model_fields["kind"].default: kind
    for kind in (
        AdwinDetector,
        PageHinkleyDetector,
        KswinDetector,
        DdmDetector,
        EddmDetector,
        FhddmDetector,
        HddmADetector,
        HddmWDetector,
    )
}
"""The settings of each detector, by its name."""


def _read(value: Any) -> Any:
    """Text as the table that it stands for; a kind that is none is told here."""
    if isinstance(value, str):
        kind, _, on = value.partition(":")
        value = {"kind": kind, "on": on} if ":" in value else {"kind": kind}
    if isinstance(value, BaseDetector):
        return value
    if not isinstance(value, dict):
        # pydantic gathers ValueErrors alone.
        raise ValueError("a detector is a text, as 'adwin:score', or a table")  # noqa: TRY004
    if "kind" not in value:
        raise ValueError("a detector's table needs its kind, as kind = 'adwin'")
    named = str(value["kind"])
    if named not in KINDS:
        close = difflib.get_close_matches(named, KINDS, n=1, cutoff=0.5)
        hint = f"; did you mean {close[0]!r}?" if close else ""
        raise ValueError(f"a detector is one of {', '.join(KINDS)}{hint}")
    return value


_Any = Annotated[
    AdwinDetector
    | PageHinkleyDetector
    | KswinDetector
    | DdmDetector
    | EddmDetector
    | FhddmDetector
    | HddmADetector
    | HddmWDetector,
    Field(discriminator="kind"),
]

Detector = Annotated[_Any, BeforeValidator(_read)]
"""A detector as text or as a table."""
