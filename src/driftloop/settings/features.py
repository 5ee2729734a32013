"""The features of a profile: which fields a model sees, and what of a record's time."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from driftloop.settings.base import MisfitError, Section

Calendar = Literal["hour-of-day", "day-of-week", "day-of-year"]


class Features(Section):
    """Names of the features under ``fields.x``.

    Attributes:
        numeric: Names of the numbers; with `array`, of the array's items in this order.
        categorical: Names of the texts.
        array: Whether the features are one array of numbers.
        max_categories: Categories of a feature that a model knows, the most frequent ones; all
            others share one column.
        sequence: Those of `numeric` that are earlier values of the label, as a record carries them
            with itself: the oldest first, at the same distances in time. A forecaster needs them.
        calendar: ``hour-of-day``, ``day-of-week``, ``day-of-year``: what of a record's event time,
            in UTC, a model of any kind sees, as a sine and a cosine each.
    """

    numeric: list[str] = Field(default=[])
    categorical: list[str] = Field(default=[])
    array: bool = False
    max_categories: int = Field(default=16, ge=2, le=256)
    sequence: list[str] = Field(default=[])
    calendar: list[Calendar] = Field(default=[])

    @model_validator(mode="after")
    def _names(self) -> Self:
        names = [*self.numeric, *self.categorical]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            key = "numeric" if set(twice) & set(self.numeric) else "categorical"
            rule = f"each feature is named once; twice: {', '.join(twice)}"
            raise MisfitError((key, rule, repr(getattr(self, key)), ("numeric", "categorical")))
        if self.array and self.categorical:
            rule = "empty, as an array of features is numeric"
            raise MisfitError(("categorical", rule, repr(self.categorical), ("array",)))
        faults = [
            fault for fault in (self._sequence_fault(), self._calendar_fault()) if fault is not None
        ]
        if faults:
            raise MisfitError(*faults)
        return self

    def _sequence_fault(self) -> tuple[str, str, str, tuple[str, ...]] | None:
        strange = [name for name in self.sequence if name not in self.numeric]
        twice = sorted({name for name in self.sequence if self.sequence.count(name) > 1})
        if strange:
            rule = f"names of features.numeric; not among them: {', '.join(strange)}"
        elif twice:
            rule = f"each lag is named once, the oldest first; twice: {', '.join(twice)}"
        else:
            return None
        return ("sequence", rule, repr(self.sequence), ("numeric",))

    def _calendar_fault(self) -> tuple[str, str, str, tuple[str, ...]] | None:
        if len(set(self.calendar)) == len(self.calendar):
            return None
        return ("calendar", "each part of the time is named once", repr(self.calendar), ())
