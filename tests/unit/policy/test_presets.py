"""Each preset decides as its documentation says, on windows whose drift is known."""

from __future__ import annotations

import pickle
from typing import Any

import msgspec
import numpy as np
import pytest

from driftloop.criteria import describe
from driftloop.detection.outputs import Alarm, FeatureWindow, LossWindow
from driftloop.messages import Evidence, Ground, RetrainRequested
from driftloop.policy import StreamDecider, StreamTester, Tested, standing
from driftloop.settings import Features, Policy, Profile, parse_policy
from driftloop.statistics.combine import combine
from driftloop.statistics.levels import alpha_for_span
from driftloop.statistics.multiplicity import benjamini_hochberg, bonferroni, holm
from tests.streams import STREAM
from tests.unit.policy.windows import DAY, features, losses

N = 100
ALPHA = 3.0
LEVEL = alpha_for_span(ALPHA, 86_400)


@pytest.fixture(autouse=True)
def _small_reference(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(standing, "REFERENCE_ROWS", 2 * N)


class Stream:
    """A stream of days, each a window of features and scores and one of losses."""

    def __init__(self, policy: str | Policy, *, seed: int = 0, numeric: int = 2) -> None:
        if isinstance(policy, str):
            table = parse_policy(policy)
            policy = Policy(**{"min_records": 10, "outcome_timeout": "0s", **table})
        self.profile = Profile(
            policy=policy,
            features=Features(numeric=[f"n{j}" for j in range(numeric)], categorical=["k"]),
            window={"kind": "count", "records": N},
        )
        self.policy = policy
        self.tester = StreamTester(self.profile)
        self.decider = StreamDecider(STREAM, "p", self.profile)
        self.rng = np.random.default_rng(seed)
        self.day = -1
        self.tested: list[Tested] = []
        self.events: list[Any] = []

    def take(self, output: Any) -> str:
        """The decision that an output comes to; the tester is put away and taken up again."""
        self.tester = pickle.loads(pickle.dumps(self.tester))  # noqa: S301
        found = self.tester.test(output)
        events = self.decider.decide(found)
        self.events += events
        if isinstance(found, Tested):
            self.tested.append(found)
        return next((e.decision for e in events if isinstance(e, Evidence)), "")

    def featured(self, shift: float = 0.0, score: float = 0.0) -> str:
        """A day's window of features and scores."""
        x = self.rng.normal(size=(N, len(self.profile.features.numeric)))
        x[:, 0] += shift
        window: FeatureWindow = features(x, self.day)
        window.codes = self.rng.integers(0, 3, (N, 1))
        window.scores = self.rng.normal(score, 1.0, N)
        return self.take(window)

    def lost(self, rise: float = 0.0, saved: float = 0.0) -> str:
        """A day's window of losses."""
        values = self.rng.normal(5.0 + rise, 1.0, N)
        window: LossWindow = losses(values, values - self.rng.normal(saved, 0.3, N), self.day)
        window.labels = self.rng.normal(size=N)
        window.scores = window.labels + self.rng.normal(0.0, 1.0, N)
        return self.take(window)

    def next(
        self, *, shift: float = 0.0, score: float = 0.0, rise: float = 0.0, saved: float = 0.0
    ) -> str:
        """The decision on the losses of the next day."""
        self.day += 1
        self.featured(shift, score)
        return self.lost(rise, saved)

    def days(self, many: int, **drift: float) -> list[str]:
        """The decisions on the losses of many days."""
        return [self.next(**drift) for _ in range(many)]

    @property
    def requests(self) -> list[RetrainRequested]:
        return [event for event in self.events if isinstance(event, RetrainRequested)]


CALM = {"none"}
EVERYTHING = {"shift": 3.0, "score": 3.0, "rise": 3.0, "saved": 3.0}


def test_never_decides_nothing_whatever_comes() -> None:
    stream = Stream("never")
    assert set(stream.days(6, **EVERYTHING)) == CALM
    assert not stream.requests


def test_always_decides_at_each_window_of_losses() -> None:
    stream = Stream("always")
    assert stream.days(5) == ["retrain"] * 5
    assert [r.grounds[-1].family for r in stream.requests] == ["schedule"] * 5


def test_periodic_by_time_and_by_records_keep_their_step() -> None:
    found = Stream("periodic(3d)").days(9)  # a window ends 1 ms before its day does
    assert found == ["none", *["none", "none", "retrain"] * 2, "none", "none"]
    assert Stream("periodic(250)").days(9) == ["none", "none", "retrain"] * 3


@pytest.mark.parametrize(
    ("policy", "drift", "found"),
    [
        ("any", {"shift": 3.0}, True),
        ("any", {"score": 3.0}, True),
        ("any", {"rise": 3.0}, True),
        ("all", {"shift": 3.0, "score": 3.0}, False),
        ("all", {"shift": 3.0, "score": 3.0, "rise": 3.0}, True),
        ("vote(2)", {"shift": 3.0}, False),
        ("vote(2)", {"rise": 3.0}, False),
        ("vote(2)", {"shift": 3.0, "score": 3.0}, True),
        ("multi-criteria(2)", {"shift": 3.0, "score": 3.0}, False),
        ("multi-criteria(2)", {"shift": 3.0, "rise": 3.0}, True),
        ("multi-criteria(2)", {"rise": 3.0}, False),
        ("mlma", {"shift": 3.0, "score": 3.0, "saved": 3.0}, False),
        ("mlma", {"rise": 3.0}, True),
        ("reducible(test)", {"rise": 3.0, "shift": 3.0}, False),
        ("reducible(test)", {"saved": 1.0}, True),
        ("reducible(20)", {"rise": 3.0, "shift": 3.0}, False),
        ("reducible(20)", {"saved": 1.0}, True),
    ],
)
def test_a_preset_decides_on_what_it_reads(
    policy: str, drift: dict[str, float], *, found: bool
) -> None:
    call = policy if "(" in policy else f"{policy}()"
    comma = ", " if call[-2] != "(" else ""
    stream = Stream(f"{call[:-1]}{comma}alpha_per_year={ALPHA})")
    assert "retrain" not in stream.days(5)
    decisions = stream.days(2, **drift)
    assert ("retrain" in decisions) is found
    if found:
        (request, *_) = stream.requests
        assert request.policy == stream.policy.kind
        assert any(ground.rejected for ground in request.grounds)
        assert request.decided_at >= 5 * DAY


def test_multi_criteria_without_labels_asks_the_scores() -> None:
    for drift, found in [
        ({"shift": 3.0, "score": 3.0}, "retrain"),
        ({"shift": 3.0}, "watch"),
        ({}, "none"),
    ]:
        stream = Stream(f"multi-criteria(2, alpha_per_year={ALPHA})")
        for stream.day in range(4):
            assert stream.featured() == "none"
        stream.day = 4
        assert stream.featured(**drift) == found
        ground = stream.tested[-1].results[-1]
        assert (ground.criterion, ground.rejected) == ("multi-criteria", found == "retrain")


def test_features_no_longer_decide_once_a_version_has_losses() -> None:
    stream = Stream(f"any(alpha_per_year={ALPHA})")
    stream.days(4)
    stream.day += 1
    assert stream.featured(shift=3.0, score=3.0) == "watch"
    assert stream.lost() == "retrain"  # the standing verdict counts when losses close


def test_only_the_chosen_detector_decides_and_when_losses_close() -> None:
    stream = Stream("detector(page_hinkley)")
    stream.next()

    def alarm(name: str) -> Alarm:
        return Alarm(name, stream.day * DAY, f"{STREAM}:0:7:7", "v1", 2.5, "loss")

    stream.take(alarm("adwin"))
    assert stream.next() == "none"
    stream.take(alarm("page_hinkley"))
    assert not stream.requests
    assert stream.next() == "retrain"
    (ground,) = stream.requests[0].grounds
    assert (ground.criterion, ground.window, ground.rejected) == (
        "page_hinkley",
        [f"{STREAM}:0:7:7"],
        True,
    )
    assert stream.next() == "none"


def test_a_price_sets_the_cost_of_reducible_loss() -> None:
    """20 € a retrain at .1 € a unit of loss: 200 units, so some windows must save."""
    price = {"gpu_second": 2.0, "seconds": 10.0, "loss": 0.1}
    policy = Policy(price=price, cost=1.0, cost_loss=3.0, min_records=10, outcome_timeout="0s")  # type: ignore[arg-type]
    stream = Stream(policy)
    assert stream.days(4, saved=0.9) == ["none", "none", "retrain", "retrain"]
    (ground,) = [g for g in stream.requests[0].grounds if g.criterion == "reducible"]
    assert ground.threshold == pytest.approx(200.0)


# Floors, corrections, params


def test_a_significant_effect_below_its_floor_is_none() -> None:
    for floor, found in [(0.2, True), (0.9, False)]:
        stream = Stream(f'any(criteria=["ks > {floor}"], alpha_per_year={ALPHA})')
        stream.days(3)
        assert (stream.next(shift=1.5) == "retrain") is found
        first = next(g for g in stream.tested[-1].results if g.detail == "n0")
        assert first.p_value is not None
        assert first.p_value <= LEVEL
        assert 0.4 < first.effect < 0.9  # type: ignore[operator]
        assert first.rejected is found
        assert stream.tested[-1].p_value == (pytest.approx(first.p_value) if found else 1.0)


@pytest.mark.parametrize(("floor", "found"), [(0.5, True), (5.0, False)])
def test_the_losses_have_a_floor_too(floor: float, *, found: bool) -> None:
    stream = Stream(f'any(criteria=["loss > {floor}"], alpha_per_year={ALPHA})')
    stream.days(3)
    assert (stream.next(rise=2.0) == "retrain") is found
    grounds = [g for g in stream.tested[-1].results if g.criterion.startswith("mlma")]
    assert [g.rejected for g in grounds] == [found, found]
    assert all(g.p_value is not None and g.p_value < LEVEL / 2 for g in grounds)
    assert (stream.tested[-1].p_value == 1.0) is not found


@pytest.mark.parametrize(("params", "found"), [("{}", True), ("{tolerance=4.0}", False)])
def test_params_of_the_criterion_loss_count(params: str, *, found: bool) -> None:
    stream = Stream(f'any(criteria=[{{name="loss", params={params}}}], alpha_per_year={ALPHA})')
    stream.days(3)
    assert (stream.next(rise=2.0) == "retrain") is found


@pytest.mark.parametrize(
    ("correction", "adjust"),
    [("holm", holm), ("bonferroni", bonferroni), ("bh", benjamini_hochberg)],
)
def test_the_features_of_one_criterion_are_corrected(correction: str, adjust: Any) -> None:
    plain, corrected = (
        Stream(f'any(criteria=["welch"], correction={correction})', numeric=numeric)
        for numeric in (1, 6)
    )
    for stream in (plain, corrected):
        stream.days(4)
    raw = []
    window = corrected.tested[-2].window
    assert isinstance(window, FeatureWindow)
    panel = corrected.tester._panel  # its reference, for the same test by itself
    from driftloop.statistics.univariate import compare_columns  # noqa: PLC0415

    raw = compare_columns(window.x, panel._features.x, ("welch",))["welch"].p_value  # type: ignore[union-attr,arg-type]
    shown = [g.p_value for g in corrected.tested[-2].results if g.criterion == "welch"]
    np.testing.assert_allclose(shown, adjust(raw))
    assert corrected.tested[-1].p_value == pytest.approx(min(shown))  # type: ignore[type-var]


def test_an_effect_alone_is_a_condition_of_the_whole_policy() -> None:
    for floor, found in [(0.5, "retrain"), (50.0, "none")]:
        stream = Stream(f'any(criteria=["loss", "psi > {floor}"], alpha_per_year={ALPHA})')
        stream.days(3)
        assert stream.next(rise=3.0) == "none"  # the features have not moved
        assert stream.next(rise=3.0, shift=3.0) == found


# Grounds


def recomputed(policy: Policy, grounds: list[Ground]) -> float:
    """The vote's p-value from nothing but the grounds that travel and the policy."""
    p_values = []
    for one in policy.criteria:
        known = describe(one.name)
        assert known is not None
        if not known.calibrated:
            continue
        if one.name == "loss":
            own = [g for g in grounds if g.criterion.startswith("mlma-")]
            scale = len(own)
        else:
            own = [g for g in grounds if g.criterion == one.name]
            scale = 1  # corrected already
        over = [g for g in own if one.effect is None or abs(g.effect or 0.0) >= one.effect]
        if any(g.p_value is not None for g in own):
            found = [min(1.0, scale * g.p_value) for g in over if g.p_value is not None]
            p_values.append(min(found, default=1.0))
    rule = policy.combine.replace("-", "_")
    r = policy.required_votes if rule == "partial_conjunction" else None
    return combine(rule, p_values, r=r)


@pytest.mark.parametrize("kind", ["any", "all", "vote", "multi-criteria"])
@pytest.mark.parametrize("rule", ["partial-conjunction", "cauchy", "fisher"])
def test_the_decision_follows_from_the_grounds_that_travel(kind: Any, rule: Any) -> None:
    criteria = ["ks > 0.15", "chi-square", "missing-rate", "score-ks", "calibration", "e-process",
                "loss", "cohens-d > 0.01"]  # fmt: skip
    policy = Policy(kind=kind, criteria=criteria, combine=rule, min_records=10, alpha_per_year=50)  # type: ignore[arg-type]
    stream = Stream(policy)
    stream.days(4)
    stream.days(3, shift=1.0, score=0.5, rise=0.5)
    stream.next(**EVERYTHING)
    seen = 0
    for one in stream.tested:
        if one.kind != "loss" or one.p_value is None:
            continue
        (ground,) = [g for g in one.results if g.family == "policy"]
        back = msgspec.json.decode(msgspec.json.encode(one.results), type=list[Ground])
        assert recomputed(policy, back) == pytest.approx(one.p_value, rel=1e-12)
        assert ground.p_value == one.p_value
        assert ground.rejected == one.retrain
        assert one.retrain <= (one.p_value <= ground.threshold)  # type: ignore[operator]
        assert all(g.window for g in one.results)
        seen += 1
    assert seen >= 6
    for request in stream.requests:
        assert len(request.grounds) >= 10
        assert [g for g in request.grounds if g.family == "policy" and g.rejected]


@pytest.mark.parametrize(
    "policy", ["mlma", "multi-criteria(2)", "reducible(20)", "detector(adwin)"]
)
def test_a_stream_that_is_put_away_between_any_two_windows_decides_alike(policy: str) -> None:
    """`Stream.take` pickles before each output; here one that never does."""
    once, never = Stream(policy), Stream(policy)
    never.take = lambda output: _unpickled(never, output)  # type: ignore[method-assign]
    for stream in (once, never):
        stream.days(3)
        stream.days(3, **EVERYTHING)
    assert [msgspec.json.encode(e) for e in once.events] == [
        msgspec.json.encode(e) for e in never.events
    ]


def _unpickled(stream: Stream, output: Any) -> str:
    found = stream.tester.test(output)
    stream.events += stream.decider.decide(found)
    return ""
