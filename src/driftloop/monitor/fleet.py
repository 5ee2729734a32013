"""Step *fleet*: what is decided over all streams of a profile; keyed by the profile.

What a stream decides alone does not come here: with a fleet of default settings this step sees a
small item a closed window and a few clock marks a day, and tells of incidents.
"""

from __future__ import annotations

from typing import Any

import structlog

from driftloop.messages import Event, FleetIncident
from driftloop.monitor import metrics
from driftloop.monitor.decide import log_requests
from driftloop.monitor.items import ForFleet
from driftloop.monitor.stateful import StreamLogic
from driftloop.policy import FleetDecider
from driftloop.settings import Profile

_log = structlog.get_logger(__name__)

Decided = tuple[str, Event | ForFleet]


class FleetLogic(StreamLogic):
    """One profile's `FleetDecider`.

    An unexpected error begins the fleet anew: what was held is then asked for again by its streams.
    """

    step = "fleet"

    def make(self, item: ForFleet) -> FleetDecider:
        """A fleet that nothing is known of."""
        return FleetDecider(item.name.profile, self.settings.profiles[item.name.profile])

    def hash_of(self, profile: Profile) -> str:
        """The fleet's own settings count, also those that no stream's decision rests on."""
        return f"{profile.hash}-{profile.fleet.model_dump_json()}"

    def handle(self, state: FleetDecider, item: ForFleet) -> tuple[list[Any], bool]:
        """Decide, and log the few decisions that matter."""
        events = state.take(item.item)
        log_requests(events)
        metrics.OPEN_INCIDENT.labels(item.name.profile).set(state.in_incident)
        for event in events:
            if isinstance(event, FleetIncident):
                metrics.INCIDENTS.labels(event.action).inc()
                _log.warning(
                    "monitor.incident",
                    action=event.action,
                    profile=event.profile,
                    event_id=event.id,
                    moved=event.moved,
                    observed=event.observed,
                    detail=event.detail,
                )
        return list(events), False


def is_for_fleet(decided: Decided) -> bool:
    """Whether what a stream put out goes to its fleet."""
    return isinstance(decided[1], ForFleet)


def by_profile(decided: Decided) -> tuple[str, ForFleet]:
    """News for a fleet, keyed by its profile."""
    item = decided[1]
    assert isinstance(item, ForFleet)  # noqa: S101  # for the type checker
    return item.name.profile, item
