"""Every decision of a run on a real Kafka is explained from the topics alone, and comes out."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from confluent_kafka import TopicPartition

from driftloop.explain import explain, words
from driftloop.explain.page import body, render_page
from driftloop.messages import (
    Command,
    Evidence,
    ModelPublished,
    RetrainRequested,
    TrainingFinished,
)
from tests.commands import Ended, run_here
from tests.html import Balance
from tests.integration.loop_rig import LoopRig, of
from tests.integration.monitor_rig import START_MS, jumping

PAGE = Path(__file__).parents[2] / "docs" / "explain.md"
_PART = 420
_POLICY = 'cost = 10\ncooldown = "2h"\ndetectors = ["adwin"]\noutcome_timeout = "2h"'


class _Ran:
    """A run that is over: monitor and trainer have ended."""

    def __init__(self, rig: LoopRig) -> None:
        self.rig = rig
        self.topics = [rig.make(f"streams.{name}") for name in "ab"]
        values = {topic: jumping(2 * _PART, seed=i) for i, topic in enumerate(self.topics)}
        parts = [rig.part("monitor"), rig.part("trainer")]
        with rig.tail("retrain", "trainings", "models", "evidence", "status") as tail:
            for topic in self.topics:
                rig.produce(topic, values[topic][:_PART])
            first = self.topics[0]
            tail.until(lambda: (one := tail.status(first)) and one.windows, "a window")
            rig.send(rig.settings.topics.commands, _command(first))
            # Its records name no version: when one came to serve must be plain from the times.
            tail.until(self._served(tail), "the monitor knows what was trained so far")
            for topic in self.topics:
                rig.produce(topic, values[topic][_PART:])
            tail.until(self._settled(tail), "outcomes of all requests")
            self.events = tail.events()
        for process in parts:
            process.terminate()
            assert process.wait(60) == 0

    def _served(self, tail: Any) -> Any:
        def done() -> bool:
            known = {one.request_id for one in of(tail.events(), TrainingFinished)}
            asked = {one.id for one in of(tail.events(), RetrainRequested)}
            if not known or not asked <= known:
                return False
            newest = {one.stream: one.version for one in of(tail.events(), ModelPublished)}
            told = {topic: tail.status(topic) for topic in self.topics}
            return all(
                (one := told[topic]) is not None and one.model_version == version
                for topic, version in newest.items()
            )

        return done

    def _settled(self, tail: Any) -> Any:
        def done() -> bool:
            asked = {one.id for one in of(tail.events(), RetrainRequested)}
            known = {one.request_id for one in of(tail.events(), TrainingFinished)}
            read = [one and one.records for one in map(tail.status, self.topics)]
            return len(asked) >= 4 and asked <= known and read == [2 * _PART] * 2

        return done

    @property
    def requests(self) -> list[RetrainRequested]:
        """All requests."""
        return of(self.events, RetrainRequested)

    def run(self, *arguments: str) -> Ended:
        """Run a command."""
        return run_here(self.rig.folder, *arguments, "--config", str(self.rig.config))

    def explain(self, event_id: str, *more: str) -> Ended:
        """Run the command."""
        return self.run("explain", event_id, *more)


def _command(stream: str) -> Command:
    return Command(
        id="c0ffee00c0ffee00", stream=stream, action="retrain", who="ada", why="new prices",
        issued_at=START_MS,
    )  # fmt: skip


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory, kafka_bootstrap: str) -> Iterator[_Ran]:
    """Monitor and trainer have run."""
    folder = tmp_path_factory.mktemp("explain")
    with LoopRig(folder, kafka_bootstrap, policy=_POLICY) as rig:
        yield _Ran(rig)


def test_each_request_comes_out_with_the_same_id(ran: _Ran) -> None:
    assert {one.reason for one in ran.requests} == {"policy", "command"}
    for request in ran.requests:
        told = explain(ran.rig.settings, request.id)
        assert told.check.outcome == "same", words(told)
        assert told.check.recomputed_id == told.request_id == request.id
        assert told.check.evidence[0] == told.check.evidence[1]
        outcome = next(
            one for one in of(ran.events, TrainingFinished) if one.request_id == request.id
        )
        assert told.training is not None
        assert told.training.outcome == outcome.outcome


def test_the_command_tells_it_in_words_as_json_and_as_a_page(ran: _Ran, tmp_path: Path) -> None:
    trained = {one.request_id for one in of(ran.events, TrainingFinished) if one.challenger}
    request = next(one for one in ran.requests if one.reason == "policy" and one.id in trained)
    page = tmp_path / "why.html"
    done = ran.explain(request.id[:10], "--html", str(page))
    assert done.returncode == 0, done.stderr
    for told in ("comes out the same", "by window", "reducible", "Gate: ", page.as_uri()):
        assert told in done.stdout
    assert "reading" not in done.stderr
    text = page.read_text()
    Balance().feed(text)
    assert request.id in text
    assert not re.search(r"<script|https?://(?!www\.w3\.org/2000/svg)", text)
    done = ran.explain(request.id, "--json")
    document = json.loads(done.stdout)
    assert document["check"]["outcome"] == "same"
    assert document["event"] == msgspec.to_builtins(request)
    features = [one for one in document["shift"]["features"] if one["role"] == "feature"]
    assert {one["name"] for one in features} == {"a", "b", "c"}
    assert all(document["shift"][side]["loss"] > 0 for side in ("window", "reference"))


@pytest.mark.parametrize("kind", [TrainingFinished, ModelPublished, Evidence, Command])
def test_other_events_are_explained_by_what_they_belong_to(ran: _Ran, kind: Any) -> None:
    if kind is Command:
        asked, request = (
            "c0ffee00c0ffee00",
            next(one for one in ran.requests if one.reason == "command"),
        )
    elif kind is Evidence:
        found = next(one for one in of(ran.events, Evidence) if one.decision == "retrain")
        asked = found.id
        request = next(
            one
            for one in ran.requests
            if one.stream == found.stream and one.decided_at == found.closed_at
        )
    else:
        event = of(ran.events, kind)[0]
        asked = event.id
        request = next(one for one in ran.requests if one.id == event.request_id)
    told = explain(ran.rig.settings, asked)
    assert (told.type, told.request_id) == (kind.__name__, request.id)
    assert told.check.outcome == "same"
    assert body(told) in render_page(told)


def test_evidence_from_which_nothing_followed_comes_out_too(ran: _Ran) -> None:
    quiet = next(one for one in of(ran.events, Evidence) if one.decision == "none")
    told = explain(ran.rig.settings, quiet.id)
    assert (told.request_id, told.check.outcome) == (None, "same")
    alarm = next(one for one in of(ran.events, Evidence) if one.kind == "alarm")
    told = explain(ran.rig.settings, alarm.id)
    assert told.check.outcome == "same"
    assert "adwin signalled" in told.headline


def test_the_commands_of_the_page_run(ran: _Ran) -> None:
    text = PAGE.read_text(encoding="utf-8")
    block = re.findall(r"^```sh\n(.*?)^```", text, re.DOTALL | re.MULTILINE)[0]
    commands = [shlex.split(line, comments=True) for line in block.splitlines()]
    assert len(commands) == 3
    request = next(one for one in ran.requests if one.reason == "policy")
    for _, *rest in commands:
        named = [request.id if one == "EVENT-ID" else one for one in rest]
        done = ran.run(*named)
        assert done.returncode == 0, done.stderr
    assert (ran.rig.folder / "why.html").exists()


def test_an_id_that_is_not_there_or_not_unique_is_told(ran: _Ran) -> None:
    request = ran.requests[0]
    known = request.id[:6]
    done = ran.explain(known + "zz" * 5)
    assert done.returncode == 1
    assert "no event with id" in done.stderr
    assert request.id in done.stderr
    assert "retention" in done.stderr
    done = ran.explain("abc")
    assert done.returncode == 1
    assert "first 8 digits" in done.stderr
    twins = [msgspec.structs.replace(request, id=f"feedbeef{i:024d}") for i in range(2)]
    ran.rig.send(ran.rig.settings.topics.retrain, *twins)
    done = ran.explain("feedbeef")
    assert done.returncode == 1
    assert all(twin.id in done.stderr for twin in twins)


def test_records_that_were_deleted_are_told(ran: _Ran) -> None:
    """Last of all: what it deletes, the others read."""
    topic = ran.topics[1]
    request = next(one for one in ran.requests if one.stream == topic and one.reason == "policy")
    window = request.grounds[0].window[0]
    first = int(window.split(":")[2])
    for low, outcome in ((5, "partly"), (first + 1, "not-possible")):
        future = ran.rig.admin.delete_records([TopicPartition(topic, 0, low)])
        for deleted in future.values():
            deleted.result(30)
        done = ran.explain(request.id, "--json")
        assert done.returncode == 3, done.stderr
        check = json.loads(done.stdout)["check"]
        assert f"{topic}:0:0:{low - 1}" in check["missing"][0]
        assert check["outcome"] in {outcome, "not-possible"}
