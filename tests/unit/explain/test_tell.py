"""An explanation is told in words, in a terminal, on a page and as JSON."""

from __future__ import annotations

import dataclasses
import json
import re
from io import StringIO
from typing import Any

import msgspec
import pytest
from rich.console import Console

from driftloop.errors import DriftloopError
from driftloop.explain import Explanation, words
from driftloop.explain.compose import find_event, tell
from driftloop.explain.criteria_words import criteria_found
from driftloop.explain.fleet import incident_rule
from driftloop.explain.model import Shift, Side
from driftloop.explain.page import body, render_page, style
from driftloop.explain.policy_words import policy_words
from driftloop.explain.shift import column_shifts
from driftloop.explain.story import fleet_then, trained, worth
from driftloop.explain.target import belongs
from driftloop.explain.terminal import print_explanation
from driftloop.explain.trail import Noted, Trail
from driftloop.messages import (
    Command,
    Cost,
    Event,
    FleetIncident,
    Ground,
    RetrainJudged,
    RetrainRequested,
    TrainingFinished,
    VersionOrdered,
)
from driftloop.policy.cost import RetrainCost
from driftloop.records import RecordDecoder
from driftloop.settings import Fleet, Policy
from tests.html import Balance
from tests.unit.explain.runs import NAME, START_MS, STREAM, Run, messages, profile_of
from tests.unit.explain.test_check import POLICIES


def _outcome(request: RetrainRequested) -> TrainingFinished:
    return TrainingFinished(
        id=f"finished-{request.id}",
        stream=STREAM,
        profile=NAME,
        request_id=request.id,
        outcome="published",
        version="v2",
        champion={"loss": 4.0, "records": 50.0},
        challenger={"loss": 1.0, "records": 50.0, "baseline": 9.0},
        cost=Cost(seconds=0.25, records=200, device="cpu"),
        finished_at=START_MS,
    )


def _judged(request: RetrainRequested, verdict: Any, **more: Any) -> RetrainJudged:
    given = {"records": 200, "saved": 1.5, "low": 1.0, "high": 2.0, "level": 0.99, "cost": 0.5}
    return RetrainJudged(
        id=f"judged-{request.id}", stream=STREAM, profile=NAME, request_id=request.id,
        version="v2", parent_version="v1", verdict=verdict, seconds=0.25, device="cpu",
        judged_at=START_MS, **{**given, **more},
    )  # fmt: skip


@pytest.fixture(scope="module")
def told() -> Explanation:
    """A retrain that was worth it, of a stream whose category has a name in angle brackets."""
    profile = profile_of()
    values = [one.replace(b'"w"', b'"<w & x>"') for one in messages(versions=(0, 400))]
    run = Run(profile, values).play()
    request = run.requests[0]
    trail = run.trail
    trail.noted += [Noted(_outcome(request), 1), Noted(_judged(request, "better"), 2)]
    check, attempt = run.check(request, trail=trail)
    decoder = RecordDecoder(profile)
    window, _ = decoder.decode(STREAM, 0, values[300:500], range(200), [START_MS] * 200)
    reference, _ = decoder.decode(STREAM, 0, values[:200], range(200), [START_MS] * 200)
    sides = Side(200, (), 1.0, 5.0, 0.1), Side(200, (), 4.0, 5.0, 1.1)
    shift = Shift(*sides, tuple(column_shifts(window, reference, profile)), ("It rose.",))
    return tell(belongs(request, trail), trail, NAME, profile, check, attempt, shift)


def test_words_answer_why_what_and_whether(told: Explanation) -> None:
    text = "\n".join(words(told))
    for part in (
        "comes out the same",
        "v2 was worth it",
        "A newer model would have saved",
        "Training published v2.",
        "Gate: mean squared error of the challenger 1, of the champion 4 on 50 held-out records",
        "saved 1.5 of mean squared error a record (99% interval 1 to 2)",
        "In its first windows v2 has",
        "No other stream did",
    ):
        assert part in text


def test_it_is_json_and_does_not_change(told: Explanation) -> None:
    document = json.loads(json.dumps(dataclasses.asdict(told), allow_nan=False))
    assert document["check"]["recomputed_id"] == document["id"]
    assert [one["asked"] for one in document["windows"]].count(True) == 1
    with pytest.raises(dataclasses.FrozenInstanceError):
        told.id = ""  # type: ignore[misc]


