"""Trials of a new version on live records: before it serves, and after."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from driftloop.settings.base import Duration, Section


class Watch(Section):
    """A new version is compared with its parent on live records; `training.watch = false`: not.

    If it is proven worse than the parent would have been, the parent serves again. Either way the
    ledger has an entry. The monitor predicts these records once more, with the parent's model, and
    needs the model store and safetensors for it.

    Attributes:
        records: Labelled records that are compared.
        alpha: Probability that a version that is not worse is rolled back, at most; a third more
            where losses depend strongly on one another (AR(1) of .9).
        patience: Event time after which it ends with fewer records.
    """

    records: int = Field(default=500, ge=200, le=100_000)
    alpha: float = Field(default=0.01, ge=0.01, le=0.2)
    patience: Duration = Field(default="14d")  # type: ignore[assignment]  # read by parse_duration


class Canary(Section):
    """A version that passed the gate must also hold its own on live records before it serves.

    Off unless the table is there, or `training.canary = true`. Monitor and trainer both read it.

    Attributes:
        records: Labelled records on which candidate and current version are compared.
        alpha: Probability that a candidate that is not worse is discarded, at most; a third more
            where losses depend strongly on one another (AR(1) of .9).
        patience: Event time after which it ends with fewer records.
        unscored: What becomes of a candidate that no record could be compared on.
    """

    records: int = Field(default=300, ge=200, le=100_000)
    alpha: float = Field(default=0.05, ge=0.01, le=0.2)
    patience: Duration = Field(default="7d")  # type: ignore[assignment]  # read by parse_duration
    unscored: Literal["promote", "discard"] = "promote"


def _switch(value: Any) -> Any:
    """``true`` is the table with its defaults, ``false`` none."""
    if value is True:
        return {}
    return None if value is False else value


OptionalWatch = Annotated[Watch | None, BeforeValidator(_switch)]
OptionalCanary = Annotated[Canary | None, BeforeValidator(_switch)]
