"""Access control: parts have what docs/security.md allows, and name what is taken away."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import nullcontext
from typing import Any

import pytest
from confluent_kafka.admin import AclBinding, AclOperation, ResourceType

from driftloop.cli.flows import ready
from driftloop.doctor import cluster, topics
from driftloop.doctor.finding import Finding
from driftloop.engine.items import Outgoing
from driftloop.engine.sink import KafkaSink
from driftloop.errors import KafkaError, ReplayError
from driftloop.kafka import codes
from driftloop.kafka.dead_letters import to_message
from driftloop.kafka.follower import Follower
from driftloop.kafka.producer import CheckedProducer
from driftloop.kafka.rights import PARTS, Part, needed
from driftloop.messages import (
    Command,
    ModelPublished,
    RetrainRequested,
    StreamStatus,
    TrainingFinished,
    encode,
    event_id,
)
from driftloop.operator.dead_letters import listing, replay
from driftloop.records import DeadLetter
from driftloop.scorer.known import current_versions
from driftloop.trainer.preview import preview
from driftloop.trainer.service import TrainerService
from tests.acls import parsed, sections, shown
from tests.integration.security_rig import SecuredSite, end
from tests.readmodel import make

_KINDS = {ResourceType.TOPIC: "topic", ResourceType.TRANSACTIONAL_ID: "transactional id"}
PAGE = {name: parsed(commands) for name, commands in sections().items()}


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SecuredSite]:
    """One broker for all."""
    made = SecuredSite(tmp_path_factory.mktemp("secured"))
    yield made
    made.close()


def _rights(part: str) -> list[Any]:
    return [pytest.param(one, id=shown(one)) for one in PAGE[part]]


def _own(one: AclBinding) -> bool:
    """Whether it is on a topic of Driftloop's, not of the user's."""
    return one.restype == ResourceType.TOPIC and one.name.startswith("driftloop.")


def _refusal(call: Callable[[], object], *words: str) -> None:
    with pytest.raises(KafkaError) as caught:
        call()
    told = str(caught.value)
    assert all(word in told for word in words), told


def _request(topic: str, data: str, tag: str) -> RetrainRequested:
    return RetrainRequested(
        id=event_id(topic, "p", "retrain", [data, tag]),
        stream=topic,
        profile="numbers",
        profile_hash="p",
        reason="command",
        policy="never",
        grounds=[],
        data=[data],
        current_version=None,
        decided_at=0,
    )


@pytest.mark.parametrize("part", PARTS)
def test_the_page_grants_what_the_parts_look_for(site: SecuredSite, part: str) -> None:
    """What ``driftloop doctor`` and a start look for is on the page, and no more than that."""
    wanted = {str(one) for one in needed(part, site.settings("driftloop-viewer"))}  # type: ignore[arg-type]
    page = [*PAGE[part], *(PAGE["operator who replays"] if part == "operator" else [])]
    granted = {shown(one) for one in page if _own(one) or one.restype == ResourceType.GROUP}
    assert wanted == granted


def test_monitor_trainer_and_scorer_do_their_work_with_exactly_these_rights(
    site: SecuredSite,
) -> None:
    """From records without predictions to records that the first model predicted."""
    processes = [site.start(part) for part in ("monitor", "trainer", "scorer")]
    site.feed("features.c", 160)
    names = site.names
    made = site.until(names.models, lambda one: one, check=processes[0])
    assert isinstance(made, ModelPublished)
    assert made.stream == "streams.c"

    def predicted(record: Any) -> bool:
        site.feed("features.c", 5)
        return isinstance(record, dict) and record.get("model_version") == made.version

    site.until("streams.c", predicted, check=processes[2])
    site.put("streams.c", b"{")
    site.put("features.c", b"{")
    for place in ("streams.c", "features.c"):
        del place
        site.until(names.dlq, lambda value: value == b"{")
    assert [end(process) for process in processes] == [0, 0, 0]
    assert "not_allowed" not in site.log()
    assert "authorization" not in site.log().lower()


@pytest.mark.parametrize("right", _rights("monitor"))
def test_a_monitor_without_a_right_does_not_begin_or_refuses_the_stream(
    site: SecuredSite, right: AclBinding
) -> None:
    settings = site.settings("driftloop-monitor")
    if _own(right):
        with site.without(right):
            _refusal(lambda: ready("monitor", settings), "the monitor lacks a right", shown(right))
        return
    topic = "streams.a"
    process = site.start("monitor")
    site.feed(topic)

    def status(state: str) -> Callable[[Any], Any]:
        least = site._sent[topic]
        return lambda one: (
            isinstance(one, StreamStatus)
            and one.stream == topic
            and (one.state == "refused") == (state == "refused")
            and (one.records == least or state == "refused")
            and one
        )

    def seen(state: str) -> Any:
        return site.until(site.names.status, status(state), check=process)

    seen("read")
    with site.without(right):  # Describe too: Kafka's list of topics is short of it
        assert f"Read on topic {topic}" in seen("refused").detail
        site.feed(topic)
    seen("read")
    describe = AclBinding(
        right.restype,
        right.name,
        right.resource_pattern_type,
        right.principal,
        right.host,
        AclOperation.DESCRIBE,
        right.permission_type,
    )
    with site.having([describe]):
        with site.without(right):
            site.feed(topic)
            site.logged(process, "source.not_allowed", f'"topic": "{topic}"', '"needs": "Read"')
        seen("read")
    assert end(process) == 0


def test_a_running_monitor_names_what_is_taken_away(site: SecuredSite) -> None:
    process = site.start("monitor")
    site.feed("streams.b")
    seen = site.until(
        site.names.status,
        lambda one: isinstance(one, StreamStatus) and one.stream == "streams.b" and one.records,
        check=process,
    )
    assert seen == 40
    rights = {shown(one): one for one in PAGE["monitor"]}
    with site.without(rights["Read on topic driftloop.commands"]):
        site.logged(process, "source.not_allowed", '"topic": "driftloop.commands"')
    with site.without(rights["Write on topic driftloop.evidence"]):
        site.feed("streams.b")
        assert process.wait(60) == 1
    last = site.log()[-4000:]
    assert "topic driftloop.evidence" in last
    assert "not allowed; the right Write on the topic is missing" in last


@pytest.mark.parametrize("right", _rights("trainer"))
def test_a_trainer_without_a_right_names_it(site: SecuredSite, right: AclBinding) -> None:
    settings = site.settings("driftloop-trainer")
    if right.name == "streams.":
        request = _request("streams.refused", site.feed("streams.refused", 100), "one")
        other = _request("driftloop.none", "driftloop.none:0:0:9", "one")
        for one in (request, other):
            site.send(site.names.retrain, one)
        with site.without(right):
            TrainerService(settings, once=True).run()
        outcome = site.until(
            site.names.trainings,
            lambda one: isinstance(one, TrainingFinished) and one.request_id == request.id and one,
        )
        assert (outcome.outcome, outcome.reason) == ("failed", "topic-unreadable")
        assert "topic streams.refused: not allowed" in outcome.detail
        assert "Read on the topic" in outcome.detail
        return
    words = ["transactional id driftloop-trainer-one", "Write"]
    if right.restype != ResourceType.TRANSACTIONAL_ID:
        words = ["the trainer lacks a right", shown(right)]
    with site.without(right):
        _refusal(TrainerService(settings, once=True).run, *words)


def test_a_running_trainer_names_what_is_taken_away(site: SecuredSite) -> None:
    """It neither tries again without end nor loses the request."""
    rights = {shown(one): one for one in PAGE["trainer"]}
    request = _request("streams.kept", site.feed("streams.kept", 100), "two")
    site.send(site.names.retrain, request)
    # Something to read on each partition, or no right to read is missed.
    for stream in map("streams.other{}".format, range(16)):
        site.send(site.names.models, make(ModelPublished, stream))
    settings = site.settings("driftloop-trainer")
    for name, words in (
        ("Write on topic driftloop.trainings", "topic driftloop.trainings"),
        ("Write on transactional id driftloop-trainer-", "transactional id driftloop-trainer-one"),
        ("Read on group driftloop-trainer", "group"),
        ("Read on topic driftloop.models", "topic driftloop.models"),
    ):
        service = _TrainerThatLoses(settings, site, rights[name])
        try:
            _refusal(service.run, words, "not allowed; the right", "is missing")
        finally:
            site.broker.allow([rights[name]])
    TrainerService(settings, once=True).run()
    found = site.until(
        site.names.trainings,
        lambda one: isinstance(one, TrainingFinished) and one.request_id == request.id and one,
    )
    assert found.outcome == "published"


class _TrainerThatLoses(TrainerService):
    """Loses a right once its start has looked for all of them."""

    def __init__(self, settings: Any, site: SecuredSite, right: AclBinding) -> None:
        super().__init__(settings, once=True)
        self._site, self._right = site, right

    def _subscribed(self) -> Any:
        self._site.broker.forbid([self._right])
        return super()._subscribed()


@pytest.mark.parametrize("right", _rights("scorer"))
def test_a_scorer_without_a_right_names_it(site: SecuredSite, right: AclBinding) -> None:
    settings = site.settings("driftloop-scorer")
    if _own(right):
        with site.without(right):
            _refusal(lambda: ready("scorer", settings), "the scorer lacks a right", shown(right))
            if right.name == site.names.models:
                client = settings.kafka.client()
                _refusal(lambda: current_versions(client, right.name), right.name, "right Read")
    elif right.operation == AclOperation.WRITE:
        part = KafkaSink(settings.kafka.client()).build_part("write", "0000", None)

        def write() -> None:
            part.write_batch([Outgoing("streams.c", b"k", b"{}", [])])
            part.snapshot()

        write()
        with site.without(right):
            _refusal(write, "topic streams.c", "the right Write on the topic is missing")
        part.close()
    else:
        process = site.start("scorer")
        site.feed("features.c", 1)
        site.until("streams.c", lambda one: one, check=process)
        with site.without(right):
            site.logged(process, "source.not_allowed", '"topic": "features.c"')
        assert end(process) == 0


@pytest.mark.parametrize("right", _rights("viewer"))
def test_a_viewer_without_a_right_is_told(site: SecuredSite, right: AclBinding) -> None:
    _look(site, "driftloop-viewer", right)


@pytest.mark.parametrize("right", _rights("operator"))
def test_an_operator_without_a_right_is_told(site: SecuredSite, right: AclBinding) -> None:
    if right.operation != AclOperation.WRITE:
        _look(site, "driftloop-operator", right)
        return
    order = Command(id="1", stream="streams.a", action="pin", who="a", why="b", issued_at=0)

    def send() -> None:
        with CheckedProducer(site.settings("driftloop-operator").kafka.client()) as producer:
            producer.produce(right.name, encode(order))

    send()
    with site.without(right):
        _refusal(send, f"topic {right.name}", "the right Write on the topic is missing")


def _look(site: SecuredSite, user: str, right: AclBinding) -> None:
    """Read what needs a right: with it, and without."""
    settings = site.settings(user)
    topic = "streams.a" if right.name == "streams." else right.name

    def follow() -> None:
        follower = Follower(settings.kafka.client(), "driftloop-look")
        try:
            for _ in follower.read_to({(topic, 0): 1}, timeout=20):
                return
        finally:
            follower.close()

    call: Callable[[], object] = follow
    if right.restype == ResourceType.GROUP or right.name in (
        site.names.retrain,
        site.names.models,
        site.names.trainings,
        site.names.commands,
    ):
        call = lambda: preview(settings, 0)  # noqa: E731
    if call is follow:
        site.put(topic, b"{}")
    call()
    kind = "group" if right.restype == ResourceType.GROUP else "topic"
    with site.without(right):
        _refusal(call, f"{kind} {topic}", "not allowed; the right", "is missing")


@pytest.mark.parametrize("right", _rights("operator who replays"))
def test_an_operator_who_replays_without_a_right_is_told(
    site: SecuredSite, right: AclBinding
) -> None:
    """With all of them a dead letter is sent again; without one nothing is sent."""
    letter = to_message(DeadLetter("streams.replayed", 0, 0, 1, None, b"{", "not-json", ""))
    site.put(site.names.dlq, letter.value, letter.headers)
    settings = site.settings("driftloop-operator")
    place = listing(settings, limit=1)[0].place

    def send() -> None:
        replay(settings, [place], who="ada", why="a test", force=True)

    named = {"streams.": "topic streams.replayed"}.get(
        right.name, f"{_KINDS[right.restype]} {right.name}"
    )
    with site.having(PAGE["operator who replays"]):
        with site.without(right):
            _refusal(send, named, "not allowed; the right Write is missing")
        send()
        with pytest.raises(ReplayError, match="sent again by ada"):
            send()


@pytest.mark.parametrize("part", PARTS)
def test_the_doctor_finds_what_is_missing(site: SecuredSite, part: Part) -> None:
    """Nothing with exactly these rights; each that is taken away, by its name."""
    settings = site.settings(f"driftloop-{part}")

    def found() -> dict[str, Finding]:
        client = settings.kafka.client()
        in_view, first = cluster.broker(settings, client)
        assert in_view is not None
        own = cluster.own_rights(settings, client, in_view, part)
        streams = cluster.stream_rights(settings, client, in_view, part)
        checks = [*first, *own, *streams, *topics.own_topics(settings, client, in_view, part)]
        return {one.check: one for one in checks}

    extra = PAGE["operator who replays"] if part == "operator" else []
    with site.having(extra) if extra else nullcontext():
        sound = {name: one.found for name, one in found().items() if one.state == "fail"}
        assert sound == {}
        assert found()["log-in"].found == f"SASL_SSL as driftloop-{part}"
        for right in (PAGE[part][0], PAGE[part][-1]):
            with site.without(right):
                told = " ".join(one.found for one in found().values() if one.state != "ok")
            # A topic that may be written to is seen; any other is not even in the list.
            hidden = right.name in {"streams.", "features."} and part != "operator"
            assert ("no topic in view" if hidden else right.name) in told, told


@pytest.mark.parametrize(
    ("name", "value", "advice"),
    [
        ("sasl.password", "guessed", "see sasl.mechanism, sasl.username and sasl.password"),
        ("security.protocol", "SASL_PLAINTEXT", "see that security.protocol"),
        ("ssl.ca.location", None, "ssl.ca.location of kafka.properties fit the broker"),
    ],
)
def test_the_doctor_tells_why_a_log_in_fails(
    site: SecuredSite, name: str, value: str | None, advice: str
) -> None:
    """A password that is wrong, no TLS, and a broker whose certificate nobody vouches for."""
    settings = site.settings("driftloop-viewer")
    client = {**settings.kafka.client(), name: value}
    if value is None:
        del client[name]
    in_view, (found,) = cluster.broker(settings, client)
    assert in_view is None
    assert (found.check, found.state) == ("broker", "fail")
    assert advice in found.advice, found


def test_parts_that_make_their_topics_need_create(site: SecuredSite) -> None:
    """And say so where one is missing."""
    settings = site.settings("driftloop-monitor", create=True)
    ready("monitor", settings)  # all are there
    gone = site.names.incidents
    site.broker.admin.delete_topics([gone])[gone].result(30)
    _refusal(lambda: ready("monitor", settings), f"topic {gone} is missing", "the right Create")
    with site.having(PAGE["create"]):
        ready("monitor", settings)


def test_a_service_that_follows_versions_works_with_exactly_these_rights(
    site: SecuredSite,
) -> None:
    from confluent_kafka import Consumer  # noqa: PLC0415  # as the service on the page does

    client = site.broker.client("my-service")
    site.put("features.c", b"{}")
    site.put(site.names.models, None)
    for group, names in (("my-versions-1", [site.names.models]), ("my-service", ["^features.+"])):
        consumer = Consumer(
            {**client, "group.id": group, "auto.offset.reset": "earliest", "log_level": 2}
        )
        consumer.subscribe(names)
        found = None
        for _ in range(300):
            found = consumer.poll(0.1)
            if found is not None and found.error() is None:
                break
        assert found is not None
        assert found.error() is None or found.error().code() == codes.PARTITION_EOF
        consumer.close()
    with CheckedProducer(client) as producer:
        producer.produce("streams.c", value=b"{}")
