"""The first page: who needs a person, then the key metrics of all streams."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import NamedTuple

import msgspec
from fastapi import APIRouter, Request
from fastapi.responses import Response

from driftloop.dashboard.context import Context, Shared
from driftloop.dashboard.plots import OUTCOME_TONES, STATE_TONES, bars, shares
from driftloop.dashboard.words import NEEDS, times
from driftloop.messages import EVENT_TYPES
from driftloop.messages.sentences import told
from driftloop.policy.promise import promise
from driftloop.readmodel.rows import EventRow, Fleet, PartRow
from driftloop.readmodel.trends import ledger, retrains_over_time, seconds_since, sparks

router = APIRouter()

LISTED = 8


class Seconds(NamedTuple):
    """Training of the UTC day of a profile, against what is allowed; None: no bound."""

    profile: str
    spent: float
    allowed: float | None


@router.get("/")
def fleet(request: Request, shared: Shared) -> Response:
    """All streams at a glance."""
    if not shared.live.ready:
        return shared.page(request, "building.html")
    found = shared.memo("fleet", shared.queries.fleet)
    needy = shared.queries.streams(need="any", limit=LISTED)
    incidents = shared.queries.incidents(open_only=True, limit=5)
    over_time = shared.memo("retrains", lambda: retrains_over_time(shared.model))
    label = "Retrains over event time, by outcome"
    return shared.page(
        request,
        "fleet.html",
        fleet=found,
        needy=needy,
        needs={name: found.needs[name] for name in NEEDS if found.needs.get(name)},
        incidents=incidents,
        lines=sparks(shared.model, [one.stream for one in needy.rows]),
        state_bar=shares(found.states, STATE_TONES, _told(found.states)),
        outcome_bar=shares(found.outcomes, OUTCOME_TONES, _told(found.outcomes)),
        ledger=shared.memo("ledger", lambda: ledger(shared.model)),
        budgets=shared.queries.budgets(),
        trained=shared.memo("trained", lambda: _trained(shared)),
        parts=(parts := _parts(shared.queries.parts())),
        unwatched=bool(found.streams) and not any(_runs(one, "monitor") for one in parts),
        promises=_promises(shared, found),
        bars=over_time,
        bars_wide=over_time and bars(over_time, width=1100, height=150, label=label),
        bars_narrow=over_time and bars(over_time, width=380, height=150, label=label),
        events=shared.memo("events", lambda: _events(shared)),
    )


def _events(shared: Context) -> list[tuple[EventRow, int | None, str]]:
    """The newest events, each with its event time, where it has one, and what it says."""
    found = []
    for row in shared.queries.events(limit=10):
        try:
            at, _, text = told(msgspec.json.decode(row.body, type=EVENT_TYPES[row.type]))
        except (KeyError, msgspec.ValidationError):  # kept by a release that knew other fields
            at, text = row.at, ""
        found.append((row, at, text))
    return found


def _told(counts: dict[str, int]) -> str:
    return ", ".join(f"{name} {count}" for name, count in counts.items()) or "nothing yet"


def _runs(one: PartRow, part: str) -> bool:
    return one.part == part and one.state in {"ready", "not-ready"}


def _parts(rows: list[PartRow]) -> list[PartRow]:
    """Processes to show: of those that ended, the newest of a part of which none runs."""
    shown = [one for one in rows if one.state != "stopped"]
    running = {one.part for one in shown if _runs(one, one.part)}
    ended: dict[str, PartRow] = {}
    for one in sorted(rows, key=lambda row: row.reported_at):
        if one.state == "stopped" and one.part not in running:
            ended[one.part] = one
    return sorted([*shown, *ended.values()], key=lambda row: (row.part, row.instance))


def _trained(shared: Context) -> list[Seconds]:
    midnight = datetime.fromtimestamp(time.time(), tz=UTC).replace(
        hour=0, minute=0, second=0, microsecond=0
    )
    spent = seconds_since(shared.model, round(midnight.timestamp() * 1000))
    budget = shared.settings.trainer.budget
    return [
        Seconds(name, spent.get(name, 0.0), budget.profiles.get(name, budget.seconds_per_day))
        for name in shared.settings.profiles
    ]


def _promises(shared: Context, found: Fleet) -> list[str]:
    """What the policies promise of needless retrains, in words, each profile's."""
    if found.promised is not None:
        over = f"over {found.stream_years:,.1f} stream-years watched"
        return [f"at most {found.promised:,.3g} promised {over}"]
    lines = []
    for name, profile in shared.settings.profiles.items():
        told = promise(profile.policy, profile.fleet).split(";")[0]
        lines.append(told if len(shared.settings.profiles) == 1 else f"{name}: {told}")
    return (
        lines if len(lines) <= 3 else [times(len(lines), "profile") + " with promises of their own"]
    )
