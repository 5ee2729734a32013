"""The retrain requests of one stream: by its policy, by an operator, for its first model."""

from __future__ import annotations

from typing import Literal

from driftloop.detection.outputs import InitialDue, Ordered
from driftloop.messages import Ground, RetrainRequested, event_id
from driftloop.policy.evidence import place
from driftloop.policy.tested import Tested
from driftloop.settings import Profile


class Requests:
    """Makes the requests of one stream; their ids follow from the records behind them.

    Args:
        stream: Its id.
        name: Name of its profile.
        profile: The profile.
    """

    def __init__(self, stream: str, name: str, profile: Profile) -> None:
        self._stream = stream
        self._name = name
        self._hash = profile.hash
        self._policy = profile.policy.kind

    def policy(self, tested: Tested, due: Ground | None) -> RetrainRequested:
        """The policy asks after a closed window, or its schedule does (`due`)."""
        window = tested.window
        return self._build(
            "retrain" if tested.kind == "loss" else f"retrain-{tested.kind}",
            place(window),
            "policy",
            tested.results if due is None else [*tested.results, due],
            list(getattr(window, "training", ()) if tested.training is None else tested.training),
            version=window.version,
            decided_at=window.closed_at,
            priority=tested.saving,
        )

    def command(self, order: Ordered) -> RetrainRequested:
        """An operator asks."""
        command = order.command
        ground = Ground(
            criterion="command",
            family="command",
            rejected=True,
            n=order.labelled,
            window=order.training,
            detail=f"{command.who}: {command.why}",
        )
        return self._build(
            "retrain-command",
            (command.id,),
            "command",
            [ground],
            order.training,
            version=order.version,
            decided_at=order.event_time,
        )

    def initial(self, due: InitialDue) -> RetrainRequested:
        """The stream has no model yet."""
        ground = Ground(
            criterion="no-model",
            family="command",
            rejected=True,
            n=due.labelled,
            window=due.training,
            detail="the stream has labelled records and no model yet",
        )
        return self._build(
            "retrain-initial",
            (due.event_time, *due.training),
            "initial",
            [ground],
            due.training,
            version=None,
            decided_at=due.event_time,
        )

    def _build(
        self,
        kind: str,
        parts: tuple[object, ...],
        reason: Literal["policy", "command", "initial"],
        grounds: list[Ground],
        data: list[str],
        *,
        version: str | None,
        decided_at: int,
        priority: float = 0.0,
    ) -> RetrainRequested:
        return RetrainRequested(
            id=event_id(self._stream, self._hash, kind, parts),
            stream=self._stream,
            profile=self._name,
            profile_hash=self._hash,
            reason=reason,
            policy=self._policy,
            grounds=grounds,
            data=data,
            current_version=version,
            decided_at=decided_at,
            priority=priority,
        )
