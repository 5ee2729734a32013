"""A profile: what the records of a group of topics mean, and when their models are retrained."""

from __future__ import annotations

import hashlib
import json
import re
from typing import Annotated, Any, Literal, Self

from pydantic import Field, field_validator, model_validator

from driftloop.settings._detector_checks import misread
from driftloop.settings.base import Duration, MisfitError, Section, format_duration, milliseconds
from driftloop.settings.features import Features
from driftloop.settings.fleet import Fleet
from driftloop.settings.kinds import BUILT_IN_KINDS, FORECASTERS
from driftloop.settings.policy import Policy
from driftloop.settings.presets import parse_policy
from driftloop.settings.trials import OptionalCanary, OptionalWatch, Watch

Task = Literal["regression", "binary", "multiclass"]
Loss = Literal["absolute", "squared", "log_loss", "zero_one"]

LOSSES_OF_TASK: dict[str, tuple[str, ...]] = {
    "regression": ("absolute", "squared"),
    "binary": ("log_loss", "zero_one", "squared"),
    "multiclass": ("log_loss", "zero_one"),
}


class Fields(Section):
    """Where each field stands in a record, as a dotted path; an empty text says 'not there'.

    Attributes:
        id: Joins a late label to its prediction; absent: topic, partition and offset.
        ts: Event time, milliseconds since the epoch or RFC 3339; absent: Kafka's timestamp.
        x: Features: an object of numbers and texts, or an array of numbers.
        y_pred: Prediction: a number, a class, or the probabilities of the classes.
        y: Label; may come later, in a record of its own with the same id.
        loss: The record's loss, where the user computes it.
        model_version: Who predicted; absent: the current version.
    """

    id: str = "id"
    ts: str = "ts"
    x: str = "x"
    y_pred: str = "y_pred"
    y: str = "y"
    loss: str = "loss"
    model_version: str = "model_version"


class CountWindow(Section):
    """A window closes after so many records.

    Attributes:
        kind: ``count``.
        records: Records of a window.
    """

    kind: Literal["count"] = "count"
    records: int = Field(default=300, ge=20, le=100_000)


class CycleWindow(Section):
    """A window covers whole event-time cycles, as days, and closes `lateness` after its end.

    Attributes:
        kind: ``cycle``.
        length: Event time that a window covers.
        cycle: The cycle, as a day; `length` is a whole number of them.
        lateness: Event time after the window's end in which late records still count.
    """

    kind: Literal["cycle"]
    length: Duration
    cycle: Duration | None = None
    lateness: Duration = Field(default=0)  # type: ignore[assignment]  # read by parse_duration

    @model_validator(mode="after")
    def _whole_cycles(self) -> Self:
        if milliseconds(self.length) < 1:
            shown = repr(format_duration(self.length))
            raise MisfitError(("length", "longer than 0", shown, ()))
        if self.cycle is not None and (
            milliseconds(self.cycle) < 1 or milliseconds(self.length) % milliseconds(self.cycle)
        ):
            length, cycle = format_duration(self.length), format_duration(self.cycle)
            rule = f"a whole number of cycles of {cycle}"
            raise MisfitError(("length", rule, repr(length), ("cycle",)))
        return self


Window = Annotated[CountWindow | CycleWindow, Field(discriminator="kind")]


class ModelSettings(Section):
    """Which model a stream has, and how it is fitted.

    Attributes:
        kind: ``linear``, ``mlp_regressor``, ``mlp_classifier``, or a plug-in's name, as
            ``sklearn_ridge`` or ``xgboost``; or, for a label whose earlier values are
            `features.sequence`, ``forecaster_linear``, ``forecaster_mlp`` or ``forecaster_tcn``.
        params: What a plug-in takes; other kinds take the keys of this table.
        hidden: Width of each hidden layer of an MLP; of a TCN, those after its convolutions.
        channels: Channels of each convolution of ``forecaster_tcn``.
        l2: Penalty on the squared weights.
        epochs: Passes over the training data, at most; for all but linear models.
        learning_rate: Step size; for all but linear models.
        batch_records: Records of a training step; for all but linear models.
        patience: Passes without progress after which training ends; for all but linear models.
    """

    kind: str = Field(default="linear", min_length=1)
    params: dict[str, Any] = Field(default={})
    hidden: list[Annotated[int, Field(ge=1, le=4096)]] = Field(default=[32])
    channels: int = Field(default=8, ge=1, le=1024)
    l2: float = Field(default=1.0, ge=0)
    epochs: int = Field(default=200, ge=1, le=100_000)
    learning_rate: float = Field(default=0.01, gt=0, le=1)
    batch_records: int = Field(default=256, ge=1)
    patience: int = Field(default=20, ge=1)


