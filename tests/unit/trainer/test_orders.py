"""Orders to switch versions: carried out once, and only while they fit; candidates held back."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from driftloop.errors import StoreUnavailableError
from driftloop.messages import (
    CandidateTrained,
    Cost,
    Event,
    ModelPublished,
    TrainingFinished,
    VersionOrdered,
)
from driftloop.models import Encoding, ModelArtifact, ModelStore
from driftloop.settings import Settings, StoreSettings
from driftloop.trainer import orders
from driftloop.trainer.history import History
from driftloop.trainer.orders import Desk
from driftloop.trainer.outcomes import finish
from driftloop.trainer.work import Result
from tests.unit.trainer.requests import NOON, request

STREAM = "streams.a"
NOBODY = {"bootstrap.servers": "127.0.0.1:1", "log_level": 0}


class Office:
    """A desk over a real store, and a history that is told events as if they were read."""

    def __init__(self, folder: Path, training: dict[str, Any] | None = None) -> None:
        self.folder = folder
        self.store = ModelStore(StoreSettings(uri=str(folder)))
        self.history = History(NOBODY, "models", "trainings")
        self.settings = Settings.model_validate(
            {"profiles": {"numbers": {"features": {"numeric": ["a"]}, "training": training or {}}}}
        )
        self.desk = self.new_desk()

    def new_desk(self) -> Desk:
        self.desk = Desk(self.history, self.store, lambda: NOON, lambda: None)
        return self.desk

    def save(self, version: str) -> tuple[str, str]:
        artifact = ModelArtifact(
            kind="linear",
            task="regression",
            stream=STREAM,
            version=version,
            request_id=f"request-{version}",
            encoding=Encoding(
                numeric=("a",),
                categorical=(),
                mean=np.zeros(1),
                scale=np.ones(1),
                vocabulary=(),
            ),
            weights={"weight.0": np.ones((1, 1)), "bias.0": np.zeros(1)},
            records=100,
        )
        return self.store.save(STREAM, version, artifact)

    def publish(self, version: str, parent: str | None = None, **more: Any) -> ModelPublished:
        """A version in the store that the history knows as published."""
        uri, sha256 = self.save(version)
        known = self.history.places.get(STREAM, {}).get(parent or "")
        event = ModelPublished(
            id=f"model-{version}",
            stream=STREAM,
            profile="numbers",
            version=version,
            sequence=int(version[1:]),
            parent_version=parent,
            parent_uri=known.uri if known else None,
            parent_sha256=known.sha256 if known else None,
            **_model(version, uri, sha256),
            published_at=NOON,
            **more,
        )
        self.history.know(event)
        return event

    def candidate(self, version: str, parent: ModelPublished) -> CandidateTrained:
        uri, sha256 = self.save(version)
        event = CandidateTrained(
            id=f"candidate-{version}",
            stream=STREAM,
            profile="numbers",
            profile_hash="p",
            version=version,
            sequence=int(version[1:]),
            parent_version=parent.version,
            parent_uri=parent.uri,
            parent_sha256=parent.sha256,
            **_model(version, uri, sha256),
            trained_at=NOON,
            promised=0.5,
        )
        self.history.know(event)
        return event

    def serve(self, *orders: VersionOrdered) -> list[Event]:
        self.new_desk().serve(orders)
        return [event for answer in self.desk.answers for event in answer.events]

    def commit(self) -> None:
        """What was answered is read back, as a later round does."""
        for answer in self.desk.answers:
            for event in answer.events:
                self.history.know(event)


def _model(version: str, uri: str, sha256: str) -> dict[str, Any]:
    return {
        "kind": "linear",
        "uri": uri,
        "sha256": sha256,
        "format": "safetensors",
        "champion": {"loss": 1.0},
        "challenger": {"loss": 0.5},
        "data": ["streams.a:0:0:99"],
        "cost": Cost(seconds=1.0, records=100, device="cpu"),
        "request_id": f"request-{version}",
    }


def order(action: Any, version: str | None, against: str | None, **more: Any) -> VersionOrdered:
    given = {"request_id": f"request-{version}", "reason": "canary", "decided_at": 0}
    return VersionOrdered(
        id=f"{action}-{version}-{against}",
        stream=STREAM,
        profile="numbers",
        action=action,
        version=version,
        against=against,
        **{**given, **more},
    )


@pytest.fixture
def office(tmp_path: Path) -> Iterator[Office]:
    """Without a canary."""
    made = Office(tmp_path)
    yield made
    made.history.close()


def test_a_candidate_is_promoted_once(office: Office) -> None:
    first = office.publish("v1")
    candidate = office.candidate("v2", first)
    promote = order("promote", "v2", "v1")
    published, done = office.serve(promote, promote)
    assert isinstance(published, ModelPublished)
    assert (published.version, published.sequence, published.action) == ("v2", 2, "promoted")
    assert (published.uri, published.sha256) == (candidate.uri, candidate.sha256)
    assert (published.parent_version, published.parent_uri) == ("v1", first.uri)
    assert isinstance(done, TrainingFinished)
    assert (done.outcome, done.request_id, done.version) == ("published", "request-v2", "v2")
    assert done.promised == 0.5
    office.commit()
    assert not office.serve(promote)
    assert office.history.current[STREAM].event == published


@pytest.mark.parametrize(
    ("reason", "told"),
    [("canary", "canary-worse"), ("command", "pinned"), ("unscored", "canary-unscored")],
)
def test_a_candidate_is_discarded_with_the_reason(office: Office, reason: str, told: str) -> None:
    office.candidate("v2", office.publish("v1"))
    (done,) = office.serve(order("discard", "v2", "v1", reason=reason))
    assert isinstance(done, TrainingFinished)
    assert (done.outcome, done.reason, done.version) == ("rejected", told, None)
    office.commit()
    assert not office.history.candidates


def test_a_candidate_of_another_version_than_the_current_one_is_superseded(office: Office) -> None:
    office.candidate("v2", office.publish("v1"))
    office.publish("v3", "v1")
    (done,) = office.serve(order("promote", "v2", "v1"))
    assert isinstance(done, TrainingFinished)
    assert (done.outcome, done.reason) == ("superseded", "other-version")


def test_a_candidate_whose_artifact_is_gone_fails(office: Office) -> None:
    candidate = office.candidate("v2", office.publish("v1"))
    Path(candidate.uri.removeprefix("file://"), "weights.safetensors").write_bytes(b"x")
    (done,) = office.serve(order("promote", "v2", "v1"))
    assert isinstance(done, TrainingFinished)
    assert (done.outcome, done.reason) == ("failed", "candidate-unreadable")


def test_the_parent_is_published_again_under_its_own_name(office: Office) -> None:
    first = office.publish("v1")
    second = office.publish("v2", "v1")
    rollback = order("rollback", "v1", "v2", reason="live-losses", detail="worse")
    back, done = office.serve(rollback)
    assert isinstance(done, TrainingFinished)
    assert (done.outcome, done.reason, done.version) == ("published", "rolled-back", "v1")
    assert done.request_id == rollback.id
    assert isinstance(back, ModelPublished)
    assert (back.version, back.uri, back.sha256) == ("v1", first.uri, first.sha256)
    assert (back.sequence, back.parent_version, back.parent_uri) == (3, "v2", second.uri)
    assert (back.action, back.detail) == ("rolled-back", "worse")
    assert back.request_id == "request-v1"
    office.commit()
    assert not office.serve(rollback)


def test_a_rollback_that_was_served_is_not_served_again_whatever_is_current(
    office: Office,
) -> None:
    """A monitor that lost its state reads the command again, and orders by the same id."""
    office.publish("v1")
    office.publish("v2", "v1")
    first = order("rollback", None, "v2", reason="command")
    office.serve(first)
    office.commit()
    office.publish("v4", "v1")
    again = order("rollback", None, "v4", reason="command")
    again = VersionOrdered(
        **{name: getattr(again, name) for name in again.__struct_fields__} | {"id": first.id}
    )
    assert not office.serve(again)


def test_a_person_is_told_of_a_rollback_that_came_too_late(office: Office) -> None:
    office.publish("v1")
    office.publish("v2", "v1")
    late = order("rollback", None, "v1", reason="command")
    (told,) = office.serve(late)
    assert isinstance(told, TrainingFinished)
    assert (told.outcome, told.reason, told.request_id) == (
        "superseded",
        "rollback-failed",
        late.id,
    )
    assert told.detail == "v2 is current, not v1"
    assert not office.serve(order("rollback", "v1", "v1", reason="live-losses"))


def test_a_rollback_ends_the_trial_of_a_candidate(office: Office) -> None:
    office.publish("v1")
    office.candidate("v3", office.publish("v2", "v1"))
    done, back, _ = office.serve(order("rollback", None, "v2"))
    assert isinstance(done, TrainingFinished)
    assert (done.outcome, done.reason, done.request_id) == (
        "superseded",
        "rolled-back",
        "request-v3",
    )
    assert isinstance(back, ModelPublished)
    assert (back.version, back.sequence) == ("v1", 4)  # v3 is taken by the candidate


def test_a_version_whose_event_is_gone_is_found_in_the_store(office: Office) -> None:
    office.save("v1")
    office.publish("v7")
    back, _ = office.serve(order("rollback", "v1", "v7", reason="command", who="ada", detail="x"))
    assert isinstance(back, ModelPublished)
    assert (back.version, back.sequence, back.detail) == ("v1", 8, "ada: x")


@pytest.mark.parametrize(
    ("version", "told"),
    [("v9", "no artifact"), ("v3", "is the current version already"), (None, "has no parent")],
)
def test_a_rollback_that_cannot_be_done_is_told(
    office: Office, version: str | None, told: str
) -> None:
    office.publish("v3")
    rollback = order("rollback", version, "v3", reason="command")
    (failed,) = office.serve(rollback)
    assert isinstance(failed, TrainingFinished)
    assert (failed.outcome, failed.reason, failed.request_id) == (
        "failed",
        "rollback-failed",
        rollback.id,
    )
    assert told in failed.detail
    office.commit()
    assert not office.serve(rollback)


@pytest.mark.parametrize("action", ["rollback", "promote"])
def test_an_order_waits_for_a_store_that_is_away(
    office: Office, monkeypatch: pytest.MonkeyPatch, action: str
) -> None:
    monkeypatch.setattr(orders, "PAUSES", (0.0, 0.0))
    first = office.publish("v1")
    if action == "promote":
        office.candidate("v2", first)
        wanted = order("promote", "v2", "v1")
    else:
        office.publish("v2", "v1")
        wanted = order("rollback", "v1", "v2")
    aside = office.folder.with_name(f"{office.folder.name}-aside")
    office.folder.rename(aside)
    office.store = ModelStore(StoreSettings(uri=str(office.folder)))  # it has never seen the folder
    office.new_desk()
    with pytest.raises(StoreUnavailableError, match="mount or restore it"):
        office.serve(wanted)
    assert not office.desk.answers
    aside.rename(office.folder)
    published, done = office.serve(wanted)
    assert isinstance(published, ModelPublished)
    assert isinstance(done, TrainingFinished)
    assert done.outcome == "published"


def test_a_version_that_no_event_names_is_not_missed_in_a_store_that_is_away(
    office: Office,
) -> None:
    office.save("v1")
    office.publish("v7")
    wanted = order("rollback", "v1", "v7", reason="command")
    aside = office.folder.with_name(f"{office.folder.name}-aside")
    office.folder.rename(aside)
    with pytest.raises(StoreUnavailableError, match="mount or restore it"):
        office.serve(wanted)
    aside.rename(office.folder)
    back, _ = office.serve(wanted)
    assert isinstance(back, ModelPublished)
    assert back.version == "v1"


def test_a_restored_version_has_no_parent_to_go_back_to(office: Office) -> None:
    office.publish("v1")
    office.publish("v2", "v1")
    office.serve(order("rollback", None, "v2"))
    office.commit()
    (failed,) = office.serve(order("rollback", None, "v1"))
    assert isinstance(failed, TrainingFinished)
    assert "name the version" in failed.detail


def test_a_store_that_is_away_for_a_moment_is_asked_again(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The folder cannot be listed; then it can."""
    monkeypatch.setattr(orders, "PAUSES", (0.0, 0.0))
    office.publish("v1")
    office.publish("v2", "v1")
    hidden = office.folder / STREAM
    aside = office.folder / "aside"
    hidden.rename(aside)
    hidden.symlink_to(hidden)  # a loop: reading fails with ELOOP, which is no missing file

    calls = []

    def check() -> None:  # once before the order, then after each try
        calls.append(1)
        if len(calls) == 2:
            hidden.unlink()
            aside.rename(hidden)

    desk = Desk(office.history, office.store, lambda: NOON, check)
    desk.serve([order("rollback", "v1", "v2")])
    ((event, _),) = [answer.events for answer in desk.answers]
    assert isinstance(event, ModelPublished)
    assert len(calls) == 2


