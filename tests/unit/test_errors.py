"""The tree of errors is the one that is drawn, and its messages hold rule, value and place."""

from __future__ import annotations

import inspect
import re

import pytest

from driftloop import errors
from driftloop.errors import DriftloopError, Fault, SettingsError, TrainingError


def _drawn() -> dict[str, str]:
    """Each error of the docstring's tree and the one that it hangs from."""
    parents: dict[str, str] = {}
    above: list[str] = []
    for line in (errors.__doc__ or "").splitlines():
        found = re.match(r"^    ([│├└─ ]*)(\w+Error)\b", line)
        if found:
            depth = len(found[1]) // 4
            above[depth:] = [found[2]]
            if depth:
                parents[found[2]] = above[depth - 1]
    return parents


def test_the_tree_in_the_docstring_is_that_of_the_code() -> None:
    kinds = {
        name: kind.__base__.__name__
        for name, kind in inspect.getmembers(errors, inspect.isclass)
        if issubclass(kind, DriftloopError) and kind is not DriftloopError and kind.__base__
    }
    assert len(kinds) > 5
    assert _drawn() == kinds


def test_a_fault_tells_place_rule_value_and_what_was_meant() -> None:
    assert str(Fault("monitor.shards", "0", "at least 1")) == "monitor.shards: at least 1, got 0"
    hinted = Fault("monitor.epoc", "5s", "a known key", "did you mean 'epoch'?")
    assert str(hinted).endswith("got 5s (did you mean 'epoch'?)")


def test_faults_of_options_stand_by_themselves() -> None:
    told = str(SettingsError([Fault("STREAM", "a.lyn", "a topic", "did you mean a.lyon?")]))
    assert told == "STREAM: a topic, got a.lyn (did you mean a.lyon?)"
    mixed = SettingsError([Fault("--why", "''", "a reason"), Fault("kafka.x", "1", "a key")])
    assert str(mixed).startswith("2 faults in the settings:")


def test_settings_tell_every_fault_in_order_and_their_file() -> None:
    faults = [Fault("b", "1", "less"), Fault("a", "2", "more")]
    error = SettingsError(faults, "driftloop.toml")
    assert error.faults == faults
    assert str(error).splitlines() == [
        "2 faults in driftloop.toml:",
        "  b: less, got 1",
        "  a: more, got 2",
    ]
    faults.clear()
    assert len(error.faults) == 2


@pytest.mark.parametrize(("source", "place"), [("", "settings"), ("x.toml", "x.toml")])
def test_a_plain_text_is_one_fault_at_its_file(source: str, place: str) -> None:
    error = SettingsError("no TOML", source)
    assert [(fault.place, fault.rule) for fault in error.faults] == [(place, "no TOML")]


def test_a_training_error_carries_its_code_beside_its_text() -> None:
    error = TrainingError("too-few-records", "12 records; at least 50 are needed")
    assert error.reason == "too-few-records"
    assert str(error) == "12 records; at least 50 are needed"
