"""The tables say what the events said, whatever their order, and each event counts once."""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from driftloop.messages import (
    Command,
    CommandAnswered,
    Evidence,
    FleetIncident,
    Ground,
    ModelPublished,
    RetrainJudged,
    RetrainRequested,
    StreamStatus,
    TrainingFinished,
)
from driftloop.readmodel import SORTS, Queries, ReadModel
from driftloop.readmodel.apply import KEPT, STATUS, Where
from driftloop.readmodel.need import NAMES
from driftloop.readmodel.queries import YEAR_MS
from driftloop.readmodel.rows import StreamRow
from driftloop.settings import Policy, Profile, Settings
from tests.readmodel import DAY, START, fill, make, new_model


@pytest.fixture
def model(tmp_path: Path) -> Iterator[ReadModel]:
    """An empty one."""
    found = new_model(tmp_path)
    yield found
    found.close()


@pytest.fixture
def ask(model: ReadModel) -> Queries:
    """Its answers, where the profile promises one needless retrain in ten stream-years."""
    profile = Profile(policy=Policy(kind="mlma", alpha_per_year=0.1))
    return Queries(model, Settings(profiles={"default": profile}))


def _need(ask: Queries, stream: str = "streams.a") -> tuple[int, str]:
    row = ask.stream(stream)
    assert row is not None
    return row.need, row.need_why


def test_a_status_is_the_streams_row(model: ReadModel, ask: Queries) -> None:
    fill(model, [make(StreamStatus, records=5, detail="first")])
    fill(model, [make(StreamStatus, records=9, loss=0.5, state="watched")], first=1, told_at=7)
    row = ask.stream("streams.a")
    assert row is not None
    assert (row.records, row.loss, row.state, row.detail) == (9, 0.5, "watched", "")
    assert row.told_at == 7
    assert ask.stream("streams.b") is None


def test_every_field_of_a_status_has_its_column() -> None:
    fields = set(StreamStatus.__struct_fields__) - {"id", "stream"}
    assert fields <= set(STATUS) <= set(StreamRow.__struct_fields__)


def test_a_retrain_is_one_row_whatever_the_order_of_its_events(tmp_path: Path) -> None:
    """Its events come by three topics, which are read in any order."""
    request = make(RetrainRequested, id="a" * 32)
    about = {"request_id": request.id}
    events = [
        request,
        make(TrainingFinished, **about, version="v2", challenger={"loss": 0.2}),
        make(RetrainJudged, **about),
        make(StreamStatus, model_version="v2"),
    ]
    rows = []
    for i, order in enumerate(itertools.permutations(events)):
        model = new_model(tmp_path / str(i))
        fill(model, order)
        ask = Queries(model, Settings())
        rows.append((ask.request(request.id), ask.stream("streams.a")))
        model.close()
    assert all(row == rows[0] for row in rows)
    found = rows[0][0]
    assert found is not None
    assert (found.kind, found.reason, found.criteria) == ("retrain", "policy", "reducible")
    assert (found.outcome, found.version, found.challenger_loss) == ("published", "v2", 0.2)
    assert (found.verdict, found.saved, found.judged_records) == ("better", 0.3, 200)


def test_an_event_that_comes_twice_counts_once(model: ReadModel, ask: Queries) -> None:
    refused = make(TrainingFinished, outcome="rejected", reason="worse")
    fill(model, [make(StreamStatus), refused, refused])
    row = ask.stream("streams.a")
    assert row is not None
    assert row.refused_in_row == 1


def test_windows_are_kept_up_to_a_number(model: ReadModel, ask: Queries) -> None:
    windows = [make(Evidence, closed_at=START + i) for i in range(KEPT + 20)]
    random.Random(1).shuffle(windows)
    fill(model, windows)
    kept = ask.windows("streams.a", limit=10_000)
    assert [row.closed_at for row in kept] == [START + i for i in range(20, KEPT + 20)]


