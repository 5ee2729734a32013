"""What paces the retrains of one stream: the last request, its outcome, and the schedule."""

from __future__ import annotations

import numpy as np

from driftloop.detection.outputs import Closed, FeatureWindow, LossWindow
from driftloop.messages import Ground
from driftloop.settings import Policy
from driftloop.settings.base import milliseconds


class Pace:
    """Requests of one stream, and what was seen since.

    Attributes:
        last: Event time of the last request, or of a decision that was rejected; None before.
        in_flight: Id of the request that has neither an outcome nor a new version yet, or None.
        count: Requests so far.
        losses_of_version: Losses seen of the current version.
        rows_of_version: Records with features seen of it, labelled or not.
    """

    def __init__(self, policy: Policy) -> None:
        self.policy = policy
        self.last: int | None = None
        self.in_flight: str | None = None
        self._own: str | None = None
        self._on_trial: str | None = None
        self.count = 0
        self.losses_of_version = 0
        self.rows_of_version = 0
        self._losses_since = 0
        self._version_since: int | None = None

    def see(self, window: Closed) -> None:
        """Count the window's records."""
        if isinstance(window, FeatureWindow):
            self.rows_of_version += len(window.x)
        if not isinstance(window, LossWindow):
            return
        losses = int((~np.isnan(window.losses)).sum())
        self.losses_of_version += losses
        self._losses_since += losses
        if self._version_since is None:
            self._version_since = window.opened_at

    def requested(self, identity: str, at: int) -> None:
        """A request went out, and is in flight."""
        self.in_flight = self._own = identity
        self.count += 1
        self.rest(at)

    def sent_by_fleet(self, at: int) -> None:
        """An outcome came of a request that the fleet sent: its first sign here."""
        self.count += 1
        self.rest(at)

    def rest(self, at: int) -> None:
        """Cool-down and schedule begin anew."""
        self.last = at if self.last is None else max(self.last, at)
        self._losses_since = 0

    def on_trial(self, request_id: str) -> None:
        """The request led to a candidate, which live records judge now."""
        self._on_trial = request_id

    def settle(self, request_id: str) -> bool:
        """A request has its outcome; whether the stream itself sent it, as its newest."""
        if request_id == self.in_flight:
            self.in_flight = None
        return request_id == self._own

    def new_version(self, at: int | None) -> None:
        """Losses are those of another version from here on."""
        self.in_flight = None
        self.losses_of_version = 0
        self.rows_of_version = 0
        self._version_since = at

    def begin_anew(self) -> None:
        """The current version's losses count from here on; what is in flight stays."""
        self.losses_of_version = 0
        self.rows_of_version = 0

    def warm(self, window: Closed | None = None) -> bool:
        """Whether enough of the current version was seen.

        What is decided on losses needs losses; on features alone, records with features.
        """
        featured = isinstance(window, FeatureWindow)
        seen = self.rows_of_version if featured else self.losses_of_version
        return seen >= self.policy.min_records

    def waiting(self, now: int) -> bool:
        """The last request has neither an outcome nor a new version, and is not given up yet."""
        if self.in_flight is None or self.last is None:
            return False
        if self.in_flight == self._on_trial:  # a trial has a patience of its own
            return True
        return now - self.last <= milliseconds(self.policy.outcome_timeout)

    def cooling(self, now: int) -> bool:
        """No second request until the cool-down is over; at least one window lies between two."""
        if self.last is None:
            return False
        return now - self.last <= milliseconds(self.policy.cooldown)

    def scheduled(self, window: Closed) -> Ground | None:
        """The ground of a retrain that is due whatever the losses are, or None."""
        policy = self.policy
        if not isinstance(window, LossWindow):
            return None
        if policy.kind == "always":
            return self._ground(window, None, None, "at every closed window")
        if policy.kind != "periodic":
            return None
        if policy.every_records is not None:
            seen, due = self._losses_since, policy.every_records
            if seen < due:
                return None
            return self._ground(window, seen, due, "labelled records since the last request")
        if policy.every is None:
            return None
        passed = window.closed_at - max(self.last or 0, self._version_since or 0)
        due = milliseconds(policy.every)
        if passed < due:
            return None
        return self._ground(window, passed, due, "ms since the last request or version")

    def _ground(
        self, window: LossWindow, statistic: int | None, threshold: int | None, detail: str
    ) -> Ground:
        return Ground(
            criterion=self.policy.kind,
            family="schedule",
            statistic=statistic,
            threshold=threshold,
            rejected=True,
            n=len(window.losses),
            window=window.ranges,
            detail=detail,
        )
