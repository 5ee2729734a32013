"""Driftloop's own topics on a real Kafka."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from confluent_kafka.admin import AdminClient, ConfigResource, ResourceType

from driftloop.errors import KafkaError, KafkaUnavailableError
from driftloop.kafka.topics import TopicSpec, driftloop_topics, ensure_topics, partition_counts
from driftloop.settings import TopicSettings


def test_topics_are_made_once_in_the_form_that_their_role_needs(
    kafka_bootstrap: str, admin: AdminClient, topic_name: Callable[..., str]
) -> None:
    names = {role: topic_name(role) for role in TopicSettings().names}
    settings = TopicSettings(partitions=3, **names)
    client = {"bootstrap.servers": kafka_bootstrap}
    specs = driftloop_topics(settings)
    try:
        assert sorted(ensure_topics(client, specs)) == sorted(names.values())
        assert ensure_topics(client, specs) == []
        assert partition_counts(client, [*names.values(), "no-such-topic"]) == dict.fromkeys(
            names.values(), 3
        )
        resources = [ConfigResource(ResourceType.TOPIC, name) for name in names.values()]
        policies = {
            resource.name: future.result(30)["cleanup.policy"].value
            for resource, future in admin.describe_configs(resources).items()
        }
        compacted = {name for name, policy in policies.items() if policy == "compact"}
        assert compacted == {names["models"], names["status"]}
    finally:
        for future in admin.delete_topics(list(names.values())).values():
            future.exception(timeout=30)


def test_a_topic_that_cannot_be_made_is_named(
    kafka_bootstrap: str, topic_name: Callable[..., str]
) -> None:
    name = topic_name("bad")
    client = {"bootstrap.servers": kafka_bootstrap}
    with pytest.raises(KafkaError, match=f"topic {name} cannot be made: INVALID_REPLICATION"):
        ensure_topics(client, [TopicSpec(name, 1, 9)])
    assert partition_counts(client, [name]) == {}


def test_a_broker_that_does_not_answer_is_named_so() -> None:
    client = {"bootstrap.servers": "127.0.0.1:1", "log_level": 0}
    with pytest.raises(KafkaUnavailableError):
        ensure_topics(client, [TopicSpec("t", 1)], timeout=1)