def test_an_order_about_what_is_not_current_any_more_is_left_alone(office: Office) -> None:
    office.publish("v1")
    office.publish("v3", "v1")
    assert not office.serve(order("rollback", "v1", "v2"))
    assert not office.serve(order("promote", "v2", "v1"))
    assert [answer.cause for answer in office.desk.answers] == ["promote-v2-v1"]


def test_a_discard_gives_up_a_request_that_waits(office: Office) -> None:
    office.publish("v1")
    discard = order("discard", None, "v1", request_id="asked", reason="command", detail="pinned")
    assert not office.serve(discard)
    assert office.desk.withdrawn == {"asked": discard}
    waiting = request("asked", STREAM)
    result = orders.pinned(waiting, discard, NOON)
    assert (result.finished.outcome, result.finished.reason) == ("rejected", "pinned")


def _trained(office: Office, version: str, parent: str | None) -> Result:
    uri, sha256 = office.save(version)
    asked = request(f"request-{version}", STREAM)
    model = _model(version, uri, sha256)
    if parent is None:
        model["champion"] = None
    event = ModelPublished(
        id=f"new-{version}",
        stream=STREAM,
        profile="numbers",
        version=version,
        sequence=int(version[1:]),
        parent_version=parent,
        **model,
        published_at=NOON,
    )
    return Result(asked, finish(asked, "published", "", "", NOON, version=version), event)


