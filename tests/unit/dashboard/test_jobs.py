"""Jobs run a few at a time, are remembered by name, and fail in words."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from driftloop.dashboard.jobs import WAITING, Job, Jobs
from driftloop.errors import DataError

MARGIN = 30.0


@pytest.fixture
def jobs() -> Iterator[Jobs]:
    found = Jobs(1)
    yield found
    found.close()


def over(job: Job, jobs: Jobs) -> Job:
    """Wait for a job by one that runs after it."""
    done = threading.Event()
    jobs.begin(f"after {job.name}", lambda _: done.set(), again=True)
    assert done.wait(MARGIN)
    assert job.over
    return job


def test_a_job_is_made_once_and_again_only_where_asked(jobs: Jobs) -> None:
    made: list[int] = []
    job = over(jobs.begin("a", lambda _: made.append(1) or len(made)), jobs)
    assert job.answer == 1
    assert jobs.begin("a", lambda _: made.append(1) or len(made)) is job
    second = over(jobs.begin("a", lambda _: made.append(1) or len(made), again=True), jobs)
    assert second.answer == 2


def test_a_fault_is_told_in_words(jobs: Jobs) -> None:
    def fail(_: Job) -> None:
        raise DataError("no such topic")

    def crash(_: Job) -> None:
        raise ZeroDivisionError("division by zero")

    assert over(jobs.begin("a", fail), jobs).fault == "no such topic"
    assert over(jobs.begin("b", crash), jobs).fault == "it failed: division by zero"


def test_too_many_are_refused_and_what_runs_is_asked_to_stop() -> None:
    jobs = Jobs(1)
    running = jobs.begin("running", lambda job: job.stop.wait(MARGIN))
    for i in range(WAITING - 1):
        assert not jobs.begin(f"waits {i}", lambda _: None).over
    refused = jobs.begin("one more", lambda _: None)
    assert "too much is under way" in refused.fault
    assert jobs.get("one more") is None
    jobs.close()
    assert running.answer is True
