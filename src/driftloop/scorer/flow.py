"""The scorer's dataflow: feature topics and version events in, predicted records out.

::

    feature topics ─► batches ──┐
                                ├─► score (by stream) ─► stream topics, driftloop.dlq
    driftloop.models ► versions ┘

Delivery is at least once: after a crash the records of the last epoch are written again, with the
same ids. State is the version events of each stream, never weights.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from functools import partial

import bytewax.operators as op
import msgspec
import structlog
from bytewax.dataflow import Dataflow
from bytewax.operators import KeyedStream, StatefulBatchLogic

from driftloop.engine import stop
from driftloop.engine.control import ControlSource
from driftloop.engine.items import ControlItem, Lifecycle, Outgoing, StreamBatch
from driftloop.engine.sink import KafkaSink
from driftloop.engine.source import StreamSource
from driftloop.errors import DriftloopError, Fault, SettingsError
from driftloop.heartbeat import Heartbeat
from driftloop.kafka.contents import contents
from driftloop.kafka.dead_letters import to_message
from driftloop.messages import ModelPublished
from driftloop.models import ModelArtifact, ModelStore
from driftloop.records import DeadLetter
from driftloop.scorer import metrics
from driftloop.scorer.known import KnownVersions
from driftloop.scorer.routing import Router
from driftloop.scorer.scoring import Batch, RecordScorer
from driftloop.scorer.versions import VersionFollower
from driftloop.settings import Profile, Settings, load_settings

NAME = "driftloop-scorer"
LOADERS = 4
"""Threads of a process that load models while the old versions serve."""

_log = structlog.get_logger(__name__)

State = tuple[bytes | None, bytes | None]
Item = Batch | ControlItem
Out = tuple[str, Outgoing]

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(ModelPublished).decode


class ScoreLogic(StatefulBatchLogic[Item, Outgoing, State]):
    """One stream: its records and its version events, in the order in which they come.

    Args:
        shared: What the streams of the process share.
        resumed: Its snapshot, or None.
    """

    def __init__(self, shared: Shared, resumed: State | None) -> None:
        self._shared = shared
        self._resumed = resumed
        self._follower: VersionFollower | None = None
        self._scorer: RecordScorer | None = None
        self._stream = ""
        self._after = -1  # version events up to this offset are known already

    def on_batch(self, values: list[Item]) -> tuple[Iterable[Outgoing], bool]:
        """Score records with the version that serves when their batch comes."""
        out: list[Outgoing] = []
        for item in values:
            if isinstance(item, Batch):
                out += self._score(item)
            elif item.event is None or isinstance(item.event, ModelPublished):
                follower = self._open(item.key)
                if item.offset > self._after:
                    self._after = -1
                    follower.offer(item.event, item.trace)
        return out, StatefulBatchLogic.RETAIN

    def on_notify(self) -> tuple[Iterable[Outgoing], bool]:
        """Let a version that was loaded in the meantime take over."""
        if self._follower is not None:
            self._follower.settle()
        return [], StatefulBatchLogic.RETAIN

    def on_eof(self) -> tuple[Iterable[Outgoing], bool]:
        """Keep the state for the next start."""
        return [], StatefulBatchLogic.RETAIN

    def notify_at(self) -> datetime | None:
        """Look again soon while a version is being loaded."""
        seconds = self._follower.wake_after() if self._follower is not None else None
        return None if seconds is None else datetime.now(UTC) + timedelta(seconds=seconds)

    def snapshot(self) -> State:
        """The version events: what serves, and what is on its way."""
        if self._follower is None:
            return self._resumed or (None, None)
        serving, coming = self._follower.snapshot()
        return (_encode(serving) if serving else None, _encode(coming) if coming else None)

    def _open(self, stream: str) -> VersionFollower:
        """The stream's versions: from the snapshot, or from what is published so far."""
        if self._follower is None:
            self._stream = stream
            self._follower = self._shared.follower(stream)
            if self._resumed is not None:
                serving, coming = self._resumed
                self._follower.restore(
                    _decode(serving) if serving else None, _decode(coming) if coming else None
                )
            else:
                event, self._after = self._shared.known(stream)
                if event is not None:
                    self._follower.offer(event)
        return self._follower

    def _score(self, batch: Batch) -> list[Outgoing]:
        route = self._shared.router.route(batch.topic)
        if route is None:
            return []
        if self._scorer is None:
            self._scorer = RecordScorer(route.profile)
        follower = self._open(route.stream)
        model = follower.model()
        began = time.time_ns()
        try:
            scored, letters = self._scorer.score(batch, model)
        except DriftloopError as error:
            serving = follower.serving
            _log.error(
                "scorer.cannot_predict",
                stream=self._stream,
                event_id=serving.id if serving else None,
                version=serving.version if serving else None,
                error=str(error),
            )
            model = None
            scored, letters = self._scorer.score(batch, None)
        metrics.RECORDS.inc(len(scored))
        if model is None:
            metrics.UNPREDICTED.inc(len(scored))
        elif scored:
            follower.predicted(len(scored), began)
        out = [Outgoing(route.stream, key, value, []) for key, value in scored]
        return out + [dead_letter(letter, self._shared.dlq) for letter in letters]


