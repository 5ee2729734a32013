"""The read model stays fresh, whichever process writes it; and pages are told."""

from __future__ import annotations

import threading
from pathlib import Path

from driftloop.dashboard.live import Live
from driftloop.heartbeat import check_heartbeat
from driftloop.messages import StreamStatus
from driftloop.readmodel import open_model
from tests.dashboard import settings_of
from tests.readmodel import fill, make

MARGIN = 30.0


def test_what_another_process_writes_is_told_to_open_pages(tmp_path: Path) -> None:
    settings = settings_of(tmp_path)
    writer = open_model(settings)
    assert writer.acquire()  # as another process holds it
    live = Live(settings, open_model(settings))
    told = threading.Event()
    live.listen(told.set)
    live.start()
    try:
        assert told.wait(MARGIN)  # what is there at the start
        assert live.ready
        assert not live.writes
        told.clear()
        fill(writer, [make(StreamStatus)])
        assert told.wait(MARGIN)
        assert live.changes >= 2
        assert check_heartbeat(settings.home, "dashboard", MARGIN).alive
    finally:
        live.forget(told.set)
        live.stop()
        writer.close()


def test_a_kafka_that_is_away_is_told_and_waited_for(tmp_path: Path) -> None:
    settings = settings_of(tmp_path)
    live = Live(settings, open_model(settings), patience=1.0)
    told = threading.Event()
    live.listen(told.set)
    live.start()
    try:
        assert told.wait(MARGIN)
        assert live.writes
        assert not live.ready
        assert live.fault
    finally:
        live.stop()


def test_what_was_known_is_shown_while_kafka_is_away(tmp_path: Path) -> None:
    settings = settings_of(tmp_path)
    before = open_model(settings)
    assert before.acquire()
    fill(before, [make(StreamStatus)])
    before.close()
    live = Live(settings, open_model(settings), patience=1.0)
    told = threading.Event()
    live.listen(told.set)
    live.start()
    try:
        assert told.wait(MARGIN)
        assert live.ready
        assert live.fault
    finally:
        live.stop()
