"""Orders to switch a stream's version, and candidates that wait for one.

Each order is carried out once, in the transaction that commits its offset: a candidate is promoted
or discarded, an earlier version is published again. What does not fit the current version any more
is left alone, and logged.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterable, Sequence
from typing import Any, NamedTuple

import structlog

from driftloop.errors import (
    ArtifactCorruptedError,
    ArtifactNotFoundError,
    StoreError,
    StoreUnavailableError,
)
from driftloop.messages import (
    CandidateTrained,
    Event,
    ModelPublished,
    RetrainRequested,
    TrainingFinished,
    VersionOrdered,
)
from driftloop.models import ModelArtifact, ModelStore
from driftloop.settings import Settings
from driftloop.trainer import switches
from driftloop.trainer.history import Current, History, Place
from driftloop.trainer.job import Check
from driftloop.trainer.outcomes import finish
from driftloop.trainer.shelf import PAUSES, Store, settled
from driftloop.trainer.work import Result

_log = structlog.get_logger(__name__)


class Answer(NamedTuple):
    """Events that answer an order or a request, beside the results of trainings.

    Attributes:
        cause: Id of the order or request.
        events: In the order in which they are to be written.
    """

    cause: str
    events: list[Event]


class _Refused(Exception):  # noqa: N818  # never leaves this module
    """A rollback that cannot be done; why, and what to do."""


class Desk:
    """What a round does with orders and candidates; nothing counts before it is committed.

    Args:
        history: What was published and finished before.
        store: Where versions lie.
        now_ms: Wall clock, milliseconds since the epoch.
        check: Called often; raises to give up.

    Attributes:
        answers: What is to be written.
        withdrawn: Requests that an order gave up before they were trained, with the order.
    """

    def __init__(
        self, history: History, store: Store, now_ms: Callable[[], int], check: Check
    ) -> None:
        self._history = history
        self._store = store
        self._now_ms = now_ms
        self._check = check
        self._current: dict[str, Current] = {}
        self._closed: set[str] = set()
        self.answers: list[Answer] = []
        self.withdrawn: dict[str, VersionOrdered] = {}

    def current_of(self, about: RetrainRequested | VersionOrdered) -> Current:
        """Newest version of a stream, with what this round has changed."""
        found = self._current.get(about.stream)
        found = found or self._history.current.get(about.stream, Current(None, 0))
        return self._history.judge(found)

    def serve(self, orders: Iterable[VersionOrdered]) -> None:
        """Carry orders out, in the order in which they were given."""
        seen: set[str] = set()
        for order in orders:
            if order.id in seen or order.id in self._history.finished:
                continue
            seen.add(order.id)
            self._check()
            if order.action == "rollback":
                events = self._rollback(order)
            else:
                events = self._on_candidate(order)
            self.answers.append(Answer(order.id, events))

    # Candidates

    def hold_back(self, results: Sequence[Result], settings: Settings) -> list[Result]:
        """Turn new versions into candidates where a canary is set and a champion serves.

        Returns:
            The other results, whose new versions name the artifact of their parent.
        """
        kept = []
        for one in results:
            if one.published is None:
                kept.append(one)
                continue
            parent = self.current_of(one.request).event
            published = switches.with_parent(one.published, parent)
            events = self._supersede(one.request.stream, "newer-request", one.request.id)
            profile = settings.profiles.get(one.request.profile)
            canary = profile is not None and profile.training.canary is not None
            if canary and parent is not None and published.champion is not None:
                promised = one.finished.promised
                candidate = switches.held_back(
                    one.request, published, parent, promised, self._now_ms()
                )
                events.append(candidate)
            else:
                kept.append(one._replace(published=published))
            if events:
                self.answers.append(Answer(one.request.id, events))
        return kept

    def _open(self, stream: str) -> CandidateTrained | None:
        candidate = self._history.candidates.get(stream)
        return None if candidate is None or candidate.request_id in self._closed else candidate

    def _on_candidate(self, order: VersionOrdered) -> list[Event]:
        candidate = self._open(order.stream)
        if candidate is None or candidate.request_id != order.request_id:
            if order.action == "discard" and order.request_id not in self._history.finished:
                self.withdrawn[order.request_id] = order
                return []
            return _ignored(order, "its candidate is not on trial any more")
        current = self.current_of(order)
        if current.event is None or current.event.version != candidate.parent_version:
            return self._supersede(order.stream, "other-version", order.id)
        if order.action == "discard":
            reason = "pinned" if order.reason == "command" else "canary-worse"
            reason = "canary-unscored" if order.reason == "unscored" else reason
            return [self._close(candidate, "rejected", reason, order.detail)]
        try:
            self._load(candidate.uri, candidate.sha256)
        except StoreUnavailableError:
            raise  # the round is given back
        except StoreError as error:
            return [self._close(candidate, "failed", "candidate-unreadable", str(error))]
        published = switches.promoted(candidate, current, order.detail, self._now_ms())
        self._current[order.stream] = Current(published, published.sequence)
        return [published, self._close(candidate, "published", "", order.detail)]

    def _supersede(self, stream: str, reason: str, by: str) -> list[Event]:
        """End the trial of a stream's candidate, if there is one."""
        candidate = self._open(stream)
        if candidate is None:
            return []
        detail = f"candidate {candidate.version} gave way to {by}"
        return [self._close(candidate, "superseded", reason, detail)]

    def _close(
        self, candidate: CandidateTrained, outcome: Any, reason: str, detail: str
    ) -> TrainingFinished:
        self._closed.add(candidate.request_id)
        return switches.closed(candidate, outcome, reason, detail, self._now_ms())

    # Rollbacks

    def _rollback(self, order: VersionOrdered) -> list[Event]:
        current = self.current_of(order)
        event = current.event
        if event is None or order.against not in {None, event.version}:
            now = "no version" if event is None else event.version
            why = f"{now} is current, not {order.against}"
            if order.reason != "command":
                return _ignored(order, why)
            # A person waits for what comes of it.
            return [switches.ended(order, "superseded", "rollback-failed", why, self._now_ms())]
        try:
            place = self._target(order, event)
            artifact = self._load(*place)
        except StoreUnavailableError:
            raise  # the round is given back
        except (StoreError, _Refused) as error:
            _log.error(
                "trainer.rollback_failed",
                stream=order.stream,
                event_id=order.id,
                request_id=order.request_id,
                why=str(error),
            )
            now_ms = self._now_ms()
            return [switches.ended(order, "failed", "rollback-failed", str(error), now_ms)]
        published = switches.restored(order, artifact, place, current, self._now_ms())
        self._current[order.stream] = Current(published, published.sequence)
        back = f"back from {event.version} to {published.version}: {published.detail}"
        return [
            *self._supersede(order.stream, "rolled-back", order.id),
            published,
            switches.ended(
                order, "published", "rolled-back", back, self._now_ms(), published.version
            ),
        ]

    def _target(self, order: VersionOrdered, current: ModelPublished) -> Place:
        """Where the version lies that is to be restored."""
        version = order.version
        if version is None and current.action == "rolled-back":
            raise _Refused(
                f"{current.version} is itself restored: name the version to go back to, as "
                "--version v3"
            )
        version = version or current.parent_version
        if version is None:
            raise _Refused(f"{current.version} has no parent: name a version, as --version v3")
        if version == current.version:
            raise _Refused(f"{version} is the current version already")
        if version == current.parent_version and current.parent_uri and current.parent_sha256:
            return Place(current.parent_uri, current.parent_sha256)
        known = self._history.places.get(order.stream, {}).get(version)
        if known is not None:
            return known
        found = self._find(order.stream, version, current)
        if len(found) != 1:
            what = "no artifact" if not found else f"{len(found)} artifacts"
            raise _Refused(
                f"{what} of {order.stream} named {version} in the store: see "
                f"{', '.join(uri for uri, _ in found) or 'store.uri'}"
            )
        return Place(*found[0])

    def _find(self, stream: str, version: str, current: ModelPublished) -> list[tuple[str, str]]:
        """Artifacts of a version of which no event is known; a store that is away has none."""
        if not isinstance(self._store, ModelStore):
            return []
        found = self._store.find(stream, version)
        if not found:
            self._store.expect([current.uri])
            found = self._store.find(stream, version)
        return found

    def _load(self, uri: str, sha256: str) -> ModelArtifact:
        """Read and verify; what cannot be read now is tried again for a moment."""
        for pause in PAUSES:
            try:
                return self._store.load(uri, sha256)
            except (ArtifactNotFoundError, ArtifactCorruptedError):
                raise
            except StoreError:
                time.sleep(pause)
                self._check()
        return settled(self._store, lambda: self._store.load(uri, sha256), [uri])


def tell(answers: Iterable[Answer], served: Collection[str]) -> None:
    """Log what was written in answer to these orders and requests."""
    for answer in answers:
        for event in answer.events if answer.cause in served else ():
            about: dict[str, object] = {"stream": event.stream, "event_id": answer.cause}
            if isinstance(event, CandidateTrained):
                _log.info("trainer.candidate_trained", **about, version=event.version)
            elif isinstance(event, ModelPublished):
                action, detail = event.action, event.detail
                _log.info(
                    "trainer.version_switched",
                    **about,
                    version=event.version,
                    action=action,
                    detail=detail,
                )
            elif isinstance(event, TrainingFinished):
                outcome, reason = event.outcome, event.reason
                _log.info("trainer.request_finished", **about, outcome=outcome, reason=reason)


def pinned(request: RetrainRequested, order: VersionOrdered, now_ms: int) -> Result:
    """The outcome of a request that was given up before it was trained."""
    return Result(request, finish(request, "rejected", "pinned", order.detail, now_ms), None)


def _ignored(order: VersionOrdered, why: str) -> list[Event]:
    _log.warning(
        "trainer.order_ignored",
        stream=order.stream,
        event_id=order.id,
        action=order.action,
        version=order.version,
        why=why,
    )
    return []
