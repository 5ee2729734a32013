"""The trainer over a backtest's own records: the same steps, with memory for Kafka and store."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from driftloop.backtest.simulate import Simulation
from driftloop.errors import ArtifactNotFoundError, TrainingError
from driftloop.messages import RetrainRequested
from driftloop.models import ModelArtifact
from driftloop.records import Columns
from driftloop.settings import Profile, Settings, TrainerSettings
from driftloop.trainer.history import Current
from driftloop.trainer.job import Check
from driftloop.trainer.load import Wanted
from driftloop.trainer.train import device_of
from driftloop.trainer.work import Trainer


class MemoryStore:
    """Keeps artifacts as they are."""

    def __init__(self) -> None:
        self._kept: dict[str, ModelArtifact] = {}

    def save(self, stream: str, version: str, artifact: ModelArtifact) -> tuple[str, str]:
        """Keep a version; return its URI and an empty digest."""
        uri = f"memory:{stream}/{artifact.request_id}/{version}"
        self._kept[uri] = artifact
        return uri, ""

    def load(self, uri: str, digest: str) -> ModelArtifact:  # noqa: ARG002  # the store's interface
        """Return what was kept.

        Raises:
            ArtifactNotFoundError: It was forgotten.
        """
        if uri not in self._kept:
            raise ArtifactNotFoundError(f"{uri} is not kept any more")
        return self._kept[uri]

    def forget(self, uri: str) -> None:
        """Drop a version that nobody predicts with any more."""
        self._kept.pop(uri, None)


class SimulatedTrainer:
    """Answers the requests of many simulations, all that wait together.

    Args:
        profiles: By the name that the simulations' events carry.
        seed: Goes into each model's seed, beside its stream and its records.
        device: ``cpu``, ``cuda`` or ``auto``.
    """

    def __init__(self, profiles: Mapping[str, Profile], seed: int, device: str = "cpu") -> None:
        settings = Settings(profiles=dict(profiles), trainer=TrainerSettings(seed=seed))
        self._store = MemoryStore()
        self._waiting: dict[str, Simulation] = {}
        self._trainer = Trainer(
            settings,
            device_of(device),
            now_ms=lambda: 0,
            load=self._load,
            store=self._store,
        )

    def answer(self, waiting: Sequence[tuple[Simulation, RetrainRequested]]) -> None:
        """Train all requests as stacks, and give each simulation its outcome."""
        # Equal ids, where two policies have the same hash, are trained once.
        users: dict[str, list[Simulation]] = {}
        requests: dict[str, RetrainRequested] = {}
        for simulation, request in waiting:
            requests.setdefault(request.id, request)
            users.setdefault(request.id, []).append(simulation)
        self._waiting = {name: found[0] for name, found in users.items()}
        for result in self._trainer.run(list(requests.values()), self._current):
            artifact = None
            if result.published is not None:
                artifact = self._store.load(result.published.uri, result.published.sha256)
            for simulation in users[result.request.id]:
                if artifact is not None and simulation.current is not None:
                    self._store.forget(simulation.current.uri)
                simulation.answer(result.finished, result.published, artifact)
        self._waiting = {}

    def _current(self, request: RetrainRequested) -> Current:
        simulation = self._waiting[request.id]
        return Current(simulation.current, simulation.sequence)

    def _load(
        self, wanted: Mapping[str, Wanted], check: Check
    ) -> dict[str, Columns | TrainingError]:
        found: dict[str, Columns | TrainingError] = {}
        for name in wanted:
            check()
            simulation = self._waiting[name]
            found[name] = simulation.training_records(simulation.decisions[-1].request)
        return found