def test_a_windows_strongest_criterion_is_the_one_that_rejects(
    model: ReadModel, ask: Queries
) -> None:
    grounds = [
        Ground(criterion="ks", family="features", p_value=0.001),
        Ground(criterion="mlma", family="loss", p_value=0.01, effect=2.0, rejected=True),
    ]
    event = make(Evidence, results=grounds, decision="retrain")
    fill(model, [event])
    row = ask.window(event.id)
    assert row is not None
    assert (row.criterion, row.p_value, row.effect, row.rejected) == ("mlma", 0.01, 2.0, "mlma")
    assert (row.kind, row.decision, row.loss) == ("loss", "retrain", 1.0)
    assert row == ask.windows("streams.a")[0]


class TestNeed:
    """Streams that need a person come first, with the reason."""

    def test_a_stream_that_is_well_needs_nobody(self, model: ReadModel, ask: Queries) -> None:
        fill(model, [make(StreamStatus, loss=0.4, baseline_loss=1.0)])
        assert _need(ask) == (0, "")

    @pytest.mark.parametrize(
        ("state", "name"),
        [
            ("refused", "refused"),
            ("awaiting-approval", "approval"),
            ("watched", "watched"),
            ("silent", "silent"),
        ],
    )
    def test_states_that_need_a_person(
        self, model: ReadModel, ask: Queries, state: str, name: str
    ) -> None:
        fill(model, [make(StreamStatus, state=state)])
        assert [row.stream for row in ask.streams(need=name).rows] == ["streams.a"]
        assert ask.fleet().needs[name] == 1

    def test_a_failed_training(self, model: ReadModel, ask: Queries) -> None:
        failed = make(TrainingFinished, outcome="failed", reason="offsets-expired")
        fill(model, [make(StreamStatus), failed])
        assert _need(ask)[1] == "last training failed: offsets-expired"
        fill(model, [make(TrainingFinished, finished_at=START + 1)], first=2)
        assert _need(ask) == (0, "")

    def test_two_refusals_in_a_row(self, model: ReadModel, ask: Queries) -> None:
        refusals = [
            make(
                TrainingFinished,
                request_id=f"r{i}",
                outcome="rejected",
                reason="worse",
                finished_at=START + i,
            )
            for i in range(2)
        ]
        fill(model, [make(StreamStatus), refusals[0]])
        assert _need(ask)[0] == 0
        fill(model, [refusals[1]], first=2)
        assert _need(ask)[1] == "2 retrains in a row refused by the gate"

    def test_refusals_of_what_a_person_ordered_do_not_count(self, tmp_path: Path) -> None:
        """In whatever order requests and outcomes are read."""
        asked = [
            make(RetrainRequested, id=f"r{i}", reason=reason)
            for i, reason in enumerate(["policy", "command", "command", "policy"])
        ]
        ended = [
            make(
                TrainingFinished,
                request_id=f"r{i}",
                outcome="rejected",
                reason="worse",
                finished_at=START + i,
            )
            for i in range(4)
        ]
        for name, first, then in (("a", asked, ended), ("b", ended, asked)):
            model = new_model(tmp_path / name)
            fill(model, [make(StreamStatus), *first])
            fill(model, then, first=5)
            assert _need(Queries(model, Settings()))[1].startswith("2 retrains in a row")
            published = make(TrainingFinished, request_id="r9", finished_at=START + 9)
            fill(model, [published], first=9)
            assert _need(Queries(model, Settings())) == (0, "")
            model.close()

    def test_what_is_no_refusal_of_the_gate_does_not_count(
        self, model: ReadModel, ask: Queries
    ) -> None:
        others = [
            make(TrainingFinished, outcome="rejected", reason="pinned", finished_at=START + 1),
            make(TrainingFinished, outcome="superseded", reason="newer-request"),
            make(TrainingFinished, outcome="failed", reason="rollback-failed"),
        ]
        fill(model, [make(StreamStatus), *others])
        assert _need(ask) == (0, "")

    def test_a_version_that_is_worse_until_another_one_serves(
        self, model: ReadModel, ask: Queries
    ) -> None:
        worse = make(RetrainJudged, verdict="worse", version="v2")
        fill(model, [make(StreamStatus, model_version="v2"), worse])
        assert _need(ask)[0] == 100
        fill(model, [make(StreamStatus, model_version="v1")], first=2)
        assert _need(ask)[0] == 0

    def test_a_model_that_a_trivial_prediction_beats_is_sorted_by_that_alone(
        self, model: ReadModel, ask: Queries
    ) -> None:
        """It may have been so all along: nothing that happened needs a person."""
        losses = {"streams.a": 2.0, "streams.b": 3.0, "streams.c": 0.5}
        fill(
            model,
            [make(StreamStatus, name, loss=one, baseline_loss=1.0) for name, one in losses.items()],
        )
        assert _need(ask, "streams.b") == (0, "")
        page = ask.streams(sort="baseline")
        assert [row.stream for row in page.rows] == ["streams.b", "streams.a", "streams.c"]

    def test_an_incident_until_it_is_over(self, model: ReadModel, ask: Queries) -> None:
        streams = ["streams.a", "streams.b"]
        opened = make(FleetIncident, "", id="o", streams=streams, moved=2, observed=3)
        fill(model, [make(StreamStatus), opened])
        assert [row.stream for row in ask.streams(need="incident").rows] == streams
        assert ask.fleet().incidents == 1
        closed = make(
            FleetIncident, "", id="c", action="closed", closed_at=START + DAY, streams=streams
        )
        fill(model, [closed], first=2)
        assert ask.streams(need="any").total == 0
        (incident,) = ask.incidents()
        assert (incident.closed_at, incident.moved) == (START + DAY, 2)
        assert ask.incidents(open_only=True) == []

    @pytest.mark.parametrize("state", ["snoozed", "retired"])
    def test_who_was_told_to_be_quiet_is(self, model: ReadModel, ask: Queries, state: str) -> None:
        fill(model, [make(StreamStatus, state=state), make(TrainingFinished, outcome="failed")])
        assert _need(ask) == (0, "")

    def test_every_name_is_counted(self, model: ReadModel, ask: Queries) -> None:
        del model
        assert list(ask.fleet().needs) == list(NAMES)


