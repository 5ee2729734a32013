"""What the columns of unknown data mean, guessed by name and content, and told in words."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from driftloop.backtest.cells import number
from driftloop.backtest.facts import Facts, facts_of_all
from driftloop.backtest.source import Source
from driftloop.errors import DataError
from driftloop.records.decode import as_text
from driftloop.settings import Features, Fields, Profile
from driftloop.settings.profile import Loss, Task

LABELS = (
    *("y", "label", "target", "class", "y_true", "truth", "ground_truth", "actual", "outcome"),
    *("response", "labels"),
)
PREDICTIONS = (
    *("y_pred", "predicted_probability", "probability", "y_prob", "y_proba", "prediction"),
    *("predicted", "pred", "yhat", "y_hat", "forecast", "score"),
)
TIMES = (
    *("ts", "timestamp", "time", "datetime", "date_time", "date", "event_time", "ds"),
    *("created_at", "timestamp_ms", "ts_ms"),
)
IDS = ("id", "record_id", "uuid", "key", "event_id", "request_id")
LOSSES = ("loss", "error_value")
VERSIONS = ("model_version", "version")
INDICES = ("", "index", "unnamed: 0", "row", "rownames", "row_number")

MAX_CLASSES = 50
"""A text label with more values is none of a few classes."""

MAX_COUNTS = 10
"""A label of whole numbers with more values is a quantity."""

MAX_CATEGORIES = 64
"""A text with more values in the records looked at is left out."""

_REPEATS = 5  # records of a class, at least, on average


def guess_profile(source: Source) -> tuple[Profile, list[str]]:
    """Guess what the columns of a source mean.

    By name: event time, id, prediction, loss, model version, and the label; without a name that
    is known, the label is the last column that is left. All other numbers, and texts of few
    values, are features. Two different labels make the task binary, few texts or whole numbers
    multiclass, all else regression.

    Args:
        source: Streams; some of their first records are looked at, and all labels.

    Returns:
        The profile, and what was guessed, in words.

    Raises:
        DataError: Nothing can be read, or there is no column that may be the label.
    """
    tables = [table for table in source.preview() if len(table)]
    if not tables:
        raise DataError("there are no records to guess the columns of", file=source.text)
    return _Guess(source, facts_of_all(tables)).profile()


class _Guess:
    """One guess in the making."""

    def __init__(self, source: Source, facts: dict[str, Facts]) -> None:
        self.source = source
        self.facts = facts
        self.rows = max(one.rows for one in facts.values())
        self.left = [name for name in facts if name.lower() not in INDICES]
        self.notes: list[str] = []
        if source.stream_column in self.left:
            self.left.remove(source.stream_column)

    def _take(self, names: Sequence[str], fits: Callable[[Facts], bool]) -> str:
        """The first column of a name that is known and of a content that fits; else nothing."""
        folded = {name.lower(): name for name in reversed(self.left)}
        for name in names:
            if name in folded and fits(self.facts[folded[name]]):
                self.left.remove(folded[name])
                return folded[name]
        return ""

    def profile(self) -> tuple[Profile, list[str]]:
        ts = self._time()
        identity = self._take(IDS, _unique)
        y_pred = self._take(PREDICTIONS, lambda f: f.kind in {"number", "text", "other"})
        loss = self._take(LOSSES, lambda f: f.kind == "number")
        version = self._take(VERSIONS, lambda f: f.kind in {"number", "text"})
        y = self._label()
        task, classes = self._task(y)
        which = self._loss(task, y_pred)
        for what, name in (("id", identity), ("loss", loss), ("model version", version)):
            if name:
                self.notes.append(f"{what}: '{name}'")
        self.notes.append(
            f"prediction: '{y_pred}'" if y_pred else "prediction: none; models are trained here"
        )
        numeric, categorical = self._features()
        prefix, numeric, categorical = _prefixed(numeric, categorical)
        fields = Fields(
            id=identity,
            ts=ts,
            x=prefix,
            y_pred=y_pred,
            y=y,
            loss=loss,
            model_version=version,
        )
        features = Features(numeric=numeric, categorical=categorical)
        profile = Profile(task=task, loss=which, classes=classes, fields=fields, features=features)
        return profile, self.notes

    def _time(self) -> str:
        found = self._take(TIMES, lambda f: f.kind == "time" or (f.kind == "number" and f.moment))
        if found:
            self.notes.append(f"event time: '{found}'")
            return found
        for name in self.left:
            if self.facts[name].kind == "time":
                self.left.remove(name)
                self.notes.append(f"event time: '{name}', the first column of times")
                return name
        known = ", ".join(TIMES[:5])
        self.notes.append(f"event time: none of {known} or alike; records count as one a minute")
        return ""

    def _label(self) -> str:
        found = self._take(LABELS, lambda f: f.kind in {"number", "text"})
        if found:
            self.notes.append(f"label: '{found}', by its name")
            return found
        for name in reversed(self.left):
            facts = self.facts[name]
            everywhere = facts.rows == self.rows  # not a column that some files lack
            if name.lower() in PREDICTIONS or facts.different < 2 or not everywhere:
                continue
            few = facts.different <= MAX_CLASSES
            if facts.kind == "number" or (facts.kind == "text" and few):
                self.left.remove(name)
                self.notes.append(
                    f"label: '{name}', the last column, for none is named "
                    f"{', '.join(LABELS[:4])} or alike; if another is, say so by fields.y"
                )
                return name
        raise DataError(
            f"no column may be the label: a number, or a text of at most {MAX_CLASSES} values; "
            f"there is {', '.join(self.facts)}",
            file=self.source.text,
        )

    def _task(self, y: str) -> tuple[Task, list[str]]:
        values = self.source.distinct(y, 10 * MAX_CLASSES)
        facts = self.facts[y]
        many = len(values)
        if facts.kind == "number":
            labels = sorted({_canonical(value) for value in values} - {""}, key=float)
            counted = max(many, 1) * _REPEATS <= facts.present
            few = all(map(_whole, labels)) and len(labels) <= MAX_COUNTS and counted
            if len(labels) != 2 and not few:
                self.notes.append(f"task: regression, for '{y}' is a quantity")
                return "regression", []
        else:
            labels = sorted(values)
        if len(labels) > MAX_CLASSES:
            rule = f"a label is a number, or a text of at most {MAX_CLASSES} values; got {many}"
            raise DataError(rule, file=self.source.text, column=y)
        if len(labels) < 2:
            if facts.kind != "number":
                rule = f"a label of classes has two or more values; got only {labels}"
                raise DataError(rule, file=self.source.text, column=y)
            self.notes.append(f"task: regression, though '{y}' never changes")
            return "regression", []
        shown = ", ".join(labels[:6]) + (", …" if len(labels) > 6 else "")
        task: Task = "binary" if len(labels) == 2 else "multiclass"
        self.notes.append(f"task: {task}, for '{y}' has the values {shown}")
        if task == "binary" and set(labels) in ({"0", "1"}, {"false", "true"}):
            return task, []
        return task, labels

    def _loss(self, task: Task, y_pred: str) -> Loss:
        loss: Loss = "absolute" if task == "regression" else "log_loss"
        if y_pred and task != "regression":
            facts = self.facts[y_pred]
            # Classes, not probabilities.
            if facts.kind == "text" or (facts.kind == "number" and facts.whole):
                loss = "zero_one"
        self.notes.append(f"loss: {loss}")
        return loss

    def _features(self) -> tuple[list[str], list[str]]:
        numeric, categorical, left_out = [], [], []
        for name in self.left:
            facts = self.facts[name]
            if name.lower() in PREDICTIONS:
                left_out.append(f"'{name}' (another prediction)")
            elif facts.kind == "number":
                numeric.append(name)
            elif facts.kind == "text" and facts.different <= MAX_CATEGORIES:
                categorical.append(name)
            else:
                why = {
                    "text": f"{facts.different} different texts",
                    "time": "a time",
                    "empty": "empty",
                    "other": "neither number nor text",
                }[facts.kind]
                left_out.append(f"'{name}' ({why})")
        self.notes.append(f"features, numbers: {', '.join(numeric) or 'none'}")
        if categorical:
            self.notes.append(f"features, categories: {', '.join(categorical)}")
        if left_out:
            self.notes.append(f"left out: {', '.join(left_out)}")
        return numeric, categorical


def _unique(facts: Facts) -> bool:
    return facts.kind in {"number", "text"} and facts.unique


def _canonical(value: str) -> str:
    """A number's text as a class: 1.0 is 1; an empty text for what is none."""
    found = number(value)
    return "" if found is None or math.isnan(found) else as_text(found) or ""


def _whole(value: str) -> bool:
    return float(value).is_integer()


def _prefixed(numeric: list[str], categorical: list[str]) -> tuple[str, list[str], list[str]]:
    """The path that all features stand under, if one does, and their names below it."""
    tops = {name.rpartition(".")[0] for name in (*numeric, *categorical)}
    if len(tops) != 1 or tops == {""}:
        return "", numeric, categorical
    prefix = tops.pop()
    cut = len(prefix) + 1
    return prefix, [name[cut:] for name in numeric], [name[cut:] for name in categorical]
