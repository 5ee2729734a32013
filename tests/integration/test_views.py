"""What the commands that look show: from real topics, in words, as JSON, and after a rebuild."""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka.admin import AdminClient
from typer.testing import CliRunner, Result

from driftloop.cli.app import app
from driftloop.cli.view import view
from driftloop.kafka.dead_letters import to_message
from driftloop.kafka.producer import CheckedProducer
from driftloop.kafka.topics import driftloop_topics, ensure_topics
from driftloop.messages import (
    Command,
    CommandAnswered,
    Envelope,
    Event,
    Evidence,
    FleetIncident,
    ModelPublished,
    RetrainJudged,
    RetrainRequested,
    StreamStatus,
    TrainingFinished,
    encode,
)
from driftloop.operator.dead_letters import replay
from driftloop.readmodel import Feed, Queries, open_model
from driftloop.records import DeadLetter
from driftloop.settings import Settings, load_settings
from tests.readmodel import DAY, START, make

ROLE = {
    StreamStatus: "status",
    Evidence: "evidence",
    RetrainRequested: "retrain",
    TrainingFinished: "trainings",
    RetrainJudged: "trainings",
    ModelPublished: "models",
    FleetIncident: "incidents",
    Command: "commands",
    CommandAnswered: "commands",
}


class Rig:
    """Topics of their own, filled by hand, and the command on them."""

    def __init__(self, folder: Path, servers: str) -> None:
        self.prefix = f"views-{uuid.uuid4().hex[:8]}"
        roles = ("retrain", "models", "trainings", "commands", "evidence", "status", "dlq")
        topics = [f'{role} = "{self.prefix}.{role}"' for role in (*roles, "incidents")]
        self.file = folder / "driftloop.toml"
        self.file.write_text(
            f'home = "{folder / "home"}"\n[kafka]\nbootstrap_servers = "{servers}"\n'
            "[topics]\npartitions = 2\n" + "\n".join(topics) + "\n"
            "[profiles.default]\ntopics = 'streams\\..+'\n"
            "policy = { kind = 'mlma', alpha_per_year = 0.1 }\nfleet = { budget = 5 }\n"
        )
        self.settings: Settings = load_settings(self.file)
        self.client = self.settings.kafka.client()
        ensure_topics(self.client, driftloop_topics(self.settings.topics))

    def send(self, events: Iterable[Event]) -> None:
        names = self.settings.topics.names
        with CheckedProducer(self.client) as producer:
            for event in events:
                producer.produce(names[ROLE[type(event)]], encode(event))
            producer.flush()

    def run(self, *arguments: str) -> Result:
        return CliRunner().invoke(
            app, [*arguments, "--config", str(self.file)], env={"COLUMNS": "200"}
        )

    def json(self, *arguments: str) -> Any:
        result = self.run(*arguments, "--json")
        assert result.exit_code == 0, result.output
        return json.loads(result.stdout)


@pytest.fixture
def rig(tmp_path: Path, kafka_bootstrap: str) -> Iterator[Rig]:
    found = Rig(tmp_path, kafka_bootstrap)
    yield found
    names = list(found.settings.topics.names.values())
    for future in AdminClient(found.client).delete_topics(names).values():
        future.exception(timeout=30)


def _history() -> list[Event]:
    """A stream that was retrained, one that fails, one that is well."""
    request = make(RetrainRequested, id="ab" * 16, decided_at=START + DAY)
    windows = [
        make(
            Evidence,
            opened_at=START + i * DAY,
            closed_at=START + i * DAY + 1,
            metrics={"loss": 1.0 + i, "reference_loss": 1.0},
        )
        for i in range(5)
    ]
    return [
        *windows,
        request,
        make(TrainingFinished, request_id=request.id, version="v2", champion={"loss": 0.9}),
        make(ModelPublished, version="v2", sequence=2, request_id=request.id),
        make(RetrainJudged, request_id=request.id),
        make(StreamStatus, records=500, event_time=START + 5 * DAY, model_version="v2"),
        make(StreamStatus, "streams.b", state="silent", records=7),
        make(StreamStatus, "streams.c", records=7),
        make(RetrainRequested, "streams.c", id="cd" * 16),
        make(
            TrainingFinished,
            "streams.c",
            request_id="cd" * 16,
            outcome="failed",
            reason="offsets-expired",
        ),
        make(Command, id="c1", stream="streams.a", action="pin"),
        make(CommandAnswered, command_id="c1", action="pin", outcome="done", detail="v2 stays"),
    ]


