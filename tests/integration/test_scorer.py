"""The scorer as a process on real Kafka: predicts, swaps versions, survives kill -9, drains."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka.admin import AdminClient

from tests.scoring import Site, records

SECONDS = 60.0


@pytest.fixture
def site(
    tmp_path: Path,
    topic_name: Callable[[str], str],
    kafka_bootstrap: str,
    admin: AdminClient,
) -> Iterator[Site]:
    """Two streams on the session's Kafka."""
    made = Site(tmp_path, topic_name("scorer"), kafka_bootstrap, 2)
    yield made
    made.remove(admin)


def _versions(rows: list[dict[str, Any]]) -> list[str | None]:
    return [row.get("model_version") for row in rows]


def _wait_for_log(site: Site, text: str) -> None:
    deadline = time.monotonic() + SECONDS
    while text not in (site.folder / "scorer.log").read_text(encoding="utf-8"):
        assert time.monotonic() < deadline, f"{text!r} was not logged in time"
        time.sleep(0.05)


def test_records_pass_without_a_model_then_with_each_version_and_never_without_again(
    site: Site,
) -> None:
    """Swaps happen at record boundaries; a wrong hash never serves; SIGTERM drains, exit 0."""
    features, stream = site.inputs[0], site.streams[0]
    with site.scorer() as process:
        site.send(features, [*records(0, 10), b"{", *records(10, 10)])
        rows = site.rows(stream, 20)
        assert _versions(rows) == [None] * 20
        site.publish(stream, 1)
        _wait_for_log(site, '"version": "v1"')
        site.send(features, records(20, 500))
        site.publish(stream, 2, sha256="0" * 64)
        _wait_for_log(site, "scorer.load_failed")
        site.send(features, records(520, 100))
        site.publish(stream, 3)
        first = 620
        while True:  # feed until the new version was seen to serve
            site.send(features, records(first, 50))
            first += 50
            rows = site.rows(stream, first)
            if "v3" in _versions(rows):
                break
            assert first < 20_000
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0
    assert [row["id"] for row in rows] == [str(i) for i in range(first)]
    versions = _versions(rows)[20:]
    assert set(versions) == {"v1", "v3"}
    assert versions == sorted(versions, key=str)
    assert all(row["y_pred"] == row["x"]["a"] * int(row["model_version"][1]) for row in rows[20:])
    letters = site.read(site.settings.topics.dlq, lambda found: len(found) >= 1)
    assert letters[0].value() == b"{"


def test_a_scorer_that_starts_late_predicts_from_the_first_record_on(site: Site) -> None:
    """Versions that are published already are known before the first record is scored."""
    for sequence in (1, 2, 3):
        site.publish(site.streams[0], sequence)
    site.send(site.inputs[0], records(0, 300))
    with site.scorer():
        rows = site.rows(site.streams[0], 300)
    assert set(_versions(rows)) == {"v3"}


def test_after_kill_9_no_record_is_missing_and_none_unpredicted(site: Site) -> None:
    for stream in site.streams:
        site.publish(stream, 1)
    total = 0
    for _ in range(3):
        for features in site.inputs:
            site.send(features, records(total, 400))
        total += 400
        with site.scorer("--workers", "2") as process:
            for stream in site.streams:
                # Killed once it wrote some: before, within or after an epoch.
                site.rows(stream, total - 399)
            process.kill()
    with site.scorer():
        for stream in site.streams:
            rows = site.rows(stream, total)
            assert {row["id"] for row in rows} == {str(i) for i in range(total)}
            assert set(_versions(rows)) == {"v1"}


def test_under_plain_bytewax_it_scores_and_sigterm_drains_it(site: Site) -> None:
    """``python -m bytewax.run "flows.score:flow()"``, as the pages say."""
    site.publish(site.streams[0], 1)
    with site.scorer(command=["-m", "bytewax.run", "flows.score:flow()"]) as process:
        site.send(site.inputs[0], records(0, 200))
        rows = site.rows(site.streams[0], 200)
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0
    assert set(_versions(rows)) == {"v1"}
    assert len(rows) == 200
