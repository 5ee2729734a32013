"""Model artifacts for trials: loaded aside, verified, kept a process; tried again for a while."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import numpy as np
import structlog

from driftloop.detection.outputs import Trial
from driftloop.errors import PluginError
from driftloop.records import Columns
from driftloop.records.columns import Floats
from driftloop.settings import Profile, Settings, StoreSettings
from driftloop.trials import Answer, Missing

if TYPE_CHECKING:
    from driftloop.models import ModelArtifact

KEPT_BYTES = 256 * 1024 * 1024
"""Weights that a process keeps."""

LOADERS = 2
FIRST_DELAY = 0.5
"""Seconds before the second attempt; twice as long before each further one."""

NEEDS = "safetensors is not installed here: pip install 'driftloop[scorer]'"

_log = structlog.get_logger(__name__)

Load = Callable[[str, str], "ModelArtifact"]
"""From URI and sha256 to a verified artifact."""


@dataclass(slots=True)
class _Request:
    """An artifact that is on its way."""

    began: float
    future: Future[ModelArtifact] | None = None
    attempts: int = 0
    retry_at: float = 0.0


class Artifacts:
    """The artifacts that trials of this process need.

    Args:
        store: Where they lie; opened when the first one is needed.
        patience: Seconds from the first attempt after which an artifact is given up.
        load: Loads and verifies one; by default from the store.
        clock: Monotonic seconds.
    """

    def __init__(
        self,
        store: StoreSettings,
        patience: float,
        load: Load | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._settings = store
        self._patience = patience
        self._load = load
        self._clock = clock
        self._kept: OrderedDict[tuple[str, str], ModelArtifact] = OrderedDict()
        self._bytes = 0
        self._requests: dict[tuple[str, str], _Request] = {}
        self._executor: ThreadPoolExecutor | None = None

    def ask(self, trial: Trial, profile: Profile) -> Answer:
        """Predictions of a trial's artifact; None while it is on its way; or why there are none.

        Never waits and never raises.
        """
        key = (trial.uri, trial.sha256)
        if key in self._kept:
            self._kept.move_to_end(key)
            return _predictor(self._kept[key], profile)
        if self._load is None and find_spec("safetensors") is None:
            return Missing(NEEDS)
        request = self._requests.get(key)
        if request is None:
            request = self._requests[key] = _Request(began=self._clock())
        if request.future is None:
            if self._clock() >= request.retry_at:
                self._start(key, request)
            return None
        if not request.future.done():
            return None
        error = request.future.exception()
        if error is not None:
            return self._failed(key, request, error)
        del self._requests[key]
        return _predictor(self._keep(key, request.future.result()), profile)

    def _start(self, key: tuple[str, str], request: _Request) -> None:
        if self._executor is None:
            self._executor = ThreadPoolExecutor(LOADERS, thread_name_prefix="driftloop-artifacts")
        request.attempts += 1
        request.future = self._executor.submit(self._fetch, *key)

    def _fetch(self, uri: str, sha256: str) -> ModelArtifact:
        if self._load is None:
            from driftloop.models import ModelStore  # noqa: PLC0415  # only where trials are

            self._load = ModelStore(self._settings).load
        artifact = self._load(uri, sha256)
        artifact.open()  # a plug-in that is not installed here fails the load, no stream
        return artifact

    def _failed(self, key: tuple[str, str], request: _Request, error: BaseException) -> Answer:
        now = self._clock()
        delay = FIRST_DELAY * 2 ** (request.attempts - 1)
        gives_up = now + delay > request.began + self._patience
        _log.warning(
            "monitor.artifact_unavailable",
            uri=key[0],
            attempt=request.attempts,
            error=str(error) or repr(error),
            then="given up" if gives_up else "it is tried again",
        )
        if gives_up:
            del self._requests[key]
            return Missing(f"{error}"[:500] or repr(error))
        request.future, request.retry_at = None, now + delay
        return None

    def _keep(self, key: tuple[str, str], artifact: ModelArtifact) -> ModelArtifact:
        self._kept[key] = artifact
        self._bytes += _size(artifact)
        while self._bytes > KEPT_BYTES and len(self._kept) > 1:
            _, dropped = self._kept.popitem(last=False)
            self._bytes -= _size(dropped)
        return artifact


def _size(artifact: ModelArtifact) -> int:
    stored = len(artifact.payload.content) if artifact.payload else 0
    return stored + sum(weights.nbytes for weights in artifact.weights.values())


def _predictor(artifact: ModelArtifact, profile: Profile) -> Answer:
    """Predictions for a profile's records, or why the artifact cannot make them."""
    from driftloop.models import predict  # noqa: PLC0415  # only where trials are

    wanted: Any = (tuple(profile.features.numeric), tuple(profile.features.categorical))
    found = (artifact.encoding.numeric, artifact.encoding.categorical)
    if found != wanted or (artifact.task, artifact.classes) != (
        profile.task,
        tuple(profile.classes),
    ):
        return Missing(
            f"version {artifact.version} was trained for another task or other features than the "
            "profile names"
        )

    def call(rows: Columns) -> Floats:
        try:
            return predict(artifact, rows.x, rows.categories, rows.feature_times)
        except PluginError as error:  # no evidence for or against it; the stream goes on
            _log.warning(
                "monitor.artifact_cannot_predict",
                stream=artifact.stream,
                request_id=artifact.request_id,
                version=artifact.version,
                error=str(error),
            )
            classes = (len(artifact.classes),) if artifact.task == "multiclass" else ()
            return np.full((len(rows), *classes), np.nan)

    return call


def check(settings: Settings) -> None:
    """Say at start what trials will lack; nothing ends by it.

    A monitor without safetensors, or without a way to the store, works as before; its trials end
    `unscored`, so no version is rolled back by itself.
    """
    watching = sorted(
        name
        for name, profile in settings.profiles.items()
        if profile.training.watch is not None or profile.training.canary is not None
    )
    if not watching:
        return
    effect = (
        "new versions cannot be compared with their parents: nothing is rolled back by itself; "
        "set training.watch = false to do without"
    )
    if find_spec("safetensors") is None:
        _log.warning("monitor.no_trials", profiles=watching, why=NEEDS, effect=effect)
        return
    from driftloop.errors import DriftloopError  # noqa: PLC0415
    from driftloop.models import ModelStore  # noqa: PLC0415

    try:
        ModelStore(settings.store).reach()
    except (DriftloopError, OSError) as error:
        _log.warning("monitor.store_unreachable", profiles=watching, why=str(error), effect=effect)