def test_streams_that_need_a_person_come_first(rig: Rig) -> None:
    rig.send(_history())
    found = rig.json("streams")
    assert [row["stream"] for row in found["streams"]] == ["streams.c", "streams.b", "streams.a"]
    assert found["streams"][0]["need_why"] == "last training failed: offsets-expired"
    assert rig.json("streams", "--need", "silent")["total"] == 1
    assert [row["stream"] for row in rig.json("streams", "b")["streams"]] == ["streams.b"]
    shown = rig.run("streams", "--limit", "1")
    assert "2 more are not shown" in shown.stdout
    assert "driftloop stream show streams.c" in shown.stdout
    for option in ("--need", "--state", "--sort"):
        wrong = rig.run("streams", option, "nonsense")
        assert wrong.exit_code == 2
        assert f"{option}: one of" in wrong.stderr


def test_the_version_that_was_published_last_is_the_current_one(rig: Rig) -> None:
    """Also while the newest records are still by another one, as after a rollback."""
    made = [
        make(ModelPublished, version=f"v{i}", sequence=i, parent_version=f"v{i - 1}")
        for i in (2, 3, 4)
    ]
    back = make(ModelPublished, version="v3", sequence=5, parent_version="v4", action="rolled-back")
    rig.send([*made, back, make(StreamStatus, model_version="v4")])
    (row,) = rig.json("streams")["streams"]
    assert (row["model_version"], row["current_version"]) == ("v4", "v3")
    assert "v3" in rig.run("streams").stdout
    assert rig.json("stream", "show", "streams.a")["current_version"] == "v3"
    shown = rig.run("stream", "show", "streams.a").stdout
    assert "model v3 (newest records still by v4)" in shown
    assert "driftloop stream rollback streams.a --version v2 --why …" in shown


def test_the_status_sets_promise_beside_fact(rig: Rig) -> None:
    rig.send(_history())
    found = rig.json("status")
    fleet = found["fleet"]
    assert (fleet["streams"], fleet["retrains"], fleet["records"]) == (3, 2, 514)
    assert fleet["outcomes"] == {"failed": 1, "published": 1}
    assert fleet["promised"] == pytest.approx(0.1 * 5 / 365.25)
    assert found["budgets"] == [
        {"profile": "default", "day_ms": _day(START + 5 * DAY), "used": 0, "budget": 5}
    ]
    assert found["trainers"] == {"members": [], "lag": 2}
    shown = rig.run("status")
    assert "none running" in shown.stdout
    assert "driftloop trainer" in shown.stdout


def _day(ms: int) -> int:
    return ms - ms % DAY


def test_events_are_followed_by_their_types(rig: Rig) -> None:
    rig.send(_history())

    def kinds(*arguments: str) -> list[str]:
        result = rig.run("events", "follow", "--no-wait", "--json", "--last", "50", *arguments)
        assert result.exit_code == 0, result.output
        return [json.loads(line)["type"].split(".")[1] for line in result.stdout.splitlines()]

    assert set(kinds()) == {"retrain", "training", "model", "command"}
    assert kinds("--type", "evidence") == ["evidence"] * 5
    assert kinds("--type", "evidence", "--stream", "streams.b") == []
    assert kinds("--type", "status", "--stream", "streams.b") == ["stream"]
    lines = rig.run("events", "follow", "--no-wait", "--last", "50").stdout
    assert "v2 against v1: better, +0.3 saved a record" in lines
    assert rig.run("events", "follow", "--type", "nonsense").exit_code == 2


def test_earlier_events_are_counted_after_they_are_chosen(rig: Rig) -> None:
    about = {"outcome": "rejected", "reason": "worse"}
    rig.send([make(TrainingFinished, request_id="first", **about)])
    rig.send(make(TrainingFinished, "streams.b", finished_at=START + i, **about) for i in range(30))
    with CheckedProducer(rig.client) as producer:
        for kind in ("driftloop.model.published.v1", "nonsense"):
            broken = Envelope(b"streams.b", b"{broken", [("ce_type", kind.encode())])
            producer.produce(rig.settings.topics.trainings, broken)
        producer.flush()

    def follow(*arguments: str) -> Result:
        return rig.run("events", "follow", "--no-wait", "--json", "--last", "2", *arguments)

    (line,) = follow("--stream", "streams.a").stdout.splitlines()
    assert json.loads(line)["request_id"] == "first"
    chosen = follow("--type", "training")
    assert len(chosen.stdout.splitlines()) == 2
    assert chosen.stderr == ""
    assert follow("--stream", "streams.a").stderr == ""
    assert follow().stderr.count("Error: ") == 2