def dead_letter(letter: DeadLetter, topic: str) -> Outgoing:
    """A dead letter on its way out."""
    metrics.DEAD_LETTERS.labels(letter.reason).inc()
    return Outgoing(topic, *to_message(letter))


def to_batch(router: Router, item: StreamBatch | Lifecycle) -> list[tuple[str, Batch]]:
    """Messages as plain values that may go to another process, keyed by stream."""
    if isinstance(item, Lifecycle) or not item.messages:
        return []
    route = router.route(item.topic)
    if route is None:
        return []
    messages = item.messages
    keys = [_bytes(message.key()) for message in messages]
    batch = Batch(item.topic, item.partition, keys, *contents(messages))
    return [(route.stream, batch)]


def _bytes(value: bytes | str | None) -> bytes | None:
    return value.encode() if isinstance(value, str) else value


def check_features(artifact: ModelArtifact, profile: Profile) -> ModelArtifact:
    """Refuse a model that was trained on other features than the profile names.

    Raises:
        SettingsError: Names differ, or stand in another order.
    """
    trained = [*artifact.encoding.numeric, *artifact.encoding.categorical]
    named = [*profile.features.numeric, *profile.features.categorical]
    if trained != named:
        rule = f"the features that version {artifact.version} was trained on, {trained}"
        raise SettingsError([Fault("features", str(named), rule)])
    return artifact


class Shared:
    """What the streams of a process share.

    Args:
        settings: The configuration.
        known: The version of a stream that is published so far, and the offset of its event.
    """

    def __init__(
        self, settings: Settings, known: Callable[[str], tuple[ModelPublished | None, int]]
    ) -> None:
        self.router = Router(settings)
        self.known = known
        self.dlq = settings.topics.dlq
        self._settings = settings
        self._store: ModelStore | None = None
        self._executor = ThreadPoolExecutor(LOADERS, thread_name_prefix="driftloop-load")

    def follower(self, stream: str) -> VersionFollower:
        """A follower of a stream's versions."""
        load = partial(self._load, stream)
        return VersionFollower(stream, load, self._executor, time.monotonic)

    def _load(self, stream: str, uri: str, digest: str) -> ModelArtifact:
        if self._store is None:
            self._store = ModelStore(self._settings.store)
        artifact = self._store.load(uri, digest)
        artifact.open()  # what cannot be read fails here, while the old version serves
        found = self._settings.profile_of(stream)
        return check_features(artifact, found[1]) if found else artifact


def build_flow(settings: Settings) -> Dataflow:
    """Wire the scorer's steps. Connects to nothing before it runs.

    Raises:
        SettingsError: ``scorer.topics`` or ``scorer.output`` is not usable.
    """
    client = settings.kafka.client()
    shared = Shared(settings, KnownVersions(client, settings.topics.models).get)
    flow = Dataflow(NAME)
    source = StreamSource(
        client,
        shared.router.selects,
        name="scorer",
        shards=settings.monitor.shards,
        start=settings.monitor.start,
        discover_seconds=settings.monitor.discover.total_seconds(),
        max_records=settings.monitor.max_records,
        on_poll=Heartbeat(settings.home, "scorer").beat,
    )
    records = op.input("records", flow, source)
    batches = op.flat_map("batches", records, partial(to_batch, shared.router))
    models = ControlSource(client, [settings.topics.models], name="scorer-models")
    control = op.input("models", flow, models)
    versions = op.flat_map("versions", control, _versions)
    unread = op.flat_map("unread", control, partial(_unread, shared.dlq))
    items: KeyedStream[Item] = op.merge("items", batches, versions)
    scored = op.stateful_batch("score", items, partial(ScoreLogic, shared))
    op.output("write", op.merge("outgoing", scored, unread), KafkaSink(client))
    return flow


def flow() -> Dataflow:
    """The dataflow with the settings of the working directory; SIGTERM and Ctrl-C drain it."""
    stop.install()
    return build_flow(load_settings())


def _versions(item: ControlItem | DeadLetter) -> list[tuple[str, ControlItem]]:
    return [] if isinstance(item, DeadLetter) else [(item.key, item)]


def _unread(dlq: str, item: ControlItem | DeadLetter) -> list[Out]:
    return [(item.topic, dead_letter(item, dlq))] if isinstance(item, DeadLetter) else []