class Training(Section):
    """Which records a model is trained on, and what a challenger must show.

    Attributes:
        window: Event time before the decision from which records are taken.
        records: The same as a number of losses; the larger of the two counts when both are set.
        min_records: Fewer labelled records fail the request.
        holdout: Share of the newest records on which the challenger meets the champion.
        refuse: Which challenger the gate refuses: one whose mean loss on the hold-out is
            ``significantly-worse`` than the champion's, or one where it is ``worse``, by whatever
            little.
        margin: Loss by which the challenger may be worse.
        alpha: Level of the gate's tests.
        forgetting_holdout: Share of the oldest records on which, too, the challenger must not be
            significantly worse; 0 for none.
        forgetting_margin: Loss by which it may be worse there.
        slices: Categorical features; in no category of them may it be significantly worse.
        slice_margin: Loss by which it may be worse in a category.
        slice_records: Categories with fewer held-out records are not looked at.
        refit: Train the accepted challenger again with the held-out records.
        warm_start: Begin from the champion's weights; for MLPs of the same layers. All others
            begin anew, and a linear model has nothing to begin from.
        initial: A stream without a model gets one after so many labelled records; 0 for never.
        rollback_limit: Automatic rollbacks in a row, with no version between them that held its
            own, after which the policy's retrains wait for a person's ``approve``.
        canary: The trial of a candidate before it serves.
        watch: The trial of a version that serves, against its parent.
    """

    window: Duration | None = None
    records: int | None = Field(default=None, ge=20)
    min_records: int = Field(default=50, ge=4)
    holdout: float = Field(default=0.2, gt=0, lt=0.9)
    refuse: Literal["significantly-worse", "worse"] = "significantly-worse"
    margin: float = Field(default=0.0, ge=0)
    alpha: float = Field(default=0.05, gt=0, lt=0.5)
    forgetting_holdout: float = Field(default=0.0, ge=0, lt=0.5)
    forgetting_margin: float = Field(default=0.0, ge=0)
    slices: list[str] = Field(default=[])
    slice_margin: float = Field(default=0.0, ge=0)
    slice_records: int = Field(default=30, ge=10)
    refit: bool = True
    warm_start: bool = False
    initial: int = Field(default=0, ge=0)
    rollback_limit: int = Field(default=5, ge=1, le=100)
    canary: OptionalCanary = None
    watch: OptionalWatch = Watch()

    @model_validator(mode="after")
    def _something_to_fit(self) -> Self:
        if self.holdout + self.forgetting_holdout > 0.9:
            rule = f"at most 0.9 with training.holdout, {self.holdout:g}"
            involved = ("holdout",)
            raise MisfitError(("forgetting_holdout", rule, repr(self.forgetting_holdout), involved))
        return self


