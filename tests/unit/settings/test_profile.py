"""A profile matches whole names, refuses what does not fit together, and has a telling hash."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from driftloop.settings import Features, ModelSettings, Policy, Profile, Training


@pytest.mark.parametrize(
    ("topics", "topic", "fits"),
    [
        (r"orders\..+", "orders.lyon", True),
        (r"orders\..+", "orders.", False),
        (r"orders\..+", "my.orders.lyon", False),
        (r"orders|offers", "orders", True),
        (r"orders|offers", "ordersX", False),
    ],
)
def test_a_topic_matches_from_its_start_to_its_end(topics: str, topic: str, fits: bool) -> None:  # noqa: FBT001
    assert Profile(topics=topics).matches(topic) is fits


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"topics": "("}, "no regular expression"),
        ({"task": "regression", "loss": "log_loss"}, "absolute, squared, as fits task regression"),
        ({"task": "multiclass", "loss": "log_loss", "classes": ["a"]}, "two or more labels"),
        ({"task": "binary", "loss": "log_loss", "classes": ["a"]}, "two labels or none"),
        ({"model": {"kind": "mlp_classifier"}}, "a kind that fits task regression"),
        (
            {"task": "binary", "loss": "zero_one", "model": {"kind": "mlp_regressor"}},
            "a kind that fits task binary",
        ),
        ({"training": {"initial": -1}}, "greater than or equal to 0"),
    ],
)
def test_what_does_not_fit_together_is_refused(given: dict[str, Any], told: str) -> None:
    with pytest.raises(ValidationError, match=told):
        Profile.model_validate(given)


@pytest.mark.parametrize("task", ["regression", "binary"])
def test_a_linear_model_fits_every_task(task: str) -> None:
    loss = "absolute" if task == "regression" else "log_loss"
    assert Profile.model_validate({"task": task, "loss": loss}).model.kind == "linear"


def test_training_data_are_the_newest_records_unless_a_time_is_given() -> None:
    assert Profile().training.records == 2000
    assert Profile(training=Training(initial=300)).training.initial == 300
    by_time = Profile.model_validate({"training": {"window": "28d"}}).training
    assert by_time.records is None
    assert by_time.window is not None
    assert by_time.window.days == 28


def test_the_hash_is_that_of_what_decisions_depend_on() -> None:
    """So a stream keeps its state when only names and silence change, and begins anew otherwise."""
    base = Profile().hash
    assert Profile(topics="other", silent_after="2h").hash == base  # type: ignore[arg-type]
    others = [
        Profile(policy=Policy(cost=21)),
        Profile(features=Features(numeric=["a"])),
        Profile(features=Features(numeric=["b"])),
        Profile(loss="squared"),
        Profile(model=ModelSettings(kind="mlp_regressor")),
        Profile(training=Training(initial=300)),
    ]
    assert len({base, *(one.hash for one in others)}) == len(others) + 1