class TestStreams:
    """Search, filters, order and pages."""

    @pytest.fixture(autouse=True)
    def _many(self, model: ReadModel) -> None:
        draw = random.Random(0)
        states = ["monitoring", "watched", "silent"]
        rows = [
            make(
                StreamStatus,
                f"flights_{i:03d}",
                state=states[i % 3],
                profile=f"p{i % 2}",
                loss=None if i % 7 == 0 else draw.random(),
                retrains=draw.randrange(5),
            )
            for i in range(120)
        ]
        fill(model, rows)

    @pytest.mark.parametrize("sort", SORTS)
    @pytest.mark.parametrize("reverse", [False, True])
    def test_pages_hold_every_stream_once(self, ask: Queries, sort: str, *, reverse: bool) -> None:
        pages = [
            ask.streams(sort=sort, reverse=reverse, limit=50, offset=at) for at in (0, 50, 100)
        ]
        names = [row.stream for page in pages for row in page.rows]
        assert len(names) == 120
        assert set(names) == {f"flights_{i:03d}" for i in range(120)}
        assert {page.total for page in pages} == {120}

    @pytest.mark.parametrize("reverse", [False, True])
    def test_streams_without_a_loss_come_last(self, ask: Queries, *, reverse: bool) -> None:
        losses = [row.loss for row in ask.streams(sort="loss", reverse=reverse, limit=-1).rows]
        known = [one for one in losses if one is not None]
        assert losses[: len(known)] == sorted(known, reverse=not reverse)

    def test_filters_go_together(self, ask: Queries) -> None:
        page = ask.streams(state="silent", profile="p1", limit=-1)
        assert page.total == 20
        assert {(row.state, row.profile) for row in page.rows} == {("silent", "p1")}

    @pytest.mark.parametrize(
        ("search", "count"),
        [("_01", 10), ("flights*9", 12), ("FLIGHTS_00", 10), ("%", 0), ("s_1_", 0), ("*", 120)],
    )
    def test_search_takes_parts_and_patterns(self, ask: Queries, search: str, count: int) -> None:
        assert ask.streams(search=search).total == count

    def test_an_unknown_order_is_refused(self, ask: Queries) -> None:
        with pytest.raises(KeyError):
            ask.streams(sort="stream; DROP TABLE streams")

    def test_near_names(self, ask: Queries) -> None:
        assert ask.near("_042") == ["flights_042"]
        assert "flights_042" in ask.near("flihgts_042", 5)


