"""What waiting for a broker can cure, and what it cannot."""

from __future__ import annotations

import pytest
from confluent_kafka import KafkaError

from driftloop.kafka import codes


@pytest.mark.parametrize(
    ("code", "passes"),
    [
        (KafkaError._TRANSPORT, True),
        (KafkaError._TIMED_OUT, True),
        (KafkaError._ALL_BROKERS_DOWN, True),
        (KafkaError.NOT_LEADER_FOR_PARTITION, True),
        (KafkaError._INVALID_ARG, False),
        (KafkaError._UNSUPPORTED_FEATURE, False),
        (KafkaError.TOPIC_AUTHORIZATION_FAILED, False),
    ],
)
def test_only_what_a_broker_may_cure_passes(code: int, passes: bool) -> None:  # noqa: FBT001
    assert codes.passes(KafkaError(code)) is passes


def test_a_code_means_one_thing() -> None:
    groups = [codes.FENCED, codes.GONE, codes.RESET, codes.AUTHENTICATION, codes.REFUSED]
    assert len({code for group in groups for code in group}) == sum(map(len, groups))
