"""Dead letters on a real Kafka: listed, shown, and sent again once, whatever happens between."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import OFFSET_BEGINNING, Consumer, TopicPartition
from typer.testing import CliRunner

from driftloop.cli.app import app
from driftloop.errors import ReplayError, SettingsError
from driftloop.kafka.dead_letters import REPLAY_OF, REPLAYED_FROM, to_message
from driftloop.kafka.producer import CheckedProducer
from driftloop.operator.dead_letters import LetterPlace, listing, parse_place, read, replay
from driftloop.readmodel import Queries, open_model
from driftloop.readmodel.feed import refresh
from driftloop.records import DeadLetter
from driftloop.settings import Features, KafkaSettings, Profile, Settings, TopicSettings

GOOD = b'{"id": "7", "ts": 5, "x": {"a": 1.5}, "y": 2.0}'
BAD = b'{"id": "8", "ts": "yesterday?", "x": {"a": 1.5}}'
STAMP = 1_700_000_000_123


class Desk:
    """A stream, a topic of dead letters, and letters that a test files."""

    def __init__(self, servers: str, make_topic: Callable[..., str], folder: Path) -> None:
        self.stream = make_topic(partitions=2)
        dlq = make_topic(prefix="dlq", partitions=2)
        self.commands = make_topic(prefix="commands")
        self.settings = Settings(
            kafka=KafkaSettings(bootstrap_servers=servers),
            topics=TopicSettings(dlq=dlq, commands=self.commands),
            profiles={"numbers": Profile(topics=r"streams\..+", features=Features(numeric=["a"]))},
        )
        self.config = folder / "driftloop.toml"
        self.config.write_text(
            f'[kafka]\nbootstrap_servers = "{servers}"\n'
            f'[topics]\ndlq = "{dlq}"\ncommands = "{self.commands}"\ncreate = false\n'
            "[profiles.numbers]\ntopics = 'streams\\..+'\nfeatures = { numeric = [\"a\"] }\n"
        )
        self.dlq = dlq
        self._filed = 0

    def file(
        self, value: bytes | None, reason: str = "not-json", topic: str = "", partition: int = 1
    ) -> None:
        """Write a dead letter, as the monitor does."""
        source = topic or self.stream
        letter = DeadLetter(source, partition, self._filed, STAMP, b"k", value, reason, "so it is")
        self._filed += 1
        message = to_message(letter)
        with CheckedProducer({"bootstrap.servers": self.settings.kafka.bootstrap_servers}) as made:
            made.produce(self.dlq, key=message.key, value=message.value, headers=message.headers)

    def sent(self, least: int = 0) -> list[Any]:
        """All that is committed on the stream."""
        return self.committed(self.stream, least)

    def committed(self, topic: str, least: int) -> list[Any]:
        """All that is committed on a topic; a commit shows a moment after it returns."""
        consumer = Consumer(
            {
                "bootstrap.servers": self.settings.kafka.bootstrap_servers,
                "group.id": "look",
                "enable.auto.commit": False,
                "enable.partition.eof": True,
                "isolation.level": "read_committed",
            }
        )
        consumer.assign([TopicPartition(topic, one, OFFSET_BEGINNING) for one in range(2)])
        found: list[Any] = []
        ended: set[int] = set()
        while len(ended) < 2 or len(found) < least:
            message = consumer.poll(100)
            assert message is not None, f"{len(found)} of {least} on {topic}"
            if message.error() is None:
                found.append(message)
            else:
                ended.add(message.partition())
        consumer.close()
        return found

    def run(self, *arguments: str) -> Any:
        """Run ``driftloop dlq``."""
        command = ["dlq", *arguments, "--config", str(self.config)]
        return CliRunner(env={"KAFKA_BOOTSTRAP_SERVERS": None}).invoke(app, command)


@pytest.fixture
def desk(kafka_bootstrap: str, make_topic: Callable[..., str], tmp_path: Path) -> Iterator[Desk]:
    """A desk with topics of its own."""
    return Desk(kafka_bootstrap, make_topic, tmp_path)


def test_letters_are_listed_newest_first_and_chosen(desk: Desk) -> None:
    assert listing(desk.settings, limit=10) == []
    desk.file(b"{", "not-json")
    desk.file(b"", "empty")
    desk.file(BAD, "bad-timestamp", topic=desk.commands)
    found = listing(desk.settings, limit=0)
    assert sorted(one.reason for one in found) == ["bad-timestamp", "empty", "not-json"]
    assert [one.at for one in found] == sorted((one.at for one in found), reverse=True)
    (one,) = listing(desk.settings, limit=10, reason="not-json")
    assert (one.topic, one.partition, one.offset) == (desk.stream, 1, 0)
    assert (one.key, one.value, one.detail, one.timestamp) == (b"k", b"{", "so it is", STAMP)
    assert [one.reason for one in listing(desk.settings, limit=9, topic=desk.commands)] == [
        "bad-timestamp"
    ]
    assert len(listing(desk.settings, limit=2)) == 2
    assert listing(desk.settings, limit=9, since_ms=found[0].at + 3_600_000) == []
    assert len(listing(desk.settings, limit=9, since_ms=found[-1].at)) == 3
    assert read(desk.settings, f"{desk.dlq}:{one.place}") == one


def test_a_letter_is_sent_again_unchanged_and_once(desk: Desk, tmp_path: Path) -> None:
    desk.file(GOOD, "bad-features")
    (one,) = listing(desk.settings, limit=1)
    (done,) = replay(desk.settings, [str(one.place)], who="ada", why="profile mended")
    (record,) = desk.sent(1)
    assert (record.value(), record.key(), record.partition()) == (GOOD, b"k", 1)
    assert record.offset() == done.offset
    assert record.timestamp()[1] == STAMP
    assert record.headers() == [(REPLAYED_FROM, f"{desk.dlq}:{one.place}".encode())]
    desk.committed(desk.dlq, 2)
    again = read(desk.settings, one.place)
    assert again.replayed is not None
    assert (again.replayed.who, again.replayed.why) == ("ada", "profile mended")
    assert not again.replayed.changed
    with pytest.raises(ReplayError, match=r"sent again by ada .*profile mended"):
        replay(desk.settings, [one.place], who="bob", why="again", force=True)
    assert len(desk.sent(1)) == 1
    assert len(listing(desk.settings, limit=0)) == 1  # the marker is no letter
    known = desk.settings.model_copy(update={"home": tmp_path})
    with closing(open_model(known)) as model:
        assert refresh(known, model) == ""
        (row,) = Queries(model, known).letters()
        assert (row.place, row.replayed_at is not None) == (one.place.offset, True)


def test_what_would_be_a_dead_letter_again_is_refused_until_it_is_mended(desk: Desk) -> None:
    desk.file(BAD, "bad-timestamp")
    (one,) = listing(desk.settings, limit=1)
    with pytest.raises(ReplayError, match=r"dead letter again \(bad-timestamp.*'numbers'"):
        replay(desk.settings, [one.place], who="ada", why="x")
    assert desk.sent() == []
    (done,) = replay(desk.settings, [one.place], who="ada", why="mended", value=GOOD)
    assert done.changed
    assert [record.value() for record in desk.sent(1)] == [GOOD]


def test_all_or_none(desk: Desk) -> None:
    """One that may not be sent holds all back, and each is named."""
    desk.file(GOOD)
    desk.file(GOOD, topic=desk.commands, partition=0)
    desk.file(GOOD, partition=5)
    places = [one.place for one in listing(desk.settings, limit=0)]
    with pytest.raises(ReplayError) as caught:
        replay(desk.settings, places, who="ada", why="x", force=True)
    assert "commands are never sent again" in str(caught.value)
    assert f"{desk.stream}[5] is not there" in str(caught.value)
    assert desk.sent() == []
    with pytest.raises(ReplayError, match="no dead letter lies at 1:999"):
        read(desk.settings, "1:999")
    with pytest.raises(SettingsError, match="partition:offset"):
        read(desk.settings, "elsewhere:0:1")
    with pytest.raises(ReplayError, match="for one dead letter, got 2"):
        replay(desk.settings, places[:2], who="a", why="b", value=GOOD)


_KILLED = """
import os, signal, sys
from confluent_kafka import Producer
from driftloop.operator import replays
from driftloop.settings import load_settings