def test_without_a_canary_a_new_version_names_its_parents_artifact(office: Office) -> None:
    first = office.publish("v1")
    (kept,) = office.desk.hold_back([_trained(office, "v2", "v1")], office.settings)
    assert kept.published is not None
    assert (kept.published.parent_uri, kept.published.parent_sha256) == (first.uri, first.sha256)
    assert not office.desk.answers


def test_with_a_canary_it_is_held_back_unless_there_is_no_champion(tmp_path: Path) -> None:
    office = Office(tmp_path, {"canary": True})
    alone = _trained(office, "v1", None)
    assert office.desk.hold_back([alone], office.settings) == [alone]
    office.publish("v1")
    assert not office.desk.hold_back([_trained(office, "v2", "v1")], office.settings)
    ((candidate,),) = [answer.events for answer in office.desk.answers]
    assert isinstance(candidate, CandidateTrained)
    assert (candidate.version, candidate.parent_version) == ("v2", "v1")
    office.commit()
    assert office.history.current[STREAM].sequence == 2  # no other version is named v2
    assert "request-v2" in office.history.finished  # it is not trained again


def test_a_newer_candidate_takes_the_place_of_an_older_one(tmp_path: Path) -> None:
    office = Office(tmp_path, {"canary": True})
    office.candidate("v2", office.publish("v1"))
    office.desk.hold_back([_trained(office, "v3", "v1")], office.settings)
    ((done, candidate),) = [answer.events for answer in office.desk.answers]
    assert isinstance(done, TrainingFinished)
    assert (done.request_id, done.outcome, done.reason) == (
        "request-v2",
        "superseded",
        "newer-request",
    )
    assert isinstance(candidate, CandidateTrained)
