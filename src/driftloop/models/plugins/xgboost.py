"""XGBoost as a model kind, stored in its own UBJ format; on the GPU where the trainer has one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import xgboost

from driftloop.models.contract import FittedModel, Floats, Inputs, Progress, TrainingJob
from driftloop.models.plugins._trees import tree_inputs

_PARAMS = (
    "colsample_bylevel",
    "colsample_bynode",
    "colsample_bytree",
    "gamma",
    "grow_policy",
    "learning_rate",
    "max_bin",
    "max_delta_step",
    "max_depth",
    "max_leaves",
    "min_child_weight",
    "reg_alpha",
    "reg_lambda",
    "scale_pos_weight",
    "subsample",
)
_ROUNDS = "n_estimators"
_OBJECTIVES = {
    ("regression", "squared"): "reg:squarederror",
    ("regression", "absolute"): "reg:absoluteerror",
    ("binary", ""): "binary:logistic",
    ("multiclass", ""): "multi:softprob",
}


class XgboostPlugin:
    """Gradient boosted trees; ``n_estimators`` rounds (100), other params as XGBoost names them."""

    name = "xgboost"
    tasks = frozenset({"regression", "binary", "multiclass"})
    format = "ubj"

    def check(self, params: Mapping[str, Any]) -> list[str]:
        """Unknown names, and values that XGBoost refuses."""
        strange = sorted(set(params) - {*_PARAMS, _ROUNDS})
        if strange:
            return [f"{', '.join(strange)} is not among {', '.join(sorted([*_PARAMS, _ROUNDS]))}"]
        rounds = params.get(_ROUNDS, 1)
        if not isinstance(rounds, int) or isinstance(rounds, bool) or not 1 <= rounds <= 100_000:
            return [f"{_ROUNDS} must be a whole number in [1, 100000], got {rounds!r}"]
        rest = {name: value for name, value in params.items() if name != _ROUNDS}
        try:
            table = xgboost.DMatrix(np.arange(8.0)[:, None], label=np.arange(8.0) % 2, nthread=1)
            xgboost.train({**rest, "verbosity": 0, "nthread": 1}, table, 1)
        except (xgboost.core.XGBoostError, TypeError, ValueError) as error:
            return [_words(error)]
        return []

    def fit(self, jobs: Sequence[TrainingJob], progress: Progress) -> list[FittedModel]:
        """Train one after another."""
        models = []
        for number, job in enumerate(jobs):
            models.append(self._fit(job, _Told(progress, number, len(jobs))))
        return models

    def _fit(self, job: TrainingJob, told: _Told) -> FittedModel:
        encoding = job.encoding()
        params = dict(job.params)
        told.rounds = rounds = int(params.pop(_ROUNDS, 100))
        loss = job.loss if job.task == "regression" else ""
        given: dict[str, Any] = {
            **params,
            "objective": _OBJECTIVES[job.task, loss],
            "tree_method": "hist",
            "device": job.device,
            "nthread": 1,
            "seed": job.seed % 2**31,
            "verbosity": 0,
        }
        if job.task == "multiclass":
            given["num_class"] = len(job.classes)
        x = tree_inputs(encoding, job.inputs)
        table = xgboost.DMatrix(x, label=job.labels, nthread=1)
        booster = xgboost.train(given, table, rounds, callbacks=[told])
        booster.set_param({"device": "cpu"})
        facts = {"xgboost": xgboost.__version__, "params": dict(job.params), "device": job.device}
        return FittedModel(booster, encoding, job.task, job.classes, facts)

    def predict(self, model: FittedModel, inputs: Inputs) -> Floats:
        """As the contract says; on one thread."""
        if model.encoding is None:
            raise ValueError("the model was stored without its encoding")
        table = xgboost.DMatrix(tree_inputs(model.encoding, inputs), nthread=1)
        return np.asarray(model.model.predict(table), np.float64)

    def describe(self, model: FittedModel) -> dict[str, Any]:
        """Rounds, parameters, version, and the features that gain most."""
        gains = model.model.get_score(importance_type="gain")
        names = []
        if model.encoding is not None:
            names = list(model.encoding.numeric)
            for feature, known in zip(
                model.encoding.categorical, model.encoding.vocabulary, strict=True
            ):
                names += [f"{feature}={value}" for value in known] + [f"{feature}=other"]
        best = sorted(gains.items(), key=lambda one: (-one[1], one[0]))[:10]
        shown = {names[int(key[1:])] if names else key: float(gain) for key, gain in best}
        return {"rounds": model.model.num_boosted_rounds(), "gain": shown, **model.facts}


class _Told(xgboost.callback.TrainingCallback):
    """Tells of the rounds that are done."""

    def __init__(self, progress: Progress, done: int, jobs: int) -> None:
        super().__init__()
        self.rounds = 1
        self._progress, self._done, self._jobs = progress, done, jobs

    def after_iteration(self, model: Any, epoch: int, evals_log: Any) -> bool:  # noqa: ARG002
        """After each round; False goes on."""
        self._progress((self._done + (epoch + 1) / self.rounds) / self._jobs)
        return False


def _words(error: Exception) -> str:
    """XGBoost's message without its stack."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    found = [line.partition("Error: ")[2] or line for line in lines if "Stack trace" not in line]
    return found[0].partition(": ")[2] or found[0] if found else type(error).__name__


PLUGINS = {XgboostPlugin.name: XgboostPlugin}
"""By name."""
