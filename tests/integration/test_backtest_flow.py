"""The flow on a real Kafka and a backtest of the same topics decide alike, id for id."""

from __future__ import annotations

import json
import time
from pathlib import Path

import msgspec
import pytest

from driftloop.backtest.data import open_source
from driftloop.backtest.outcome import Plan, StreamOutcome
from driftloop.backtest.run import simulate
from driftloop.messages import Event, RetrainRequested
from tests.integration.monitor_rig import WINDOW, MonitorRig, Tail, jumping

RECORDS = 55 * WINDOW
"""More than the reference of features and scores holds."""

POLICIES = {
    "reducible": 'kind = "reducible"\ncost = 10',
    "changed": 'kind = "reducible"\ncost = 10\nmin_window = 0.3',
    "mlma": 'kind = "mlma"\nalpha_per_year = 50',
    "multi": 'kind = "multi-criteria"\nvotes = 2\nalpha_per_year = 50',
    "any": 'kind = "any"\ncriteria = ["chi-square", "missing-rate", "calibration", "loss > 0.2"]\n'
    "alpha_per_year = 50",
}
_PROFILE = """
[profiles.{name}]
topics = '{prefix}\\.{name}\\..+'
task = "regression"
loss = "squared"
features = {{ numeric = ["a", "b"], categorical = ["c"] }}
window = {{ kind = "count", records = {window} }}
training = {{ records = 150 }}
[profiles.{name}.policy]
min_records = 60
outcome_timeout = "0s"
{policy}
"""


def drifting(seed: int) -> list[bytes]:
    """Records whose losses, numbers, texts and predictions are otherwise in their last fifth."""
    values = jumping(RECORDS, seed=seed, jump=0.8)
    for i in range(int(0.8 * RECORDS), RECORDS):
        record = json.loads(values[i])
        record["x"]["a"] = None if i % 4 == 0 else record["x"]["a"] + 2.0
        record["x"]["c"] = "w"
        record["y_pred"] += 2.0
        values[i] = json.dumps(record).encode()
    values.insert(700, b"no record")  # takes an offset, and goes aside in both
    return values


@pytest.fixture
def rig(tmp_path: Path, kafka_bootstrap: str) -> MonitorRig:
    """A configuration with a profile for each policy; nothing runs yet."""
    made = MonitorRig(tmp_path, kafka_bootstrap)
    with made.config.open("a") as file:
        for name, policy in POLICIES.items():
            file.write(_PROFILE.format(name=name, prefix=made.prefix, window=WINDOW, policy=policy))
    made.settings = made._load()  # with the profiles
    return made


def test_the_flow_and_a_backtest_request_the_same_retrains(
    rig: MonitorRig, kafka_bootstrap: str
) -> None:
    with rig, rig.tail("retrain", "status") as tail:
        topics = {rig.make(f"{name}.{k}"): name for name in POLICIES for k in range(2)}
        for seed, topic in enumerate(topics):
            rig.produce(topic, drifting(seed))
        process = rig.start()
        expected = {
            topic: found
            for name in POLICIES
            for topic, found in backtested(rig, kafka_bootstrap, name).items()
        }
        assert expected.keys() == topics.keys()
        for name in POLICIES:
            assert sum(len(expected[t]) for t in topics if topics[t] == name) >= 2, name
        for topic in topics:
            tail.until(lambda t=topic: _windows(tail, t) == RECORDS // WINDOW, f"all of {topic}")
            tail.until(lambda t=topic: len(_requests(tail, t)) >= len(expected[t]), "the requests")
        assert rig.stop(process) == 0
        _rest(tail)
        for topic, requests in expected.items():
            found = _requests(tail, topic)
            assert [one.id for one in found] == [one.id for one in requests]
            assert [_body(one) for one in found] == [_body(one) for one in requests]


def backtested(rig: MonitorRig, servers: str, name: str) -> dict[str, list[RetrainRequested]]:
    """What a backtest of a profile's topics requests, in recorded mode."""
    profile = rig.settings.profiles[name]
    source = open_source(rf"kafka://{rig.prefix}\.{name}\..+?bootstrap={servers}", profile)
    data = [source.read(stream) for stream in source.streams]
    found = simulate(Plan({name: profile}, recorded=True), data)
    return {
        outcome.stream: [decision.request for decision in outcome.tracks[name].decisions]
        for outcome in found
        if isinstance(outcome, StreamOutcome)
    }


def _body(event: Event) -> bytes:
    return msgspec.json.encode(event)


def _windows(tail: Tail, topic: str) -> int:
    status = tail.status(topic)
    return 0 if status is None else status.windows


def _requests(tail: Tail, topic: str) -> list[RetrainRequested]:
    return [event for event in tail.events(topic) if isinstance(event, RetrainRequested)]


def _rest(tail: Tail) -> None:
    """Read what the monitor wrote before it ended: until nothing comes for a second."""
    quiet = time.monotonic() + 1.0
    while time.monotonic() < quiet:
        if tail.poll():
            quiet = time.monotonic() + 1.0