def test_the_read_model_goes_on_where_it_was_and_is_built_anew_at_will(rig: Rig) -> None:
    rig.send(_history())
    model = open_model(rig.settings)
    assert model.acquire()
    feed = Feed(rig.settings, model)
    told: list[tuple[int, int]] = []
    assert feed.catch_up(lambda done, total: told.append((done, total))) == 16
    assert told[-1] == (16, 16)
    assert feed.catch_up() == 0
    rig.send([make(StreamStatus, "streams.d")])
    assert feed.catch_up() == 1
    feed.close()
    ask = Queries(model, rig.settings)
    before = ask.streams(), ask.requests(), ask.windows("streams.a"), ask.commands()
    assert len(before[0].rows) == 4
    assert Feed(rig.settings, model).catch_up() == 0  # by its positions
    model.clear()
    assert Feed(rig.settings, model).catch_up() == 17
    assert (ask.streams(), ask.requests(), ask.windows("streams.a"), ask.commands()) == before
    model.close()


def test_a_topic_that_was_made_anew_empties_the_model(rig: Rig) -> None:
    rig.send(_history())
    model = open_model(rig.settings)
    assert model.acquire()
    feed = Feed(rig.settings, model)
    feed.catch_up()
    admin, status = AdminClient(rig.client), rig.settings.topics.status
    admin.delete_topics([status], operation_timeout=30)[status].result(30)
    ensure_topics(rig.client, driftloop_topics(rig.settings.topics))
    rig.send([make(StreamStatus, "streams.new")])
    feed.catch_up()
    ask = Queries(model, rig.settings)
    assert ask.stream("streams.new") is not None
    assert ask.stream("streams.b") is None  # told by its status alone, which is gone
    assert ask.request("ab" * 16) is not None
    feed.close()
    model.close()


def test_dead_letters_are_listed_by_place_and_reason_until_they_are_replayed(
    rig: Rig, make_topic: Callable[..., str]
) -> None:
    topic = make_topic(prefix="streams")
    letter = DeadLetter(topic, 0, 17, START, b"k", b"{broken", "bad-json", "no JSON")
    with CheckedProducer(rig.client) as producer:
        producer.produce(rig.settings.topics.dlq, to_message(letter))
        producer.flush()
    model = open_model(rig.settings)
    assert model.acquire()
    feed = Feed(rig.settings, model)
    feed.catch_up()
    ask = Queries(model, rig.settings)
    (row,) = ask.letters(topic=topic)
    assert (row.source_partition, row.source_offset, row.reason) == (0, 17, "bad-json")
    assert (row.detail, row.size, row.replayed_at) == ("no JSON", len(b"{broken"), None)
    assert ask.letter_reasons() == {"bad-json": 1}
    place = f"{row.partition}:{row.place}"
    replay(rig.settings, [place], who="ada", why="mended", value=b'{"y": 1}')
    deadline = time.monotonic() + 60
    while not feed.catch_up():  # a broker writes the end of a transaction a little later
        assert time.monotonic() < deadline
    (row,) = ask.letters()  # the marker is no letter
    assert row.replayed_at is not None
    feed.close()
    model.close()


def test_a_view_that_is_watched_keeps_one_connection(rig: Rig) -> None:
    """And one more after another process wrote the model in between."""
    rig.send(_history())
    with view(rig.file) as found:
        feed = found._feed
        assert feed is not None
        follower = feed._follower
        for number in range(3):
            rig.send([make(StreamStatus, f"streams.new{number}")])
            found.update()
            assert found.queries.stream(f"streams.new{number}") is not None
        assert found._feed is feed
        assert feed._follower is follower
        rig.send([make(StreamStatus, "streams.other")])
        assert rig.json("streams")["total"] == 7  # by this command
        found.update()
        assert found.queries.fleet().streams == 7
        assert feed._follower is not follower
    assert found._feed is None


def test_while_another_process_fills_the_model_it_is_read(rig: Rig) -> None:
    """As beside a dashboard; what it has not taken in yet is told."""
    rig.send(_history())
    writer = open_model(rig.settings)
    assert writer.acquire()
    Feed(rig.settings, writer).catch_up()
    assert rig.json("streams")["note"] == ""
    assert rig.json("streams")["total"] == 3
    writer.close()


def test_no_broker_is_told_and_what_was_known_is_shown(rig: Rig) -> None:
    rig.send(_history())
    assert rig.json("streams")["total"] == 3
    plain = rig.file.read_text()
    rig.file.write_text(
        plain.replace("[topics]", 'properties."security.protocol" = "SSL"\n[topics]')
    )
    found = rig.json("streams")  # the broker does not answer to TLS
    assert found["total"] == 3
    assert "this is what was known before" in found["note"]
    rig.file.write_text(plain.replace(rig.settings.kafka.bootstrap_servers, "127.0.0.1:1"))
    result = rig.run("streams", "--json")  # another Kafka: nothing is known of it
    assert result.exit_code == 1
    assert "no Kafka answers at 127.0.0.1:1" in result.stderr
