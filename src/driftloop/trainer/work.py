"""A batch of requests to their outcomes: load, split, train together, gate, train again, store."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from itertools import zip_longest
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import structlog
import torch

from driftloop.errors import (
    KafkaUnavailableError,
    SettingsError,
    StoreError,
    StoreUnavailableError,
    TrainingError,
)
from driftloop.messages import Cost, ModelPublished, RetrainRequested, TrainingFinished, event_id
from driftloop.models import Encoding, Inputs, ModelArtifact, ModelStore, predict
from driftloop.models.kinds import is_plugin
from driftloop.records import Columns
from driftloop.settings import Profile, Settings
from driftloop.settings.kinds import unknown_kinds
from driftloop.statistics.losses import compute
from driftloop.trainer import gate, metrics, warm
from driftloop.trainer.dataset import Dataset, job_of, plugin_job_of, split
from driftloop.trainer.history import Current
from driftloop.trainer.job import CancelledTrainingError, Check, Fitted, Job, seed_of
from driftloop.trainer.load import Wanted, bytes_of
from driftloop.trainer.load import load as load_ranges
from driftloop.trainer.memory import available, is_refusal
from driftloop.trainer.outcomes import finish
from driftloop.trainer.plugins import PluginJob, PluginPool
from driftloop.trainer.shelf import Shelf, Store
from driftloop.trainer.spans import Step, timed
from driftloop.trainer.train import fit_each

_GROUP, _GROUP_SHARE = 256, 4
"""Requests whose records are loaded while others train, and their part of the free memory."""
_log = structlog.get_logger(__name__)


class Result(NamedTuple):
    """What a request led to, and by which steps."""

    request: RetrainRequested
    finished: TrainingFinished
    published: ModelPublished | None
    steps: Sequence[Step] = ()


@dataclass(slots=True, eq=False)
class _Task:
    """A request on its way through the steps; `error` or `verdict` ends it early."""

    request: RetrainRequested
    current: Current
    profile: Profile | None = None
    data: Dataset | None = None
    encoding: Encoding | None = None
    job: Job | PluginJob | None = None
    fitted: Fitted | None = None
    champion: ModelArtifact | None = None
    parent: ModelArtifact | None = None
    by_records: bool = False
    verdict: gate.Verdict | None = None
    published: ModelPublished | None = None
    error: TrainingError | None = None
    seconds: float = 0.0
    notes: list[str] = field(default_factory=list)
    steps: list[Step] = field(default_factory=list)

    @property
    def going(self) -> bool:
        return self.error is None and (self.verdict is None or self.verdict.accepted)


Array = npt.NDArray[np.float64]
Load = Callable[[Mapping[str, Wanted], Check], Mapping[str, Columns | TrainingError]]
"""Records of each request, by its id."""


class Trainer:
    """Trains requests; knows the settings, the store and the device, but no consumer group.

    Args:
        settings: The whole configuration.
        device: Where models are trained.
        now_ms: Wall clock, milliseconds since the epoch.
        load: Where records come from; by default Kafka.
        store: Where versions lie; by default what the settings name.
    """

    def __init__(
        self,
        settings: Settings,
        device: torch.device,
        now_ms: Callable[[], int] = lambda: round(time.time() * 1000),
        *,
        load: Load | None = None,
        store: Store | None = None,
    ) -> None:
        self._settings = settings
        self._load_records = load or partial(
            load_ranges, settings.kafka.client(), most=settings.trainer.max_records
        )
        self._store = store or ModelStore(settings.store)
        self._shelf = Shelf(self._store)
        self._device = device
        self._now_ms = now_ms
        kinds = [profile.model.kind for profile in settings.profiles.values()]
        self._plugins = PluginPool(settings.trainer, kinds)
        self._check: Check = lambda: None

    @property
    def store(self) -> Store:
        """Where versions lie."""
        return self._store

    def run(
        self,
        requests: Sequence[RetrainRequested],
        current: Callable[[RetrainRequested], Current],
        check: Check = lambda: None,
    ) -> list[Result]:
        """Serve requests of different streams.

        Args:
            requests: At most one a stream.
            current: Newest version of a request's stream.
            check: Called often; raises to give up.

        Returns:
            One result a request, in their order.

        Raises:
            KafkaUnavailableError: No broker answers; nothing is lost, try again.
            StoreUnavailableError: The store is away; likewise.
        """
        self._check = check
        tasks = [_Task(one, current(one)) for one in requests]
        self._shelf.begin(one.current.event for one in tasks if one.current.event)
        groups = self._groups(tasks)
        if len(groups) < 2:
            self._load(tasks, check)
            return self._serve(tasks, check)
        results: list[Result] = []
        with ThreadPoolExecutor(1, "driftloop-load") as loader:
            loading = loader.submit(self._load, groups[0], check)
            for group, following in zip_longest(groups, groups[1:]):
                loading.result()
                if following is not None:  # loaded while this one is trained
                    loading = loader.submit(self._load, following, check)
                results += self._serve(group, check)
                for task in group:  # its records are not needed any more
                    task.data = task.job = None
        return results

    def _groups(self, tasks: Sequence[_Task]) -> list[list[_Task]]:
        """Runs of tasks whose records are loaded together; those of two fit into memory."""
        room, size = available() // _GROUP_SHARE, 0
        groups: list[list[_Task]] = []
        for task in tasks:
            profile = self._settings.profiles.get(task.request.profile)
            need = bytes_of(Wanted(profile, task.request.data)) if profile is not None else 0
            if not groups or len(groups[-1]) >= _GROUP or size + need > room:
                groups.append([])
                size = 0
            groups[-1].append(task)
            size += need
        return groups

    def _serve(self, tasks: Sequence[_Task], check: Check) -> list[Result]:
        """Train what was loaded."""
        with timed(tasks, "fit"):
            self._each(tasks, self._prepare, check)
            self._fit(tasks, check)
        with timed(tasks, "gate"):
            self._judge_all(tasks, check)
        again = [task for task in tasks if task.going and _profile(task).training.refit]
        with timed(again, "fit again"):
            self._each(again, self._prepare_again, check)
            self._fit(again, check)
        with timed(tasks, "store"):
            self._each(tasks, self._save, check)
        return [self._result(task) for task in tasks]

    def _each(self, tasks: Sequence[_Task], step: Callable[[_Task], None], check: Check) -> None:
        """Run a step for every task that is not finished; an error ends that task alone."""
        for task in tasks:
            if not task.going:
                continue
            check()
            try:
                step(task)
            except TrainingError as error:
                task.error = error
            except (CancelledTrainingError, KafkaUnavailableError, StoreUnavailableError):
                raise
            except Exception as error:  # noqa: BLE001  # one request must not end the others
                _log.exception(
                    "trainer.request_failed", stream=task.request.stream, event_id=task.request.id
                )
                task.error = _internal(error)

    def _load(self, tasks: Sequence[_Task], check: Check) -> None:
        wanted: dict[str, Wanted] = {}
        for task in tasks:
            name = task.request.profile
            task.profile = self._settings.profiles.get(name)
            if task.profile is None:
                known = ", ".join(self._settings.profiles)
                task.error = TrainingError(
                    "unknown-profile",
                    f"profile {name!r} is not in the trainer's configuration (known: {known}): "
                    "give monitor and trainer the same driftloop.toml",
                )
            else:
                wanted[task.request.id] = Wanted(task.profile, task.request.data)
        with timed(tasks, "load"):
            loaded = self._load_records(wanted, check) if wanted else {}
        for task in tasks:
            found = loaded.get(task.request.id)
            if isinstance(found, TrainingError):
                task.error = found
            elif found is not None:
                self._each([task], lambda one, rows=found: _split(one, rows), check)  # type: ignore[misc]

    def _prepare(self, task: _Task) -> None:
        if task.current.event is not None:
            task.champion = self._champion(task, task.current.event)
            task.parent = self._parent(task, task.current)
        data = _data(task)
        self._make_job(task, data.fitted)

    def _champion(self, task: _Task, event: ModelPublished) -> ModelArtifact | None:
        champion = self._shelf.champion(event, self._check)
        profile = _profile(task)
        if not _same_task(profile, champion):
            task.notes.append(f"champion {event.version} has another task: not compared")
            return None
        if _same_features(profile, champion):
            return champion
        task.by_records = True
        return None

    def _parent(self, task: _Task, current: Current) -> ModelArtifact | None:
        """The version before the champion, while live records have not judged the champion yet."""
        event, profile = current.event, _profile(task)
        watched = profile.training.watch is not None
        if event is None or task.champion is None or current.judged or not watched:
            return None
        restored = event.action == "rolled-back"  # its parent is the version that was worse
        if restored or event.parent_uri is None or event.parent_sha256 is None:
            return None
        try:
            parent = self._shelf.load(event.parent_uri, event.parent_sha256, self._check)
        except StoreUnavailableError:
            raise  # without its parent the champion would be judged otherwise
        except StoreError as error:
            task.notes.append(f"parent {event.parent_version} not compared: {error}")
            return None
        return parent if _same_task(profile, parent) and _same_features(profile, parent) else None

    def _prepare_again(self, task: _Task) -> None:
        self._make_job(task, _data(task).all)

    def _make_job(self, task: _Task, records: Columns) -> None:
        profile, seed = _profile(task), self._seed(task)
        if is_plugin(profile.model.kind):
            for fault in unknown_kinds({task.request.profile: profile.model.kind}):
                raise TrainingError("unknown-kind", str(fault))
            task.job = plugin_job_of(profile, records, seed, str(self._device))
            return
        precision = self._settings.trainer.precision
        task.encoding, job = job_of(profile, records, seed, precision)
        if profile.training.warm_start and task.champion is not None:
            job = warm.begin(job, task.champion, task.encoding)
        task.job = job

    def _seed(self, task: _Task) -> int:
        """Of the stream and its records, not of the request's id: that holds the policy.

        So policies that a backtest compares draw the same weights for the same records.
        """
        request = task.request
        return seed_of(" ".join([request.stream, *request.data]), self._settings.trainer.seed)

    def _fit(self, tasks: Sequence[_Task], check: Check) -> None:
        going = [task for task in tasks if task.going]
        for task, found in zip(going, self._fitted(going, check), strict=True):
            if isinstance(found, CancelledTrainingError | KafkaUnavailableError):
                raise found
            if isinstance(found, TrainingError):
                task.error = found
                continue
            if isinstance(found, Exception):
                _log.error(
                    "trainer.training_failed",
                    stream=task.request.stream,
                    event_id=task.request.id,
                    exc_info=found,
                )
                task.error = _internal(found)
                continue
            task.fitted = found
            task.seconds += found.seconds
            if not all(np.isfinite(value).all() for value in found.weights.values()):
                task.error = TrainingError(
                    "diverged",
                    "the weights are not finite: lower model.learning_rate, or look for extreme "
                    "values among labels and features",
                )

    def _fitted(self, tasks: Sequence[_Task], check: Check) -> list[Fitted | Exception]:
        """Models of Driftloop's own kinds as stacks, then those of plug-ins."""
        jobs = [task.job for task in tasks]
        stacked = fit_each(
            [one for one in jobs if isinstance(one, Job)],
            self._device,
            check,
            memory=self._settings.trainer.memory,
        )
        others = self._plugins.fit([one for one in jobs if isinstance(one, PluginJob)], check)
        own, of_plugins = iter(stacked), iter(others)
        return [next(own if isinstance(one, Job) else of_plugins) for one in jobs]

    def _predict(self, artifact: ModelArtifact, rows: Columns) -> Array:
        """As `predict`, but a plug-in predicts in a process of its own."""
        if artifact.payload is None:
            return predict(artifact, rows.x, rows.categories, rows.feature_times)
        inputs = Inputs(rows.x, rows.categories, rows.feature_times)
        return self._plugins.predict(artifact, inputs, self._check)

    def _losses(
        self, task: _Task, challenger: ModelArtifact, held: Columns, seen: int
    ) -> gate.Pair:
        """What challenger and champion lose on held-out records."""
        loss = _profile(task).loss
        new = compute(loss, held.y, self._predict(challenger, held))
        if task.champion is not None:
            return gate.Pair(new, compute(loss, held.y, self._predict(task.champion, held)), seen)
        return gate.Pair(new, _recorded(task, held) if task.by_records else None, seen)

    def _judge_all(self, tasks: Sequence[_Task], check: Check) -> None:
        """Judge every task; those whose models are plug-ins' beside one another."""
        waiting = [
            task
            for task in tasks
            if any(one and one.payload for one in (task.fitted, task.champion, task.parent))
        ]
        self._each([task for task in tasks if task not in waiting], self._judge, check)
        with ThreadPoolExecutor(self._plugins.processes, "driftloop-judge") as threads:
            judged = [threads.submit(self._each, [task], self._judge, check) for task in waiting]
            for one in judged:
                one.result()

    def _judge(self, task: _Task) -> None:
        profile, data = _profile(task), _data(task)
        artifact = self._artifact(task, "candidate")
        newest = self._losses(task, artifact, data.held, data.seen)
        if task.parent is not None and newest.champion is not None:
            before = compute(profile.loss, data.held.y, self._predict(task.parent, data.held))
            if gate.is_lower(before, newest.champion):
                task.champion, newest = task.parent, newest._replace(champion=before)
                task.notes.append(
                    f"the champion is not judged on live records yet: compared with "
                    f"{task.parent.version}, its parent, which is better on the newest records"
                )
        older = None
        if data.older is not None:
            older = self._losses(task, artifact, data.older, data.older_seen)
        trivial = gate.trivial_losses(profile, data.fitted.y, data.held.y)
        task.verdict = gate.judge(
            profile, newest, trivial, older=older, categories=data.held.categories
        )
        metrics.GATE.labels(task.verdict.reason or "accepted").inc()
        if task.verdict.reason == "not-finite":
            raise TrainingError("diverged", task.verdict.detail)

    def _save(self, task: _Task) -> None:
        request, verdict = task.request, task.verdict
        if verdict is None:
            return
        sequence = task.current.sequence + 1
        artifact = self._artifact(task, f"v{sequence}")
        uri, digest = self._shelf.save(request.stream, artifact, self._check)
        task.published = ModelPublished(
            id=event_id(request.stream, request.profile_hash, "model", [request.id]),
            stream=request.stream,
            profile=request.profile,
            version=artifact.version,
            sequence=sequence,
            parent_version=task.current.event.version if task.current.event else None,
            kind=artifact.kind,
            uri=uri,
            sha256=digest,
            format=artifact.format,
            champion=verdict.champion,
            challenger=verdict.challenger,
            data=request.data,
            cost=self._cost(task),
            request_id=request.id,
            published_at=self._now_ms(),
        )

    def _artifact(self, task: _Task, version: str) -> ModelArtifact:
        profile, fitted, job = _profile(task), task.fitted, task.job
        encoding = fitted.encoding or task.encoding if fitted else None
        if fitted is None or job is None or encoding is None:
            raise TrainingError("internal", "the request was not trained")
        verdict = task.verdict
        return ModelArtifact(
            kind=profile.model.kind,
            task=profile.task,
            stream=task.request.stream,
            version=version,
            request_id=task.request.id,
            encoding=encoding,
            classes=tuple(profile.classes),
            weights=fitted.weights,
            target=fitted.target,
            loss=profile.loss,
            data=tuple(task.request.data),
            champion=verdict.champion if verdict else None,
            challenger=verdict.challenger if verdict else {},
            seed=job.seed,
            records=len(job.labels),
            payload=fitted.payload,
        )

    def _cost(self, task: _Task) -> Cost:
        records = len(task.data.all) if task.data else 0
        return Cost(seconds=task.seconds, records=records, device=str(self._device))

    def _result(self, task: _Task) -> Result:
        request, verdict, published = task.request, task.verdict, task.published
        details = list(task.notes)
        reason = ""
        if task.error is not None:
            outcome, reason = "failed", task.error.reason
            details.insert(0, str(task.error))
        elif published is not None:
            outcome = "published"
        else:
            outcome = "rejected"
            reason = verdict.reason if verdict else ""
            details.insert(0, verdict.detail if verdict else "")
        finished = finish(
            request,
            outcome,
            reason,
            "; ".join(details),
            self._now_ms(),
            version=published.version if published else None,
            champion=verdict.champion if verdict else None,
            challenger=verdict.challenger if verdict else None,
            cost=self._cost(task) if task.fitted else None,
        )
        return Result(request, finished, published, tuple(task.steps))


