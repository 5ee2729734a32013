"""A fleet: the streams of one profile, and what is decided over all of them."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, field_validator

from driftloop.settings.base import Duration, Section, format_duration, milliseconds

Control = Literal["stream", "bh", "e-bh", "lord", "saffron"]

CLOCK_STEPS = 8
"""Times in a tick at which a stream tells the fleet how far its event time is."""


class Fleet(Section):
    """What is decided over all streams of a profile.

    Attributes:
        control: How needless retrains are kept rare. ``stream``: each stream spends its own
            `alpha_per_year`, and needs no other stream. The others bound the expected share of
            needless ones among all retrains by `fdr`: ``bh`` (Benjamini-Hochberg over a tick's
            windows, for streams that are independent or rise together), ``e-bh`` (e-values over
            a tick, under any dependence), ``lord`` and ``saffron`` (one window after the other,
            without waiting for a tick).
        fdr: Expected share of needless retrains, for all but ``stream``.
        tick: Event time whose windows are judged together.
        lateness: Event time after a tick's end in which its windows are still waited for; one that
            comes later is judged with the next tick.
        budget: Retrains that the policy may request in one event-time day, those with the highest
            priority first; the others wait for the next. An operator's retrains and approvals
            count, and always go ahead.
        during_incident: Whether retrains ``proceed`` while many streams shift together, or
            ``hold`` until that ends.
        incident_share: Share of a tick's streams that must have moved for an incident.
        incident_alpha: Level of the test that they moved together, a tick.
        min_streams: Streams that a tick must have heard from for a verdict on incidents.
    """

    control: Control = "stream"
    fdr: float = Field(default=0.05, gt=0, lt=1)
    tick: Duration = Field(default="1d")  # type: ignore[assignment]  # read by parse_duration
    lateness: Duration = Field(default="3h")  # type: ignore[assignment]  # read by parse_duration
    budget: int | None = Field(default=None, ge=1)
    during_incident: Literal["proceed", "hold"] = "proceed"
    incident_share: float = Field(default=0.5, gt=0, le=1)
    incident_alpha: float = Field(default=0.001, gt=0, lt=0.5)
    min_streams: int = Field(default=10, ge=3)

    @field_validator("tick")
    @classmethod
    def _some_time(cls, value: Duration) -> Duration:
        if value.total_seconds() < 1:
            raise ValueError(f"a tick is at least 1s; got {format_duration(value)}")
        return value

    @property
    def waits(self) -> bool:
        """Whether a stream's decision waits for what other streams do."""
        return self.control != "stream" or self.budget is not None or self.during_incident == "hold"

    @property
    def clock_ms(self) -> int:
        """Event time after which a stream tells the fleet its clock again, ms."""
        return max(1, milliseconds(self.tick) // CLOCK_STEPS)
