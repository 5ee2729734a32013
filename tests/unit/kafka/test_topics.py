"""Driftloop's own topics: one a role, by the names of the settings, in the form of its role."""

from __future__ import annotations

from driftloop.kafka.topics import driftloop_topics
from driftloop.settings import TopicSettings


def test_every_role_has_a_topic_by_its_configured_name() -> None:
    settings = TopicSettings(retrain="prod.retrain", partitions=3, replication_factor=2)
    specs = {spec.name: spec for spec in driftloop_topics(settings)}
    assert specs.keys() == set(settings.names.values())
    assert "prod.retrain" in specs
    assert "driftloop.retrain" not in specs
    assert len(specs) == len(settings.names)
    assert {(spec.partitions, spec.replication_factor) for spec in specs.values()} == {(3, 2)}


def test_the_latest_value_of_a_stream_is_kept_and_a_history_is_deleted_by_age() -> None:
    settings = TopicSettings()
    policies = {spec.name: spec.config["cleanup.policy"] for spec in driftloop_topics(settings)}
    kept = {name for name, policy in policies.items() if policy == "compact"}
    assert kept == {settings.models, settings.status}
    assert set(policies.values()) == {"compact", "delete"}


def test_a_dead_letter_may_be_larger_than_the_largest_message_of_a_default_broker() -> None:
    settings = TopicSettings()
    specs = {spec.name: spec for spec in driftloop_topics(settings)}
    assert int(specs[settings.dlq].config["max.message.bytes"]) > 1_048_588


def test_audits_are_kept_for_a_year() -> None:
    settings = TopicSettings()
    specs = {spec.name: spec for spec in driftloop_topics(settings)}
    for name in (settings.commands, settings.trainings):
        assert int(specs[name].config["retention.ms"]) == 365 * 86_400_000
