"""Orders reach a running monitor: by the command line, and by the producer of docs/events.md."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Message, Producer
from confluent_kafka.admin import AdminClient
from typer.testing import CliRunner

from driftloop import operator
from driftloop.cli.app import app
from driftloop.kafka.producer import CheckedProducer
from driftloop.messages import (
    Command,
    CommandAnswered,
    Cost,
    FleetIncident,
    ModelPublished,
    RetrainRequested,
    event_id,
)
from driftloop.messages.memory import REMEMBERED
from driftloop.messages.signing import make_keys
from driftloop.settings import load_settings
from tests.integration.monitor_rig import MARGIN, WINDOW, MonitorRig, Tail, jumping

PAGE = Path(__file__).parents[2] / "docs" / "events.md"
WAIT = ["--timeout", f"{MARGIN:g}s"]


@pytest.fixture(scope="module")
def rig(tmp_path_factory: pytest.TempPathFactory, kafka_bootstrap: str) -> Iterator[MonitorRig]:
    """A running monitor, and a trainer beside it."""
    with MonitorRig(tmp_path_factory.mktemp("commands"), kafka_bootstrap) as rig:
        trainer = rig.start(command=["-m", "driftloop", "trainer", "--config", str(rig.config)])
        process = rig.start()
        yield rig
        assert rig.stop(process) == 0
        trainer.terminate()
        assert trainer.wait(MARGIN) == 0


def order(rig: MonitorRig, *words: str, status: int = 0) -> str:
    """Run ``driftloop stream``, and see how it ends; what it printed."""
    named = ["--who", "ada", "--why", "a test", "--config", str(rig.config)]
    return run(["stream", *words, *named], status)


def run(words: list[str], status: int) -> str:
    """Run ``driftloop`` in this process: a new one takes seconds on a busy machine."""
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("KAFKA_BOOTSTRAP_SERVERS", raising=False)
        patch.delenv("DRIFTLOOP_CONFIG", raising=False)
        done = CliRunner().invoke(app, words)
    assert done.exit_code == status, f"{words}: {done.output}{done.exception}"
    return " ".join(done.output.split())


def settled(topic: str, windows: int, tail: Tail) -> None:
    """Wait until a stream has closed so many windows."""
    tail.until(lambda: (one := tail.status(topic)) and one.windows == windows, f"{windows} windows")


@pytest.mark.slow
def test_each_command_is_carried_out_and_told(rig: MonitorRig) -> None:
    topic = rig.make("streams.ordered")
    rig.produce(topic, jumping(5 * WINDOW, jump=1.0))
    with rig.tail("status", "retrain", "commands") as tail:
        settled(topic, 5, tail)

        def state() -> str:
            found = tail.status(topic)
            return found.state if found else ""

        def becomes(wanted: str) -> None:
            tail.until(lambda: state() == wanted, wanted)

        assert "approve ordered for" in order(rig, "approve", topic, *WAIT, status=1)
        assert "refused: nothing waits" in order(rig, "reject", topic, *WAIT, status=1)
        order(rig, "snooze", topic, "--until", "2040-01-01T00:00:00Z", *WAIT)
        becomes("snoozed")
        assert "snooze ended" in order(rig, "resume", topic, *WAIT)
        becomes("monitoring")
        assert "published as v1" in order(rig, "retrain", topic, *WAIT)
        (request,) = tail.until(
            lambda: [e for e in tail.events(topic) if isinstance(e, RetrainRequested)], "a request"
        )
        assert (request.reason, request.grounds[0].detail) == ("command", "ada: a test")
        assert "false alarm" in order(rig, "dismiss", topic, *WAIT)
        assert "dismissed before" in order(rig, "dismiss", topic, *WAIT, status=1)
        tail.until(lambda: tail.status(topic).dismissed == 1, "a dismissal")  # type: ignore[union-attr]
        order(rig, "pin", topic, *WAIT)
        becomes("pinned")
        order(rig, "unpin", topic, *WAIT)
        # Without a parent there is nothing to go back to: told before anything is sent.
        assert "v1 has no parent" in order(rig, "rollback", topic, *WAIT, status=2)
        told = order(rig, "rollback", topic, "--version", "v9", status=2)
        assert "a version of" in told
        assert "v1" in told
        assert "begin anew" in order(rig, "reset-reference", topic, *WAIT)
        order(rig, "retire", topic, *WAIT)
        becomes("retired")
        assert "'resume' first" in order(rig, "retrain", topic, *WAIT, status=1)
        before = tail.status(topic)
        rig.produce(topic, jumping(2 * WINDOW, seed=1, jump=1.0))
        order(rig, "resume", topic, *WAIT)
        rig.produce(topic, jumping(3 * WINDOW, seed=2, jump=1.0))
        tail.until(lambda: tail.status(topic).windows >= before.windows + 3, "windows")  # type: ignore[union-attr]
        tail.until(lambda: _answered(tail, topic), "an answer to each")
        orders = [e for e in tail.events(topic) if isinstance(e, Command)]
        answers = [e for e in tail.events(topic) if isinstance(e, CommandAnswered)]
    assert [one.command_id for one in answers] == [one.id for one in orders]
    audited = json.loads(rig.run("audit", "--stream", topic, "--json", *_config(rig)).stdout)
    assert [one["command"]["id"] for one in audited] == [one.id for one in orders]
    assert [one["answer"]["id"] for one in audited] == [one.id for one in answers]
    finished = {one["command"]["action"]: one["finished"] for one in audited if one["finished"]}
    assert finished.keys() == {"retrain"}
    assert finished["retrain"]["outcome"] == "published"
    assert finished["retrain"]["request_id"] == request.id
    shown = rig.run("audit", "--who", "ada", *_config(rig)).stdout
    assert "retrain" in shown
    assert "No command" in rig.run("audit", "--who", "eve", *_config(rig)).stdout


def _answered(tail: Tail, topic: str) -> bool:
    orders = {e.id for e in tail.events(topic) if isinstance(e, Command)}
    return orders == {e.command_id for e in tail.events(topic) if isinstance(e, CommandAnswered)}


def _config(rig: MonitorRig) -> list[str]:
    return ["--config", str(rig.config)]


def test_what_is_not_there_is_refused_with_what_is_alike(rig: MonitorRig) -> None:
    topic = rig.make("streams.named")
    told = order(rig, "retrain", f"{rig.prefix}.streams.namd", status=2)
    assert "a topic that exists" in told
    assert f"did you mean {topic}" in told
    assert "a pattern of at least one" in order(rig, "pin", "--pattern", "nothing.*", status=2)
    assert "incidents" in order(rig, "pin", "--incident", "0" * 32, status=2)
    assert "a topic that a profile matches" in order(rig, "pin", rig.settings.topics.dlq, status=2)


def test_a_pattern_and_an_incident_order_a_batch(rig: MonitorRig) -> None:
    streams = [rig.make(f"streams.pattern.{name}") for name in "abc"]
    for seed, topic in enumerate(streams):
        rig.produce(topic, jumping(WINDOW, seed=seed, jump=1.0))
    pattern = ["--pattern", f"{rig.prefix}.streams.pattern.*"]
    incident = FleetIncident(
        id=event_id("fleet:numbers", "", "incident-opened", [rig.prefix]),
        profile="numbers",
        action="opened",
        opened_at=1_700_000_000_000,
        streams=[*streams[:2], f"{rig.prefix}.streams.gone"],
        moved=7,
    )
    rig.send(rig.settings.topics.incidents, incident)
    with rig.tail("status") as tail:
        for topic in streams:
            settled(topic, 1, tail)
        assert "say --yes" in order(rig, "snooze", *pattern, status=2)
        assert "3 of 3 done" in order(rig, "snooze", *pattern, "--yes", *WAIT)
        for topic in streams:
            tail.until(lambda one=topic: tail.status(one).state == "snoozed", "a snooze")  # type: ignore[misc]
        told = order(rig, "dismiss", "--incident", incident.id[:8], "--yes", *WAIT)
    assert "2 of 2 done" in told
    assert "the incident moved 7 streams" in told
    audited = [
        one for one in operator.audit(rig.settings) if one.command.stream in streams and one.answer
    ]
    batches = {one.command.batch for one in audited}
    assert len(batches) == 2
    assert {one.command.scope for one in audited} == {pattern[1], f"incident {incident.id}"}
    about = {one.answer.about for one in audited if one.command.action == "dismiss" and one.answer}
    assert about == {incident.id}
    assert not any("gone" in one.command.stream for one in audited)


def test_a_rollback_of_many_leaves_out_those_that_have_nothing_to_go_back_to(
    rig: MonitorRig,
) -> None:
    able, first, restored, none, gone = (
        rig.make(f"streams.back.{name}") for name in ("able", "first", "restored", "none", "gone")
    )
    versions = [
        _published(able, 2, "v1"),
        _published(first, 1, None),
        _published(restored, 1, "v2", "rolled-back"),
        _published(gone, 2, "v1"),
    ]
    for event in versions:
        rig.send(rig.settings.topics.models, event)
    with CheckedProducer(rig.settings.kafka.client()) as producer:
        producer.produce(rig.settings.topics.models, key=gone.encode(), value=None)
    notes: list[str] = []

    def built(pattern: str) -> list[str]:
        given = {"pattern": f"{rig.prefix}.{pattern}", "who": "ada", "why": "a test"}
        found = operator.build(rig.settings, "rollback", **given, on_note=notes.append)
        return [one.stream for one in found]

    assert built("streams.back.*") == [able]
    (note,) = notes
    assert note.startswith("4 streams are left out")
    for stream, why in (
        (first, "v1 has no parent"),
        (restored, "v1 is itself restored"),
        (none, "no version yet"),
        (gone, "no version yet"),
    ):
        assert f"{stream} ({why})" in note
    assert built("streams.back.able") == [able]
    assert len(notes) == 1
    pattern = f"{rig.prefix}.streams.back.[fn]*"
    told = order(rig, "rollback", "--pattern", pattern, status=2)
    assert "with a stream that has a version to go back to" in told
    assert f"{none} (no version yet)" in told


def _published(
    stream: str, number: int, parent: str | None, action: Any = "trained"
) -> ModelPublished:
    return ModelPublished(
        id=f"{stream}-{number}",
        stream=stream,
        profile="numbers",
        version=f"v{number}",
        sequence=number,
        parent_version=parent,
        kind="linear",
        uri="file:///nowhere",
        sha256="0" * 64,
        format="safetensors",
        champion=None,
        challenger={},
        data=[],
        cost=Cost(seconds=0.1, records=10, device="cpu"),
        request_id="r",
        published_at=1,
        action=action,
    )


def test_a_command_that_no_profile_knows_does_not_vanish(rig: MonitorRig) -> None:
    lost = Command(
        id=uuid.uuid4().hex,
        stream="nowhere",
        action="pin",
        who="ada",
        why="a test",
        issued_at=round(time.time() * 1000),
    )
    operator.send(rig.settings, [lost])
    (told,) = operator.wait(rig.settings, [lost], timeout=MARGIN)
    assert told.dead_letter == "unknown-stream"
    assert told.answer is not None
    assert told.answer.outcome == "refused"
    assert "no profile's topics match 'nowhere'" in told.answer.detail


def test_the_producer_of_the_page_pins_a_stream(rig: MonitorRig) -> None:
    topic = rig.make("streams.pinned")
    rig.produce(topic, jumping(WINDOW, jump=1.0))
    section = PAGE.read_text(encoding="utf-8").split("## Commands")[1].split("## Types")[0]
    (code,) = re.findall(r"```python\n(.*?)```", section, re.DOTALL)
    code = code.replace("streams.lyon", topic)
    code = code.replace("driftloop.commands", rig.settings.topics.commands)
    servers = rig.settings.kafka.bootstrap_servers
    with rig.tail("status") as tail:
        tail.until(lambda: tail.status(topic), "a status")
        subprocess.run(
            [sys.executable, "-c", code],
            check=True,
            env={**os.environ, "KAFKA_BOOTSTRAP_SERVERS": servers},
        )
        tail.until(lambda: tail.status(topic).state == "pinned", "a pin")  # type: ignore[union-attr]


@pytest.mark.slow
def test_killed_between_command_and_answer_there_is_one_effect(
    tmp_path: Path, kafka_bootstrap: str
) -> None:
    """And again right behind the answer, before it is in any snapshot."""
    with MonitorRig(tmp_path, kafka_bootstrap) as rig:
        topic = rig.make("streams.killed")
        rig.produce(topic, jumping(3 * WINDOW, jump=1.0))
        with rig.tail("status", "retrain", "commands") as tail:
            process = rig.start()
            settled(topic, 3, tail)
            rig.started(process)
            process.send_signal(signal.SIGKILL)
            process.wait(MARGIN)
            told = order(rig, "retrain", topic, "--timeout", "1s", status=3)
            assert "is a monitor running" in told
            for action in ("reset-reference", "dismiss"):
                order(rig, action, topic, "--no-wait")
            answers = _answers(tail, topic)
            process = rig.start()
            tail.until(lambda: len(_ids(answers())) == 3, "three answers")
            process.send_signal(signal.SIGKILL)
            process.wait(MARGIN)
            process = rig.start()
            order(rig, "snooze", topic, *WAIT)
            tail.until(lambda: len(_ids(answers())) == 4, "the last answer")
            assert rig.stop(process) == 0
            requests = tail.until(
                lambda: [e for e in tail.events(topic) if isinstance(e, RetrainRequested)], "it"
            )
            assert len(_ids(requests)) == 1
            tail.until(lambda: tail.status(topic).state == "snoozed", "the last status")  # type: ignore[union-attr]
            status = tail.status(topic)
        assert status is not None
        assert (status.retrains, status.dismissed) == (1, 1)
        outcomes = {one.action: one.outcome for one in answers()}
        assert outcomes == {
            "retrain": "accepted",
            "reset-reference": "done",
            "dismiss": "done",
            "snooze": "done",
        }
        assert {one.led_to[0] for one in answers() if one.led_to} == _ids(requests)


def _answers(tail: Tail, topic: str) -> Callable[[], list[CommandAnswered]]:
    return lambda: [one for one in tail.events(topic) if isinstance(one, CommandAnswered)]


def _ids(events: list[Any]) -> set[str]:
    return {one.id for one in events}


def _reasons(tail: Tail) -> set[Any]:
    found = [dict(one.headers() or []) for one in tail.messages]
    return {one.get("__streams.errors.exception") for one in found} - {None}


@pytest.mark.slow
def test_only_signed_commands_are_carried_out_where_they_must_be(
    tmp_path: Path, kafka_bootstrap: str
) -> None:
    keys = {}
    for name, algorithm in (("ada", "ed25519"), ("bob", "hmac"), ("eve", "ed25519")):
        secret, keys[name] = make_keys(algorithm)
        (tmp_path / f"{name}.key").write_text(secret)
    with MonitorRig(tmp_path, kafka_bootstrap) as rig:
        plain = rig.config.read_text()
        table = f'{{ ada = "{keys["ada"]}", bob = "hmac:file:{tmp_path}/bob.key" }}'
        rig.config.write_text(f"{plain}\n[commands]\nrequire_signature = true\nkeys = {table}\n")
        senders = {"": rig.folder / "unsigned.toml"}
        senders[""].write_text(plain)
        for name, owner in (("ada", "ada"), ("bob", "bob"), ("ada-by-eve", "eve")):
            senders[name] = rig.folder / f"{name}.toml"
            key = f'key_id = "{name[:3]}"\nsecret = {{ file = "{tmp_path}/{owner}.key" }}'
            senders[name].write_text(f"{plain}\n[commands]\n{key}\n")
        topic = rig.make("streams.signed")
        rig.produce(topic, jumping(WINDOW, jump=1.0))

        def give(sender: str, *words: str, status: int) -> str:
            named = ["--why", "a test", *WAIT, "--config", str(senders[sender])]
            return run(["stream", *words, topic, *named], status)

        with rig.tail("status", "dlq") as tail:
            process = rig.start()
            settled(topic, 1, tail)
            assert "by ada" in give("ada", "pin", status=0)
            give("bob", "unpin", status=0)
            assert "unsigned-command" in give("", "pin", "--who", "ada", status=1)
            assert "bad-signature" in give("ada-by-eve", "pin", status=1)
            assert "whose key signs here" in give("ada", "pin", "--who", "bob", status=2)
            tail.until(lambda: len(_reasons(tail)) == 2, "two dead letters")
            assert _reasons(tail) == {b"unsigned-command", b"bad-signature"}
            tail.until(lambda: tail.status(topic).state != "pinned", "no pin")  # type: ignore[union-attr]
            assert rig.stop(process) == 0
        audited = operator.audit(load_settings(rig.config))
        assert [(one.command.who, one.dead_letter) for one in audited] == [
            ("ada", ""),
            ("bob", ""),
            ("ada", "unsigned-command"),
            ("ada", "bad-signature"),
        ]
        shown = rig.run("audit", *_config(rig)).stdout
        assert "bad-signature" in "".join(shown.split())
        unsigned = rig.run(
            "stream", "pin", topic, "--who", "ada", "--why", "x", "--config", str(rig.config)
        )
        assert unsigned.returncode == 2
        assert "requires signatures" in " ".join(unsigned.stderr.split())


def test_topics_are_made_once_and_with_their_partitions(
    monkeypatch: pytest.MonkeyPatch,
    kafka_bootstrap: str,
    admin: AdminClient,
    topic_name: Callable[..., str],
) -> None:
    """On the Kafka that the environment names."""
    monkeypatch.setenv("KAFKA_BOOTSTRAP_SERVERS", kafka_bootstrap)
    names = [topic_name("made"), topic_name("made")]
    try:
        made = CliRunner().invoke(app, ["kafka", "topic", *names, "--partitions", "3"])
        assert made.output.splitlines() == [f"{name}: made" for name in names]
        again = CliRunner().invoke(app, ["kafka", "topic", names[0]])
        assert again.output == f"{names[0]}: is there already\n"
        topics = admin.list_topics(timeout=30).topics
        assert [len(topics[name].partitions) for name in names] == [3, 3]
    finally:
        for future in admin.delete_topics(names).values():
            future.exception(30)


def _command_message(tail: Tail, action: str) -> Message:
    """A command as it lies on the topic."""
    found = [
        one for one in tail.messages if f'"action":"{action}"'.encode() in (one.value() or b"")
    ]
    return found[0]


@pytest.mark.slow
def test_a_captured_command_is_refused_after_many_others_and_over_a_restart(
    tmp_path: Path, kafka_bootstrap: str
) -> None:
    """Sent again byte for byte, with its signature, by whoever may write to the topic."""
    secret, public = make_keys("ed25519")
    (tmp_path / "ada.key").write_text(secret)
    with MonitorRig(tmp_path, kafka_bootstrap) as rig:
        rig.config.write_text(
            f"{rig.config.read_text()}\n[commands]\nrequire_signature = true\n"
            f'keys = {{ ada = "{public}" }}\nkey_id = "ada"\n'
            f'secret = {{ file = "{tmp_path}/ada.key" }}\n'
        )
        settings = load_settings(rig.config)
        topic = rig.make("streams.captured")
        rig.produce(topic, jumping(3 * WINDOW, jump=1.0))

        def again(captured: Message) -> None:
            producer = Producer(settings.kafka.client())
            producer.produce(
                settings.topics.commands,
                captured.value(),
                captured.key(),
                headers=captured.headers(),
            )
            assert producer.flush(30) == 0

        with rig.tail("status", "retrain", "commands", "dlq") as tail:
            answers = _answers(tail, topic)
            process = rig.start()
            settled(topic, 3, tail)
            order_by_key = ["--why", "a test", "--config", str(rig.config), "--no-wait"]
            run(["stream", "retrain", topic, *order_by_key], 0)
            tail.until(answers, "an answer")
            captured = _command_message(tail, "retrain")
            again(captured)
            tail.until(lambda: len(answers()) == 2, "the same answer")
            now = round(time.time() * 1000)
            many = [
                Command(
                    id=uuid.uuid4().hex,
                    stream=topic,
                    action="unpin",
                    who="ada",
                    why="a test",
                    issued_at=now + number,
                )
                for number in range(REMEMBERED)
            ]
            operator.send(settings, many)
            tail.until(lambda: len(answers()) == 2 + REMEMBERED, "an answer to each")
            again(captured)
            late = tail.until(lambda: answers()[2 + REMEMBERED :], "a refusal")
            assert rig.stop(process) == 0
            process = rig.start()
            again(captured)
            tail.until(lambda: len(answers()) == 4 + REMEMBERED, "a refusal again")
            assert rig.stop(process) == 0
            requests = [e for e in tail.events(topic) if isinstance(e, RetrainRequested)]
            assert not _reasons(tail)
        assert len(requests) == 1
        first = answers()[0]
        assert (first.outcome, answers()[1]) == ("accepted", first)
        assert (late[0].outcome, late[0].command_id) == ("refused", first.command_id)
        assert late[0].id != first.id
        assert "may have been carried out before" in late[0].detail
        assert answers()[-1] == late[0]
        audited = [one for one in operator.audit(settings) if one.command.action == "retrain"]
        assert [one.answer for one in audited] == [first]