@pytest.mark.parametrize("width", [60, 110, None])
def test_the_terminal_shows_it_at_any_width(told: Explanation, width: int | None) -> None:
    out = StringIO()
    console = Console(file=out, width=width or 80, force_terminal=width is not None)
    print_explanation(console, told)
    text = re.sub(r"\x1b\[[0-9;]*m", "", out.getvalue())
    assert max(map(len, text.splitlines())) <= (width or 160)
    for part in ("It comes out the same", "▲", "Was it worth it", "reducible", "<w & x>"):
        assert part in text
    assert ("\x1b" in out.getvalue()) == (width is not None)


def test_the_page_is_whole_escaped_and_alone(told: Explanation) -> None:
    page = render_page(told)
    Balance().feed(page)
    assert body(told) in page
    assert "<html" not in body(told)
    assert "&lt;w &amp; x&gt;" in page
    assert "<w & x>" not in page
    assert not re.search(r"<script|<link|@import|url\(|https?://(?!www\.w3\.org/2000/svg)", page)
    assert "style=" not in body(told)  # as a strict policy for content wants it
    rules = re.sub(r"@media[^{]*\{", "", style())
    selectors = re.findall(r"(?:^|[{}])\s*([^{}]+?)\s*\{", rules)
    assert selectors
    assert all(
        part.strip().startswith(".explain") for rule in selectors for part in rule.split(",")
    )


@pytest.mark.parametrize("policy", [*POLICIES.values(), {"kind": "never"}])
def test_every_policy_is_told_in_words(policy: dict[str, Any]) -> None:
    lines = policy_words(profile_of(policy=policy))
    assert any(line.startswith(f"Policy {policy['kind']}: ") for line in lines)
    assert lines[-1].startswith("Promise: ")
    cycle = {"kind": "cycle", "length": "1d", "lateness": "1h"}
    fleet = {"control": "bh", "budget": 5, "during_incident": "hold"}
    text = " ".join(policy_words(profile_of(policy=policy, window=cycle, fleet=fleet)))
    for part in ("A window is 1d of event time", "bh at fdr", "At most 5 retrains a day", "wait"):
        assert part in text


def test_a_measured_cost_is_told_with_the_seconds_that_it_rests_on() -> None:
    price = {"gpu_second": 2.0, "seconds": 5.0, "loss": 1.0, "measured": True}
    policy = Policy(price=price)
    line = next(one for one in policy_words(profile_of(policy=policy)) if "cost of" in one)
    assert "10 in units of loss for the 5 s of training that are expected" in line
    cost = RetrainCost(policy)
    ground = Ground(
        criterion="reducible", family="loss", statistic=12.0, effect=0.5, threshold=cost.in_loss,
        detail=f"accumulate: mean loss saved a record is the effect; {cost.words}", rejected=True,
    )  # fmt: skip
    (found,) = criteria_found([ground], "absolute")
    assert found.told.endswith("a retrain costs, 10, as one takes 5 s (the 5 s expected).")


def test_criteria_for_drift_come_first_then_by_effect() -> None:
    grounds = [
        Ground(criterion="ks", family="features", effect=0.9, p_value=0.5, detail="a"),
        Ground(criterion="ks", family="features", effect=0.2, p_value=0.001, rejected=True),
        Ground(criterion="psi", family="features", effect=0.4, rejected=True, detail="b"),
        Ground(criterion="budget", family="fleet"),
        Ground(criterion="ks", family="features", detail="c: fewer than 8 values"),
    ]
    found = criteria_found(grounds, "absolute")
    assert [(one.criterion, one.rejected) for one in found] == [
        ("psi", True), ("ks", True), ("ks", False), ("ks", False)
    ]  # fmt: skip
    assert all(one.told.endswith(".") for one in found)
    assert "no verdict" in found[-1].told


def _request(**more: Any) -> RetrainRequested:
    given: dict[str, Any] = {
        "id": "r1", "stream": STREAM, "profile": NAME, "profile_hash": "h", "reason": "policy",
        "policy": "mlma", "grounds": [], "data": [], "current_version": "v1",
        "decided_at": START_MS,
    }  # fmt: skip
    return RetrainRequested(**{**given, **more})


def _trail(*events: Event) -> Trail:
    noted = [Noted(one, i) for i, one in enumerate(events)]
    kinds = RetrainRequested | FleetIncident
    return Trail(noted, {}, [one for one in noted if isinstance(one.event, kinds)])


