"""Published versions as runs, and registered models, of an MLflow server."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from driftloop.errors import DriftloopError
from driftloop.messages import ModelPublished
from driftloop.models.artifact import MANIFEST
from driftloop.settings import MlflowSettings

# A server that is away is tried for seconds, not for the minutes of MLflow's own defaults; and
# MLflow prints nothing between the trainer's lines.
_HABITS = {
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "10",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
}
_LONGEST = 500  # of a parameter's value, by MLflow
_FOLDER = "model"
_PARAMETERS = ("kind", "task", "loss", "seed", "records", "format", "driftloop")


class MlflowLog:
    """Logs versions to one experiment.

    Args:
        settings: Where and how.

    Raises:
        DriftloopError: The client is not installed.
    """

    def __init__(self, settings: MlflowSettings) -> None:
        for name, value in _HABITS.items():
            os.environ.setdefault(name, value)
        try:
            from mlflow import MlflowClient  # noqa: PLC0415  # an extra
            from mlflow.exceptions import MlflowException  # noqa: PLC0415
        except ImportError as error:
            raise DriftloopError(
                f"mlflow.tracking_uri needs {error.name}, not installed here: "
                "pip install 'driftloop[mlflow]'"
            ) from error
        self._settings = settings
        self._refused: type[Exception] = MlflowException
        self._client: Any = MlflowClient(settings.tracking_uri, settings.tracking_uri)
        self._experiment = ""

    def log(self, event: ModelPublished, files: Mapping[str, bytes]) -> str:
        """Log a version; what is logged already gets no second run, as after a rollback.

        Args:
            event: The version.
            files: Its files by name.

        Returns:
            The run's id.

        Raises:
            MlflowException: The server does not answer, or refuses.
        """
        client = self._client
        experiment = self._experiment or self._open()
        found = client.search_runs([experiment], f"tags.`driftloop.sha256` = '{event.sha256}'")
        if found and found[0].info.status == "FINISHED":
            known = str(found[0].info.run_id)
            if self._settings.register_models:
                self._point(event, known)
            return known
        name = f"{event.stream} {event.version}"
        run = found[0] if found else client.create_run(experiment, tags=_tags(event), run_name=name)
        run_id = str(run.info.run_id)
        manifest: dict[str, Any] = msgspec.json.decode(files[MANIFEST])
        for key, value in _parameters(event, manifest).items():
            client.log_param(run_id, key, value[:_LONGEST])
        for key, number in _metrics(event).items():
            client.log_metric(run_id, key, number, timestamp=event.published_at)
        with tempfile.TemporaryDirectory(prefix="driftloop-mlflow-") as folder:
            for file, content in files.items():
                (Path(folder) / file).write_bytes(content)
            client.log_artifacts(run_id, folder, _FOLDER)
        if self._settings.register_models:
            self._register(event, run_id, str(run.info.artifact_uri))
        client.set_terminated(run_id, "FINISHED", event.published_at)
        return run_id

    def _open(self) -> str:
        name = self._settings.experiment
        found = self._client.get_experiment_by_name(name)
        if found is None:
            try:
                self._experiment = str(self._client.create_experiment(name))
            except self._refused:  # another trainer was first
                found = self._client.get_experiment_by_name(name)
                if found is None:
                    raise
        if found is not None:
            self._experiment = str(found.experiment_id)
        return self._experiment

    def _register(self, event: ModelPublished, run_id: str, artifacts: str) -> None:
        name = _name(event)
        try:
            self._client.get_registered_model(name)
        except self._refused:
            try:
                self._client.create_registered_model(name, {"driftloop.stream": event.stream})
            except self._refused:
                self._client.get_registered_model(name)  # another trainer was first
        self._client.create_model_version(
            name,
            f"{artifacts}/{_FOLDER}",
            run_id,
            tags=_tags(event),
            await_creation_for=0,
        )
        self._point(event, run_id)

    def _point(self, event: ModelPublished, run_id: str) -> None:
        """Make a run's registered version the current one."""
        name = _name(event)
        found = self._client.search_model_versions(f"name = '{name}' and run_id = '{run_id}'")
        if found:
            self._client.set_registered_model_alias(name, "current", found[0].version)


def _name(event: ModelPublished) -> str:
    return f"driftloop.{event.stream}".replace(":", "@").replace("/", "_")


def _tags(event: ModelPublished) -> dict[str, str]:
    return {
        "driftloop.event_id": event.id,
        "driftloop.stream": event.stream,
        "driftloop.profile": event.profile,
        "driftloop.version": event.version,
        "driftloop.parent_version": event.parent_version or "",
        "driftloop.request_id": event.request_id,
        "driftloop.uri": event.uri,
        "driftloop.sha256": event.sha256,
    }


def _parameters(event: ModelPublished, manifest: Mapping[str, Any]) -> dict[str, str]:
    features = manifest.get("features", {})
    names = [*features.get("numeric", []), *features.get("categorical", [])]
    known = {name: str(manifest[name]) for name in _PARAMETERS if name in manifest}
    return {**known, "features": ", ".join(names), "data": " ".join(event.data)}


def _metrics(event: ModelPublished) -> dict[str, float]:
    pairs: list[tuple[str, float | None]] = [
        (f"{who}_{name}", value)
        for who, metrics in (("challenger", event.challenger), ("champion", event.champion or {}))
        for name, value in metrics.items()
    ]
    pairs += [("train_seconds", event.cost.seconds), ("train_records", float(event.cost.records))]
    return {name: value for name, value in pairs if value is not None}
