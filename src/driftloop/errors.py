"""Every error that Driftloop raises on purpose.

::

    DriftloopError
    ├── SettingsError              configuration; lists every fault at once
    ├── MessageError               an event that does not fit its contract
    ├── RecoveryError              a recovery folder that this set-up cannot resume from
    ├── KafkaError
    │   ├── KafkaUnavailableError  no broker answers, or none can be started
    │   ├── DeliveryError          a message was not acknowledged
    │   └── OffsetsExpiredError    a named offset range is no longer in the topic
    ├── StoreError
    │   ├── StoreUnavailableError  it does not answer, or its root is away
    │   ├── ArtifactNotFoundError
    │   └── ArtifactCorruptedError its bytes do not match the sha256 that was published
    ├── ReplayError                a dead letter that is not sent again; says why
    ├── TrainingError              a request that cannot be trained; carries a reason code
    ├── PluginError                a model plug-in that is missing, or broke its contract
    └── DataError                  data of a backtest that cannot be read: file, line, column

A message gives the rule, the value and the place, and what to do where a person must act.
A bad *record* is no exception: it is a `driftloop.records.DeadLetter`, and the stream goes on.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any


class DriftloopError(Exception):
    """Base of all errors that Driftloop raises on purpose."""


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault of a configuration.

    Attributes:
        place: Dotted key, as in ``profiles.flights.window.records``.
        value: The offending value as text; ``<hidden>`` for secrets.
        rule: What is accepted.
        hint: What was probably meant, or an empty string.
    """

    place: str
    value: str
    rule: str
    hint: str = ""

    @property
    def of_option(self) -> bool:
        """Whether it is about what a command was given, as ``--why`` or ``STREAM``."""
        return self.place.startswith("--") or (self.place.isalpha() and self.place.isupper())

    def __str__(self) -> str:
        text = f"{self.place}: {self.rule}, got {self.value}"
        return f"{text} ({self.hint})" if self.hint else text


class SettingsError(DriftloopError):
    """The configuration has faults.

    Attributes:
        faults: Every fault that was found, in the order of the file.
        source: The file they were found in, or an empty string.
    """

    def __init__(self, faults: Sequence[Fault] | str, source: str = "") -> None:
        if isinstance(faults, str):
            faults = [Fault(source or "settings", "it as given", faults)]
        self.faults = list(faults)
        self.source = source
        count = "1 fault" if len(self.faults) == 1 else f"{len(self.faults)} faults"
        head = f"{count} in {source or 'the settings'}:"
        if not source and all(one.of_option for one in self.faults):
            if len(self.faults) == 1:
                super().__init__(str(self.faults[0]))
                return
            head = f"{count}:"
        super().__init__("\n".join([head, *(f"  {fault}" for fault in self.faults)]))


class MessageError(DriftloopError):
    """An event on a Driftloop topic does not fit its contract."""


class RecoveryError(DriftloopError):
    """The recovery folder was made by a set-up that this one cannot resume."""


class KafkaError(DriftloopError):
    """Something about Kafka."""


class KafkaUnavailableError(KafkaError):
    """No broker answers, or none can be started here."""


class DeliveryError(KafkaError):
    """At least one produced message was not acknowledged."""


class OffsetsExpiredError(KafkaError):
    """A named offset range is no longer (or not yet) in its topic."""


class StoreError(DriftloopError):
    """The model store refused a read or a write."""


class StoreUnavailableError(StoreError):
    """The store does not answer, or its root is not there; it may be again, so try again."""


class ArtifactNotFoundError(StoreError):
    """No artifact lies at the URI."""


class ArtifactCorruptedError(StoreError):
    """The artifact's bytes do not match its published sha256, or do not parse."""


class ReplayError(DriftloopError):
    """A dead letter cannot be sent to its topic again."""


class TrainingError(DriftloopError):
    """A retrain request that cannot be trained.

    Attributes:
        reason: A short code, as it stands in ``TrainingFinished.reason``.
    """

    def __init__(self, reason: str, detail: str) -> None:
        self.reason = reason
        super().__init__(detail)


class PluginError(DriftloopError):
    """A model plug-in is not installed here, or broke its contract."""


class DataError(DriftloopError):
    """Data of a backtest that cannot be read.

    Attributes:
        file: File or topic; empty where the fault is in how the data were named.
        line: Line of a text file, from 1; record of a Parquet file, from 1; or None.
        column: Column, or an empty string.
        rule: What is accepted, and what was found.
    """

    def __init__(
        self,
        rule: str,
        *,
        file: str = "",
        line: int | None = None,
        column: str = "",
        unit: str = "line",
    ) -> None:
        self.rule, self.file, self.line, self.column, self.unit = rule, file, line, column, unit
        place = [file] if file else []
        place += [f"{unit} {line}"] if line is not None else []
        place += [f"column '{column}'"] if column else []
        super().__init__(f"{', '.join(place)}: {rule}" if place else rule)

    def __reduce__(self) -> tuple[Any, ...]:
        """Crosses processes whole: a backtest reads its streams in several."""
        rest = (self.file, self.line, self.column, self.unit)
        return _data_error, (self.rule, *rest)


def _data_error(rule: str, file: str, line: int | None, column: str, unit: str) -> DataError:
    return DataError(rule, file=file, line=line, column=column, unit=unit)