class Profile(Section):
    """What the records of the topics that match `topics` mean.

    Attributes:
        topics: Regular expression over topic names; matched from the start to the end.
        task: ``regression``, ``binary`` or ``multiclass``.
        loss: ``absolute``, ``squared``, ``log_loss`` or ``zero_one``, as fits the task.
        partitions: ``one`` stream a topic, or ``each`` partition a stream of its own.
        join_capacity: Predictions and labels that may wait for one another, each.
        max_future: A record whose event time is this far ahead of its Kafka timestamp is refused:
            it would make all others late.
        deduplicate: Ids remembered to drop records that come twice; 0 for none.
        silent_after: Wall-clock time without a record after which a stream is reported silent.
        classes: Class labels in the order of the model's outputs, for classification.
        policy: A table; or a preset with its arguments, as ``"vote(2)"``; or the name of one of
            ``[policies]``.
        fleet: What is decided over all of its streams.
    """

    topics: str = r"streams\..+"
    task: Task = "regression"
    loss: Loss = "absolute"
    classes: list[str] = Field(default=[])
    fields: Fields = Fields()
    features: Features = Features()
    window: Window = CountWindow()
    partitions: Literal["one", "each"] = "one"
    join_capacity: int = Field(default=1000, ge=1, le=1_000_000)
    deduplicate: int = Field(default=0, ge=0, le=100_000)
    max_future: Duration = Field(default="7d")  # type: ignore[assignment]  # read by parse_duration
    silent_after: Duration = Field(default=3600)  # type: ignore[assignment]  # read by parse_duration
    policy: Policy = Policy()
    fleet: Fleet = Fleet()
    model: ModelSettings = ModelSettings()
    training: Training = Training()

    @field_validator("policy", mode="before")
    @classmethod
    def _preset(cls, value: Any) -> Any:
        return parse_policy(value) if isinstance(value, str) else value

    @field_validator("topics")
    @classmethod
    def _compiles(cls, value: str) -> str:
        try:
            re.compile(value)
        except re.error as error:
            raise ValueError(f"topics is no regular expression: {error}") from error
        return value

    @model_validator(mode="after")
    def _together(self) -> Self:
        faults: list[tuple[str, str, str, tuple[str, ...]]] = []
        if self.loss not in LOSSES_OF_TASK[self.task]:
            allowed = ", ".join(LOSSES_OF_TASK[self.task])
            rule = f"{allowed}, as fits task {self.task}"
            faults.append(("loss", rule, repr(self.loss), ("task",)))
        if self.task == "multiclass" and len(self.classes) < 2:
            rule = "two or more labels, as task multiclass needs them"
            faults.append(("classes", rule, repr(self.classes), ("task",)))
        if self.task == "binary" and self.classes and len(self.classes) != 2:
            rule = "two labels or none, as task is binary"
            faults.append(("classes", rule, repr(self.classes), ("task",)))
        kind, features = self.model.kind, self.features
        if self.task not in BUILT_IN_KINDS.get(kind, {self.task}):
            rule = f"a kind that fits task {self.task}"
            faults.append(("model.kind", rule, repr(kind), ("task", "model")))
        if kind in BUILT_IN_KINDS and self.model.params:
            rule = f"none, as kind {kind} takes the keys of its table"
            faults.append(("model.params", rule, repr(self.model.params), ("model",)))
        if kind in FORECASTERS and not features.sequence:
            rule = f"names of the lags, as model.kind {kind} needs them"
            faults.append(("features.sequence", rule, "[]", ("features", "model")))
        read = self.policy.detectors
        for rule in misread(read, self.task, features.numeric, features.categorical):
            names = repr([one.name for one in read])
            faults.append(("policy.detectors", rule, names, ("task", "features", "policy")))
        unknown = [one for one in self.training.slices if one not in features.categorical]
        if unknown:
            known = ", ".join(features.categorical) or "there are none"
            rule = f"names of features.categorical ({known}); others: {', '.join(unknown)}"
            involved = ("training", "features")
            faults.append(("training.slices", rule, repr(self.training.slices), involved))
        if self.training.window is None and self.training.records is None:
            object.__setattr__(self, "training", self.training.model_copy(update={"records": 2000}))
        if self.policy.approval and self.fleet.control != "stream":
            rule = "'stream', as policy.approval decides stream by stream"
            shown = repr(self.fleet.control)
            faults.append(("fleet.control", rule, shown, ("fleet", "policy")))
        if faults:
            raise MisfitError(*faults)
        return self

    @property
    def pattern(self) -> re.Pattern[str]:
        """`topics`, compiled."""
        return re.compile(self.topics)

    def matches(self, topic: str) -> bool:
        """Whether the profile is meant for `topic`."""
        return self.pattern.fullmatch(topic) is not None

    @property
    def hash(self) -> str:
        """Short digest of everything that a decision depends on besides records and commands."""
        exclude = {"topics", "silent_after"}
        if not self.fleet.waits:  # then it decides nothing
            exclude.add("fleet")
        dumped: dict[str, Any] = self.model_dump(mode="json", exclude=exclude)
        text = json.dumps(dumped, sort_keys=True)
        return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()