class TestFleet:
    """What was promised beside what happened."""

    def test_needless_retrains_promised_and_counted(self, model: ReadModel, ask: Queries) -> None:
        years = 4.0
        events = [
            make(Evidence, "streams.a", opened_at=START),
            make(StreamStatus, "streams.a", event_time=START + round(years * YEAR_MS)),
            *(make(RetrainRequested, id=f"{i:032x}") for i in range(4)),
            make(RetrainJudged, request_id=f"{0:032x}", verdict="worse"),
            make(RetrainJudged, request_id=f"{1:032x}", verdict="better"),
            make(Command, id="c", action="dismiss", request_id=f"{2:032x}"),
            make(
                CommandAnswered,
                command_id="c",
                action="dismiss",
                outcome="done",
                about=f"{2:032x}",
            ),
        ]
        fill(model, events)
        fleet = ask.fleet(now_ms=START)
        assert fleet.stream_years == pytest.approx(years)
        assert fleet.promised == pytest.approx(0.4)
        assert (fleet.retrains, fleet.needless, fleet.dismissed) == (4, 2, 1)
        assert fleet.judged == {"better": 1, "worse": 1}
        assert fleet.waiting == 4

    def test_nothing_is_promised_by_a_policy_that_promises_nothing(self, model: ReadModel) -> None:
        fill(model, [make(StreamStatus)])
        profile = Profile(policy=Policy(kind="always"))
        assert Queries(model, Settings(profiles={"default": profile})).fleet().promised is None

    def test_the_last_day_is_by_the_clock(self, model: ReadModel, ask: Queries) -> None:
        fill(model, [make(RetrainRequested, id="1" * 32)], told_at=START)
        fill(model, [make(RetrainRequested, id="2" * 32)], told_at=START + 2 * DAY, first=1)
        assert ask.fleet(now_ms=START + 2 * DAY).retrains_day == 1


