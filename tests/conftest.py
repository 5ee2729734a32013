"""Fixtures for all tests: a real Kafka, topics of one's own, and the rule that CI runs them."""

from __future__ import annotations

import os
import tempfile
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka.admin import AdminClient, NewTopic
from hypothesis import settings

from driftloop.errors import KafkaUnavailableError
from driftloop.kafka.broker import BrokerHandle, LocalBroker, ensure_broker
from driftloop.settings.load import FILE_VARIABLE

# A busy machine is no fault of the code.
settings.register_profile("driftloop", deadline=None)
settings.load_profile("driftloop")

_KAFKA_FIXTURES = {"kafka_bootstrap", "own_broker", "admin", "make_topic"}
_REQUIRED = any(
    os.environ.get(name, "").lower() in {"1", "true"} for name in ("CI", "DRIFTLOOP_REQUIRE_KAFKA")
)
_shared: list[BrokerHandle | str] = []
_ran: set[str] = set()
_skipped: set[str] = set()


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what uses a Kafka fixture, before ``-m`` selects."""
    for item in items:
        if _KAFKA_FIXTURES.intersection(getattr(item, "fixturenames", ())):
            item.add_marker(pytest.mark.kafka)


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Count the Kafka tests that ran and those that were skipped."""
    if "kafka" not in report.keywords:
        return
    if report.skipped:
        _skipped.add(report.nodeid)
    elif report.when == "call":
        _ran.add(report.nodeid)


def _fault(config: pytest.Config) -> str | None:
    """Say why a required run does not count, or None when it does."""
    if not _REQUIRED or config.option.collectonly or hasattr(config, "workerinput"):
        return None
    if _skipped:
        return f"Kafka tests are required here, but were skipped: {', '.join(sorted(_skipped))}"
    chosen = config.args_source is not pytest.Config.ArgsSource.TESTPATHS
    again = config.getoption("lf", default=False)
    narrowed = config.option.keyword or config.option.markexpr or again
    if not _ran and not chosen and not narrowed:
        return "Kafka tests are required here, but none ran"
    return None


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Fail a required run without its Kafka tests."""
    if session.exitstatus == pytest.ExitCode.OK and _fault(session.config):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    """Say why such a run failed."""
    fault = _fault(config)
    if fault:
        terminalreporter.section("Kafka", red=True)
        terminalreporter.write_line(fault, red=True)


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """Where tests run in several processes (pytest-xdist), let all of them use one broker."""
    if not _shared:
        folder = Path(tempfile.mkdtemp(prefix="driftloop-kafka-"))
        try:
            _shared.append(ensure_broker(folder, tied=True))
        except KafkaUnavailableError as error:
            _shared.append(str(error))
    found = _shared[0]
    known = {"fault": found} if isinstance(found, str) else {"servers": found.bootstrap_servers}
    node.workerinput["kafka"] = known


def pytest_unconfigure(config: pytest.Config) -> None:
    """End the broker that several processes used."""
    if hasattr(config, "workerinput"):
        return
    for handle in _shared:
        if not isinstance(handle, str):
            handle.stop()
            if handle.started and handle.broker is not None:
                handle.broker.purge()
    _shared.clear()


@pytest.fixture(scope="session")
def kafka_bootstrap(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[str]:
    """A real Kafka for the whole session: the environment's, or one that is started for it."""
    known = getattr(request.config, "workerinput", {}).get("kafka", {})
    if "servers" in known:
        yield known["servers"]
        return
    try:
        if "fault" in known:
            raise KafkaUnavailableError(known["fault"])  # noqa: TRY301  # as if it were started here
        handle = ensure_broker(tmp_path_factory.mktemp("kafka"), tied=True)
    except KafkaUnavailableError as error:
        if _REQUIRED:
            raise
        pytest.skip(f"no Kafka: {error}")
    yield handle.bootstrap_servers
    handle.stop()
    if handle.started and handle.broker is not None:
        handle.broker.purge()


@pytest.fixture(autouse=True)
def _file_is_not_inherited() -> Iterator[None]:
    """A command names its file to the processes it starts; the next test must not see that."""
    yield
    os.environ.pop(FILE_VARIABLE, None)


@pytest.fixture
def own_broker(tmp_path: Path) -> Iterator[Callable[..., LocalBroker]]:
    """Start brokers that no other test uses, for tests that stop or restart them.

    Takes the options of `LocalBroker.start`; ``home`` is given where a test names none.
    """
    made: list[LocalBroker] = []

    def start(home: Path | None = None, **options: Any) -> LocalBroker:
        folder = home or tmp_path / f"home-{len(made)}"
        try:
            broker = LocalBroker.start(folder, **options)
        except KafkaUnavailableError as error:
            if _REQUIRED or made or options:
                raise
            pytest.skip(f"no Kafka: {error}")
        made.append(broker)
        return broker

    yield start
    for broker in made:
        broker.purge()


@pytest.fixture
def topic_name() -> Callable[..., str]:
    """Make names that no other test has: ``topic_name("streams")`` gives ``streams.<random>``."""

    def name(prefix: str = "streams") -> str:
        return f"{prefix}.{uuid.uuid4().hex[:12]}"

    return name


@pytest.fixture
def admin(kafka_bootstrap: str) -> AdminClient:
    """An admin client of the session's Kafka."""
    return AdminClient({"bootstrap.servers": kafka_bootstrap})


@pytest.fixture
def make_topic(admin: AdminClient, topic_name: Callable[..., str]) -> Iterator[Callable[..., str]]:
    """Create a topic (``name``, ``prefix``, ``partitions``, ``config``), deleted after the test."""
    made: list[str] = []

    def make(
        name: str | None = None,
        *,
        prefix: str = "streams",
        partitions: int = 1,
        config: dict[str, str] | None = None,
    ) -> str:
        name = name or topic_name(prefix)
        new = NewTopic(name, partitions, 1, config=config or {})
        admin.create_topics([new])[name].result(timeout=30)
        made.append(name)
        return name

    yield make
    if made:
        for future in admin.delete_topics(made).values():
            future.exception(timeout=30)  # a test may have deleted its topic itself
