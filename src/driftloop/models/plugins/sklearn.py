"""scikit-learn's estimators as model kinds, stored by skops.

Linear ones read Driftloop's encoding (scaled numbers, one-hot texts), trees read the numbers as
they are. Labels of a regression are scaled before a linear fit and the coefficients scaled back, so
that ``alpha`` means the same whatever the label's unit. Each fit runs on one thread: jobs run
beside one another.
"""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import sklearn
from sklearn.ensemble import (
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.linear_model import Lasso, LogisticRegression, Ridge
from threadpoolctl import ThreadpoolController

from driftloop.models.contract import FittedModel, Floats, Inputs, Progress, TrainingJob
from driftloop.models.encoding import Encoding
from driftloop.models.plugins._trees import tree_inputs

_CLASSES = frozenset({"binary", "multiclass"})
_OURS = frozenset({"random_state", "n_jobs", "warm_start", "verbose", "class_weight"})
"""Parameters that Driftloop sets itself, or that would change what is minimised per class."""
_COUNTS = ("n_estimators", "max_iter")
_THREADS = ThreadpoolController()

TRUSTED = frozenset(
    {
        "builtins.dict",
        "builtins.list",
        "builtins.str",
        "builtins.tuple",
        "numpy.dtype",
        "numpy.float32",
        "numpy.float64",
        "numpy.int64",
        "numpy.ndarray",
        "numpy.random._generator.Generator",
        "numpy.uint64",
        "sklearn._loss._loss.CyAbsoluteError",
        "sklearn._loss._loss.CyHalfBinomialLoss",
        "sklearn._loss._loss.CyHalfMultinomialLoss",
        "sklearn._loss._loss.CyHalfSquaredError",
        "sklearn._loss.link.IdentityLink",
        "sklearn._loss.link.Interval",
        "sklearn._loss.link.LogitLink",
        "sklearn._loss.link.MultinomialLogit",
        "sklearn._loss.loss.AbsoluteError",
        "sklearn._loss.loss.HalfBinomialLoss",
        "sklearn._loss.loss.HalfMultinomialLoss",
        "sklearn._loss.loss.HalfSquaredError",
        "sklearn.ensemble._forest.RandomForestClassifier",
        "sklearn.ensemble._forest.RandomForestRegressor",
        "sklearn.ensemble._hist_gradient_boosting.binning._BinMapper",
        "sklearn.ensemble._hist_gradient_boosting.gradient_boosting.HistGradientBoostingClassifier",
        "sklearn.ensemble._hist_gradient_boosting.gradient_boosting.HistGradientBoostingRegressor",
        "sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor",
        "sklearn.linear_model._coordinate_descent.Lasso",
        "sklearn.linear_model._logistic.LogisticRegression",
        "sklearn.linear_model._ridge.Ridge",
        "sklearn.preprocessing._label.LabelEncoder",
        "sklearn.tree._classes.DecisionTreeClassifier",
        "sklearn.tree._classes.DecisionTreeRegressor",
        "sklearn.tree._tree.Tree",
    }
)
"""Types that may be made from a stored model: these estimators, and what they hold."""


@dataclass(frozen=True, slots=True)
class SklearnPlugin:
    """An estimator of scikit-learn, one for regression and one for classes where both exist.

    Attributes:
        name: As registered.
        regressor: For regression, or None.
        classifier: For binary and multiclass tasks, or None.
        linear: Whether it reads encoded features.
        defaults: Parameters where they differ from scikit-learn's.
        losses: Value of its ``loss`` by the profile's, where it can follow it.
    """

    name: str
    regressor: Callable[..., Any] | None
    classifier: Callable[..., Any] | None
    linear: bool
    defaults: Mapping[str, Any]
    losses: Mapping[str, str]

    format = "skops"
    trusted = TRUSTED

    @property
    def tasks(self) -> frozenset[str]:
        """Tasks that it fits."""
        numbers = frozenset({"regression"}) if self.regressor else frozenset()
        return numbers | (_CLASSES if self.classifier else frozenset())

    def check(self, params: Mapping[str, Any]) -> list[str]:
        """Unknown names, and values that scikit-learn refuses."""
        makers = [one for one in (self.regressor, self.classifier) if one is not None]
        known = set.intersection(*(set(inspect.signature(one).parameters) for one in makers))
        known -= _OURS
        strange = sorted(set(params) - known)
        if strange:
            return [f"{', '.join(strange)} is not among {', '.join(sorted(known))}"]
        x, y = np.arange(16.0)[:, None] / 16.0, np.arange(16) % 2
        short = {
            name: 2 for name in _COUNTS if isinstance(params.get(name), int) and params[name] > 2
        }
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                for one in makers:
                    one(**{**self.defaults, **params, **short}).fit(x, y)
        except (TypeError, ValueError) as error:
            return [" ".join(str(error).split())]
        return []

    def fit(self, jobs: Sequence[TrainingJob], progress: Progress) -> list[FittedModel]:
        """Train one after another."""
        models = []
        for number, job in enumerate(jobs, start=1):
            models.append(self._fit(job))
            progress(number / len(jobs))
        return models

    def _fit(self, job: TrainingJob) -> FittedModel:
        encoding = job.encoding()
        x = self._inputs(encoding, job.inputs)
        x[:, np.isnan(x).all(axis=0)] = 0.0  # no tree splits there; scikit-learn cannot bin it
        estimator = self._estimator(job)
        mean, scale = 0.0, 1.0
        if self.linear and job.task == "regression":
            mean, scale = float(job.labels.mean()), float(job.labels.std())
            scale = scale if scale > 1e-12 * max(1.0, abs(mean)) else 1.0
        labels = job.labels if job.task == "regression" else job.labels.astype(np.int64)
        with _THREADS.limit(limits=1), warnings.catch_warnings():
            warnings.simplefilter("ignore", sklearn.exceptions.ConvergenceWarning)
            estimator.fit(x, (labels - mean) / scale if job.task == "regression" else labels)
        if self.linear and job.task == "regression":
            estimator.coef_ = estimator.coef_ * scale
            estimator.intercept_ = estimator.intercept_ * scale + mean
        facts = {"scikit-learn": sklearn.__version__, "params": dict(job.params)}
        return FittedModel(estimator, encoding, job.task, job.classes, facts)

    def _estimator(self, job: TrainingJob) -> Any:
        make = self.regressor if job.task == "regression" else self.classifier
        if make is None:
            raise ValueError(f"{self.name} does not fit task {job.task}")
        params: dict[str, Any] = {**self.defaults}
        if job.task == "regression" and job.loss in self.losses:
            params["loss"] = self.losses[job.loss]
        return make(**{**params, **job.params, "random_state": job.seed % 2**32})

    def _inputs(self, encoding: Encoding, inputs: Inputs) -> Floats:
        if self.linear:
            return inputs.encoded(encoding)
        return tree_inputs(encoding, inputs)

    def predict(self, model: FittedModel, inputs: Inputs) -> Floats:
        """As the contract says; on one thread."""
        estimator = model.model
        if model.encoding is None:
            raise ValueError("the model was stored without its encoding")
        x = self._inputs(model.encoding, inputs)
        rows = len(x)
        if rows == 1:  # BLAS rounds a lone row otherwise than one among others
            x = np.repeat(x, 2, axis=0)
        with _THREADS.limit(limits=1, user_api="openmp"):
            if model.task == "regression":
                return np.asarray(estimator.predict(x), np.float64)[:rows]
            found = np.zeros((len(x), max(len(model.classes), 2)))
            found[:, estimator.classes_] = estimator.predict_proba(x)
        return found[:rows] if model.task == "multiclass" else found[:rows, 1]

    def describe(self, model: FittedModel) -> dict[str, Any]:
        """Estimator, parameters, and what it has learned in short."""
        estimator = model.model
        told: dict[str, Any] = {"estimator": type(estimator).__name__, **model.facts}
        if self.linear:
            told["coefficients"] = int(np.size(estimator.coef_))
            told["nonzero"] = int(np.count_nonzero(estimator.coef_))
        elif hasattr(estimator, "estimators_"):
            told["trees"] = len(estimator.estimators_)
            told["nodes"] = int(sum(tree.tree_.node_count for tree in estimator.estimators_))
        else:
            told["iterations"] = int(estimator.n_iter_)
        return told


def _plugin(
    name: str,
    regressor: Callable[..., Any] | None,
    classifier: Callable[..., Any] | None,
    *,
    linear: bool = True,
    defaults: Mapping[str, Any] | None = None,
    losses: Mapping[str, str] | None = None,
) -> SklearnPlugin:
    return SklearnPlugin(name, regressor, classifier, linear, defaults or {}, losses or {})


PLUGINS = {
    one.name: one
    for one in (
        _plugin("sklearn_ridge", Ridge, None),
        # scikit-learn's alpha of 1 would drop every feature of a scaled label.
        _plugin("sklearn_lasso", Lasso, None, defaults={"alpha": 0.01}),
        _plugin("sklearn_logistic", None, LogisticRegression, defaults={"max_iter": 1000}),
        _plugin(
            "sklearn_random_forest", RandomForestRegressor, RandomForestClassifier, linear=False
        ),
        _plugin(
            "sklearn_hist_gradient_boosting",
            HistGradientBoostingRegressor,
            HistGradientBoostingClassifier,
            linear=False,
            losses={"squared": "squared_error", "absolute": "absolute_error"},
        ),
    )
}
"""By name."""