class Dying(Producer):
    def commit_transaction(self, *timeout):
        if sys.argv[3] == "after":
            super().commit_transaction(*timeout)
        else:
            self.flush()
        os.kill(os.getpid(), signal.SIGKILL)

replays.Producer = Dying
replays.replay(load_settings(sys.argv[1]), [sys.argv[2]], who="eve", why="killed")
"""


@pytest.mark.parametrize(("when", "by"), [("before", "ada"), ("after", "eve")])
def test_a_crash_beside_the_commit_sends_neither_twice_nor_never(
    desk: Desk, when: str, by: str
) -> None:
    """Killed with all written, before and after the commit: the next replay sends what is left."""
    desk.file(GOOD)
    (one,) = listing(desk.settings, limit=1)
    names = {k: v for k, v in os.environ.items() if k != "KAFKA_BOOTSTRAP_SERVERS"}
    dead = subprocess.run(
        [sys.executable, "-c", _KILLED, str(desk.config), str(one.place), when],
        env=names,
        check=False,
        timeout=90,
        capture_output=True,
        text=True,
    )
    assert dead.returncode == -signal.SIGKILL, dead.stderr
    if when == "before":
        replay(desk.settings, [one.place], who="ada", why="again")
    else:
        with pytest.raises(ReplayError, match="sent again by eve"):
            replay(desk.settings, [one.place], who="ada", why="again")
    assert [record.value() for record in desk.sent(1)] == [GOOD]
    found = read(desk.settings, one.place).replayed
    assert found is not None
    assert found.who == by
    markers = [one for one in desk.committed(desk.dlq, 2) if REPLAY_OF in dict(one.headers() or [])]
    assert len(markers) == 1


def test_the_command_line(desk: Desk, tmp_path: Path) -> None:
    desk.file(BAD, "bad-timestamp")
    desk.file(GOOD, "bad-features")
    listed = desk.run("list")
    assert listed.exit_code == 0
    assert "bad-timestamp" in listed.output
    assert "driftloop dlq replay" in listed.output
    facts = json.loads(desk.run("list", "--json").output)
    assert facts["topic"] == desk.dlq
    assert {one["reason"] for one in facts["letters"]} == {"bad-timestamp", "bad-features"}
    (bad,) = [one["place"] for one in facts["letters"] if one["reason"] == "bad-timestamp"]
    shown = desk.run("show", bad)
    assert shown.exit_code == 0
    assert '"ts": "yesterday?"' in shown.output
    assert "so it is" in shown.output
    assert desk.run("show", bad, "--raw").stdout_bytes == BAD
    assert json.loads(desk.run("show", bad, "--json").output)["value"] == BAD.decode()
    lost = desk.run("replay", "0:999999", "--why", "x")
    assert lost.exit_code == 1
    assert "no dead letter lies at 0:999999" in lost.output
    unasked = desk.run("replay", bad, "--why", "x")
    assert unasked.exit_code == 2
    refused = desk.run("replay", bad, "--why", "x", "--yes")
    assert refused.exit_code == 1
    assert "dead letter again" in refused.output
    file = tmp_path / "mended.json"
    file.write_bytes(GOOD)
    mended = desk.run("replay", bad, "--why", "x", "--yes", "--value", str(file))
    assert mended.exit_code == 0, mended.output
    assert f"{bad} sent to {desk.stream}:1:" in mended.output
    both = ("--reason", "bad-features", "--topic", desk.stream)
    done = desk.run("replay", *both, "--why", "x", "--yes", "--json")
    assert done.exit_code == 0, done.output
    assert [one["topic"] for one in json.loads(done.output)] == [desk.stream]
    none = desk.run("replay", *both, "--why", "x", "--yes")
    assert none.exit_code == 2
    assert "sent again" in desk.run("list").output
    assert desk.run("replay", "--why", "x", "--yes").exit_code == 2
    assert len(desk.sent(2)) == 2
    assert "No dead letters of that choice" in desk.run("list", "--reason", "nope").output


def test_places_are_read_as_they_are_shown() -> None:
    assert str(parse_place("3:14", "t")) == "3:14"
    assert parse_place("t:3:14", "t") == LetterPlace(3, 14)
