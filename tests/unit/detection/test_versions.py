"""Which version's losses count: records rule where they tell it, publications elsewhere."""

from __future__ import annotations

from driftloop.detection.versions import REMEMBERED, VersionTracker


def test_the_switch_happens_at_the_first_record_of_the_new_version() -> None:
    versions = VersionTracker()
    assert versions.see("v1")
    assert not versions.publish("v2")
    assert versions.current == "v1"
    assert versions.see("v1")
    assert versions.begins("v2")
    assert versions.see("v2")
    assert versions.current == "v2"


def test_stragglers_of_earlier_versions_do_not_count_and_do_not_switch_back() -> None:
    versions = VersionTracker()
    for version in ("v1", "v2", "v3"):
        assert versions.see(version)
    assert not versions.begins("v1")
    assert not versions.see("v1")
    assert not versions.see("v2")
    assert versions.current == "v3"


def test_without_versions_in_the_records_a_publication_switches() -> None:
    versions = VersionTracker()
    assert versions.publish("v1")
    assert not versions.publish("v1")
    assert versions.publish("v2")
    assert versions.publish("v1")
    assert versions.current == "v1"


def test_a_second_publication_is_a_rollback_whose_records_count_again() -> None:
    versions = VersionTracker()
    for version in ("v1", "v2"):
        versions.publish(version)
        versions.see(version)
    assert not versions.see("v1")
    assert not versions.publish("v1")
    assert versions.current == "v2"
    assert versions.see("v1")
    assert versions.current == "v1"
    assert not versions.see("v2")


def test_a_publication_read_late_is_no_rollback() -> None:
    """Records may be read ahead of publications: stragglers must not push the newest out."""
    versions = VersionTracker()
    for version in ("v1", "v2", "v3"):
        versions.see(version)
    for version in ("v1", "v2", "v3"):
        assert not versions.publish(version)
    assert not versions.see("v2")
    assert versions.see("v3")


def test_publications_read_ahead_of_the_records_make_no_record_stale() -> None:
    """At a first start on topics with a history, the newest publication is seen at once."""
    versions = VersionTracker()
    for version in ("v1", "v2", "v3"):
        versions.publish(version)
    assert versions.current == "v3"
    assert [versions.see(v) for v in ("v1", "v1", "v2", "v1", "v3", "v3")] == [
        True,
        True,
        True,
        False,
        True,
        True,
    ]
    assert versions.current == "v3"


def test_earlier_versions_are_remembered_within_a_bound() -> None:
    versions = VersionTracker()
    for number in range(REMEMBERED + 2):
        versions.see(f"v{number}")
    assert versions.see("v0")
    assert not versions.see("v5")