def _split(task: _Task, rows: Columns) -> None:
    champion = task.current.event
    task.data = split(_profile(task), rows, [] if champion is None else champion.data)


def _same_task(profile: Profile, artifact: ModelArtifact) -> bool:
    return (artifact.task, artifact.classes) == (profile.task, tuple(profile.classes))


def _same_features(profile: Profile, artifact: ModelArtifact) -> bool:
    named = (tuple(profile.features.numeric), tuple(profile.features.categorical))
    return named == (artifact.encoding.numeric, artifact.encoding.categorical)


def _recorded(task: _Task, held: Columns) -> Array | None:
    """Losses of the predictions that the champion wrote into the records; None where it wrote none.

    So a champion with other features, which cannot predict these records, is compared all the same.
    """
    event = task.current.event
    version = event.version if event is not None else None
    losses = compute(_profile(task).loss, held.y, held.y_pred)
    own = np.array([one in {version, None} for one in held.versions], bool)
    losses = np.where(own, losses, np.nan)
    found = int(np.isfinite(losses).sum())
    what = f"its predictions in {found} of the newest records" if found else "no prediction of it"
    task.notes.append(f"champion {version} has other features: compared by {what}")
    return losses if found else None


def _internal(error: BaseException) -> TrainingError:
    if is_refusal(error):
        return TrainingError(
            "out-of-memory",
            "no memory was left for the request's records: narrow training.window or "
            "training.records, or give the trainer more memory (the container's limit)",
        )
    kind = "SettingsError" if isinstance(error, SettingsError) else type(error).__name__
    return TrainingError(
        "internal", f"{kind}: {error}; the trainer's log has the traceback under the request's id"
    )


def _profile(task: _Task) -> Profile:
    if task.profile is None:
        raise TrainingError("internal", "the request has no profile")
    return task.profile


def _data(task: _Task) -> Dataset:
    if task.data is None:
        raise TrainingError("internal", "the request has no records")
    return task.data