class TestCommands:
    """The audit: who ordered what, and what came of it."""

    def test_a_command_and_its_answer_are_one_row(self, model: ReadModel, ask: Queries) -> None:
        fill(
            model,
            [
                make(Command, id="c", via="cli"),
                make(CommandAnswered, command_id="c", led_to=["r1"], detail="asked"),
            ],
        )
        (row,) = ask.commands()
        assert (row.who, row.why, row.via) == ("ada", "new sensor", "cli")
        assert (row.outcome, row.detail, row.led_to) == ("accepted", "asked", ["r1"])
        assert ask.commands(who="bob") == []
        assert ask.commands(since=START + 1) == []

    def test_a_command_that_is_sent_again_and_refused_stays_what_came_of_it(
        self, model: ReadModel, ask: Queries
    ) -> None:
        fill(
            model,
            [
                make(Command, id="c"),
                make(CommandAnswered, command_id="c", led_to=["r1"], detail="asked"),
                make(CommandAnswered, id="late", command_id="c", outcome="refused", detail="old"),
            ],
        )
        (one,) = ask.commands()
        assert (one.outcome, one.detail) == ("accepted", "asked")

    @pytest.mark.parametrize(
        ("ended", "came", "words"),
        [
            ({}, "accepted", "accepted: asked"),
            ({"outcome": "published", "version": "v10"}, "published", "published as v10"),
            (
                {"outcome": "failed", "detail": "v1 has no parent"},
                "failed",
                "failed: v1 has no parent",
            ),
        ],
    )
    def test_an_accepted_command_ends_as_what_it_led_to(
        self, model: ReadModel, ask: Queries, ended: dict[str, str], came: str, words: str
    ) -> None:
        fill(
            model,
            [
                make(Command, id="c"),
                make(CommandAnswered, command_id="c", led_to=["r1"], detail="asked"),
                *([make(TrainingFinished, request_id="r1", **ended)] if ended else []),
            ],
        )
        (row,) = ask.commands(stream="streams.a")
        assert (row.came, row.in_words) == (came, words)

    def test_a_dismissal_is_of_the_request_that_its_answer_names(
        self, model: ReadModel, ask: Queries
    ) -> None:
        request = make(RetrainRequested)
        answer = {"action": "dismiss", "outcome": "done", "about": request.id}
        fill(
            model,
            [
                request,
                make(Command, id="c", action="dismiss", why="a test run"),
                make(CommandAnswered, command_id="c", **answer),
            ],
        )
        found = ask.request(request.id)
        assert found is not None
        assert (found.dismissed_by, found.dismissed_why) == ("ada", "a test run")

    def test_a_command_that_was_dead_lettered_is_refused(
        self, model: ReadModel, ask: Queries
    ) -> None:
        fill(model, [make(Command, id="c"), make(Command, id="d")])
        letter = (0, 0, "driftloop.test", 0, 1, "bad-signature", "of another key", 9, START)
        model.write([], [letter], {})
        found = {row.id: (row.outcome, row.detail) for row in ask.commands()}
        assert found == {"c": ("", ""), "d": ("refused", "bad-signature: of another key")}


class TestFile:
    """One process writes; a file of another origin is built anew."""

    def test_one_writer_at_a_time(self, model: ReadModel) -> None:
        other = ReadModel(model.path, "test")
        assert not other.acquire()
        fill(model, [make(StreamStatus)])
        assert Queries(other, Settings()).stream("streams.a") is not None
        model.release()
        assert other.acquire()
        other.close()

    def test_positions_and_rows_are_kept(self, model: ReadModel) -> None:
        fill(model, [make(StreamStatus)])
        model.close()
        again = ReadModel(model.path, "test")
        assert again.acquire()
        assert again.positions() == {("driftloop.test", 0): 1}
        assert Queries(again, Settings()).stream("streams.a") is not None
        again.close()

    def test_another_origin_empties_it(self, model: ReadModel) -> None:
        fill(model, [make(StreamStatus)])
        model.close()
        other = ReadModel(model.path, "another")
        assert other.acquire()
        assert other.positions() == {}
        assert Queries(other, Settings()).stream("streams.a") is None
        other.close()

    def test_a_write_that_fails_leaves_nothing(self, model: ReadModel, ask: Queries) -> None:
        good = (make(StreamStatus), "streams.a", Where("t", 0, 0, START))
        with pytest.raises(AttributeError):
            model.write([good, (object(), "", Where("t", 0, 1, 0))], [], {("t", 0): 2})  # type: ignore[list-item]
        assert ask.stream("streams.a") is None
        assert model.positions() == {}

    def test_a_tombstone_ends_a_version(self, model: ReadModel, ask: Queries) -> None:
        fill(model, [make(StreamStatus), make(ModelPublished)])
        model.write([(None, "streams.a", Where("m", 0, 1, START))], [], {("m", 0): 2})
        row = ask.stream("streams.a")
        assert row is not None
        assert row.model_version is None
        assert [one.version for one in ask.versions("streams.a")] == ["v1"]
