"""Finished streams on disk, so that a run that was ended can go on where it was."""

from __future__ import annotations

import hashlib
import zipfile
import zlib
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

import driftloop
from driftloop.backtest.outcome import Decision, Plan, StreamOutcome, Track
from driftloop.backtest.source import StreamData
from driftloop.messages import RetrainRequested

_META = "meta"
_UNREADABLE = (OSError, EOFError, KeyError, ValueError, zipfile.BadZipFile, zlib.error)


class _KeptDecision(msgspec.Struct):
    request: RetrainRequested
    outcome: str
    detail: str
    seconds: float
    records: int


class _Kept(msgspec.Struct):
    stream: str
    notes: list[str]
    decisions: dict[str, list[_KeptDecision]]


class Keep:
    """A folder of outcomes, each under a digest of all that it depends on.

    Args:
        folder: Made when something is kept.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def load(self, plan: Plan, data: StreamData) -> StreamOutcome | None:
        """An outcome of the same records, policies and settings; None where none is kept."""
        path = self._path(plan, data)
        try:
            with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
                return _read(plan, arrays)
        except (*_UNREADABLE, msgspec.DecodeError):
            return None  # never kept, or damaged since

    def save(self, plan: Plan, data: StreamData, outcome: StreamOutcome) -> None:
        """Keep an outcome; whole or not at all."""
        path = self._path(plan, data)
        self.folder.mkdir(parents=True, exist_ok=True)
        aside = path.with_suffix(".part.npz")
        np.savez_compressed(aside, **_arrays(outcome))
        aside.replace(path)

    def _path(self, plan: Plan, data: StreamData) -> Path:
        digest = hashlib.blake2b(digest_size=16)
        settled = (
            driftloop.__version__,
            sorted((name, profile.hash) for name, profile in plan.profiles.items()),
            (
                plan.latency_ms,
                plan.delay_ms,
                plan.recorded,
                plan.seed,
                plan.season,
                plan.warmup_share,
            ),
            (data.name, data.partitions),
        )
        digest.update(repr(settled).encode())
        columns = data.columns
        for array in (
            columns.partitions,
            columns.offsets,
            columns.ts,
            columns.x,
            columns.y,
            columns.y_pred,
            columns.loss,
        ):
            digest.update(np.ascontiguousarray(array).tobytes())
        digest.update(repr((columns.ids, columns.versions, columns.categories)).encode())
        return self.folder / f"{digest.hexdigest()}.npz"


def _arrays(outcome: StreamOutcome) -> dict[str, Any]:
    decisions = {
        name: [
            _KeptDecision(one.request, one.outcome, one.detail, one.seconds, one.records)
            for one in track.decisions
        ]
        for name, track in outcome.tracks.items()
    }
    meta = msgspec.json.encode(_Kept(outcome.stream, list(outcome.notes), decisions))
    found = {_META: np.frombuffer(meta, np.uint8), "ts": outcome.ts, "naive": outcome.naive}
    if outcome.naive_correct is not None:
        found["naive_correct"] = outcome.naive_correct
    for i, (name, track) in enumerate(outcome.tracks.items()):
        found[f"losses_{i}"] = track.losses
        if name in outcome.correct:
            found[f"correct_{i}"] = outcome.correct[name]
    return found


def _read(plan: Plan, arrays: Any) -> StreamOutcome:
    meta = msgspec.json.decode(arrays[_META].tobytes(), type=_Kept)
    tracks, correct = {}, {}
    names = list(meta.decisions)
    for i, name in enumerate(names):
        kept = [
            Decision(one.request, one.outcome, one.detail, one.seconds, one.records)
            for one in meta.decisions[name]
        ]
        tracks[name] = Track(arrays[f"losses_{i}"], kept)
        if f"correct_{i}" in arrays:
            correct[name] = arrays[f"correct_{i}"]
    return StreamOutcome(
        stream=meta.stream,
        ts=arrays["ts"],
        tracks={name: tracks[name] for name in plan.profiles},
        correct={name: correct[name] for name in plan.profiles if name in correct},
        naive=arrays["naive"],
        naive_correct=arrays.get("naive_correct"),
        notes=tuple(meta.notes),
    )
