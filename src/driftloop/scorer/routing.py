"""Which feature topics are scored, and which stream topic their predictions go to."""

from __future__ import annotations

import re
from typing import NamedTuple

import structlog

from driftloop.errors import Fault, SettingsError
from driftloop.settings import Profile, Settings

_log = structlog.get_logger(__name__)


class Route(NamedTuple):
    """Where the records of a feature topic go.

    Attributes:
        stream: The stream topic, which is also the stream's id.
        profile: What its records mean.
    """

    stream: str
    profile: Profile


class Router:
    """Finds the route of a topic by ``scorer.topics`` and ``scorer.output``.

    Raises:
        SettingsError: ``scorer.topics`` is no regular expression, or ``scorer.output`` refers to
            a group that it does not have.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        try:
            self._pattern = re.compile(settings.scorer.topics)
        except re.error as error:
            rule = f"a regular expression ({error})"
            raise SettingsError([Fault("scorer.topics", settings.scorer.topics, rule)]) from error
        try:
            re.sub(f"(?:{settings.scorer.topics})|", settings.scorer.output, "")
        except (re.error, IndexError) as error:
            rule = f"a name that may use the groups of scorer.topics ({error})"
            raise SettingsError([Fault("scorer.output", settings.scorer.output, rule)]) from error
        self._known: dict[str, Route | None] = {}

    def route(self, topic: str) -> Route | None:
        """Route of a topic, or None when it is not scored; why not is logged once."""
        if topic not in self._known:
            self._known[topic] = self._find(topic)
        return self._known[topic]

    def selects(self, topic: str) -> bool:
        """Whether the scorer reads the topic."""
        return self.route(topic) is not None

    def _find(self, topic: str) -> Route | None:
        match = self._pattern.fullmatch(topic)
        if match is None:
            return None
        stream = match.expand(self._settings.scorer.output)
        if stream == topic:
            return self._refuse(topic, "its predictions would go to the topic itself")
        found = self._settings.profile_of(stream)
        if found is None:
            return self._refuse(topic, f"no profile is meant for its stream {stream!r}")
        name, profile = found
        if profile.partitions == "each":
            return self._refuse(topic, f"profile {name!r} makes each partition a stream")
        if not profile.fields.y_pred or not profile.fields.model_version:
            return self._refuse(topic, f"profile {name!r} has no field y_pred or model_version")
        return Route(stream, profile)

    @staticmethod
    def _refuse(topic: str, why: str) -> None:
        _log.warning("scorer.topic_refused", topic=topic, why=why)
