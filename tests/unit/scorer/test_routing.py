"""Feature topics find their stream topic, and what cannot be scored is refused with a reason."""

from __future__ import annotations

import pytest

from driftloop.errors import SettingsError
from driftloop.scorer.routing import Router
from driftloop.settings import Fields, Profile, ScorerSettings, Settings


def _router(topics: str, output: str, **profiles: Profile) -> Router:
    scorer = ScorerSettings(topics=topics, output=output)
    return Router(Settings(scorer=scorer, profiles=profiles or {"default": Profile()}))


def test_groups_of_the_topic_name_the_stream() -> None:
    route = _router(r"in\.(\w+)\.(\w+)", r"streams.\2-\1").route("in.a.b")
    assert route is not None
    assert route.stream == "streams.b-a"


@pytest.mark.parametrize("topic", ["features.a.b", "xfeatures.a"])
def test_only_whole_names_match(topic: str) -> None:
    assert not _router(r"features\.(\w+)", r"streams.\1").selects(topic)


def test_a_topic_is_not_scored_into_itself() -> None:
    assert not _router(r"(streams\..+)", r"\1").selects("streams.a")


def test_a_stream_without_a_profile_is_not_scored() -> None:
    assert not _router(r"features\.(.+)", r"other.\1").selects("features.a")


def test_a_stream_whose_partitions_are_streams_is_not_scored() -> None:
    router = _router(r"features\.(.+)", r"streams.\1", each=Profile(partitions="each"))
    assert not router.selects("features.a")


def test_a_stream_without_a_place_for_predictions_is_not_scored() -> None:
    profile = Profile(fields=Fields(y_pred=""))
    assert not _router(r"features\.(.+)", r"streams.\1", none=profile).selects("features.a")


@pytest.mark.parametrize(
    ("topics", "output", "place"),
    [("(", r"s.\1", "scorer.topics"), ("f.(.+)", r"s.\2", "scorer.output")],
)
def test_faults_name_their_key(topics: str, output: str, place: str) -> None:
    with pytest.raises(SettingsError, match=place):
        _router(topics, output)