def test_a_rollback_and_a_dismissal_are_told() -> None:
    request = _request()
    order = VersionOrdered(
        id="o", stream=STREAM, profile=NAME, action="rollback", version="v1", against="v2",
        request_id="r1", reason="live-losses", detail="v2 is worse", decided_at=START_MS,
    )  # fmt: skip
    dismissed = Command(
        id="c", stream=STREAM, action="dismiss", who="ada", why="a holiday", issued_at=0,
        request_id="r1",
    )  # fmt: skip
    trail = _trail(request, _outcome(request), _judged(request, "worse"), order, dismissed)
    training = trained(trail, request, "absolute")
    value = worth(trail, request, training, [], "absolute")
    assert (value.verdict, value.rolled_back, value.dismissed) == ("worse", True, True)
    text = " ".join(value.told)
    for part in ("It was not worth it", "taken back: v2 is worse", "by ada: a holiday"):
        assert part in text
    # The outcome of the rollback names the order, and belongs to the same decision.
    back = msgspec.structs.replace(_outcome(request), id="f2", request_id="o")
    assert belongs(back, _trail(request, order, back)).request == request


@pytest.mark.parametrize(("low", "told"), [(1.0, True), (-1.0, False)])
def test_an_interval_that_leaves_out_0_is_told_beside_an_open_verdict(
    low: float,
    told: bool,  # noqa: FBT001
) -> None:
    request = _request()
    trail = _trail(request, _outcome(request), _judged(request, "undecided", low=low))
    text = " ".join(worth(trail, request, trained(trail, request, "log"), [], "absolute").told)
    assert "Not proven either way" in text
    assert ("leaves out 0" in text) is told


def test_what_is_not_known_yet_is_told() -> None:
    request = _request()
    trail = _trail(request)
    training = trained(trail, request, "absolute")
    assert training.outcome == "waiting"
    assert "no trainer runs" in training.told[0]
    assert worth(trail, request, training, [], "absolute").verdict == "unknown"


def test_why_there_is_no_verdict_is_told() -> None:
    request = _request()
    trail = _trail(request, _outcome(request))
    training = trained(trail, request, "absolute")

    def told(of: RetrainRequested, *, watched: bool = True) -> str:
        return worth(trail, of, training, [], "absolute", watched=watched).told[-1]

    assert f"its trial against {request.current_version} goes on" in told(request)
    assert "training.watch is off" in told(request, watched=False)
    first = msgspec.structs.replace(request, current_version=None)
    assert "the stream's first model" in told(first)


def _incident(**more: Any) -> FleetIncident:
    given: dict[str, Any] = {
        "id": "i", "profile": NAME, "action": "opened", "opened_at": START_MS - 1000,
        "moved": 9, "observed": 12, "share": 0.75, "p_value": 1e-4, "detail": "9 of 12 streams",
    }  # fmt: skip
    return FleetIncident(**{**given, **more})


def test_the_fleet_at_the_time_is_counted() -> None:
    day = 86_400_000
    others = [
        _request(id=f"r{i}", stream=f"streams.{i}", decided_at=START_MS + offset)
        for i, offset in enumerate([0, 60_000, 3 * day])
    ]
    profile = profile_of(fleet={"tick": "1h"})
    found = fleet_then(_trail(_request(), *others, _incident()), STREAM, NAME, profile, START_MS)
    assert (found.requests_tick, found.requests_day, found.streams) == (3, 3, 4)
    assert found.incident_id == "i"
    closed = _incident(id="j", action="closed", closed_at=START_MS - 10)
    found = fleet_then(_trail(_request(), _incident(), closed), STREAM, NAME, profile, START_MS)
    assert found.incident_id is None
    assert "No other stream did" in " ".join(found.told)


@pytest.mark.parametrize(
    ("changes", "holds"),
    [({}, True), ({"p_value": 0.5}, False), ({"share": 0.2}, False), ({"action": "closed"}, False)],
)
def test_an_incident_follows_from_its_numbers(changes: dict[str, Any], holds: bool) -> None:  # noqa: FBT001
    assert incident_rule(_incident(**changes), Fleet()).holds == holds


class _Known:
    """Events by their ids, as read from the topics."""

    def __init__(self, *events: Event) -> None:
        self.events = events

    def find(self, prefix: str) -> list[Event]:
        return [one for one in self.events if one.id.startswith(prefix)]

    def near(self, prefix: str) -> list[str]:
        return [one.id for one in self.events if one.id[:3] == prefix[:3]]


def test_a_retrain_request_comes_before_all_other_events_of_its_prefix() -> None:
    request = _request(id="abcdef0123")
    known: Any = _Known(
        _outcome(request), msgspec.structs.replace(_outcome(request), id="abcdef0199"), request
    )
    assert find_event(known, "abcdef01") == request
    assert find_event(known, "abcdef0199").id == "abcdef0199"
    with pytest.raises(DriftloopError, match="near: abcdef0199, abcdef0123"):
        find_event(known, "abcxyzxyz")
    with pytest.raises(DriftloopError, match="at least its first 8 digits"):
        find_event(known, "abc")
