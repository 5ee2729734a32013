"""A decision that waits for the engineer."""

from __future__ import annotations

import msgspec

from driftloop.messages import Command, Ground, RetrainRequested


class Approval:
    """The one decision of a stream that waits for approval; a newer one takes its place.

    Attributes:
        waiting: The whole request as it was decided, or None.
    """

    def __init__(self) -> None:
        self.waiting: RetrainRequested | None = None

    @property
    def detail(self) -> str:
        """What waits, and what to do; empty when nothing does."""
        if self.waiting is None:
            return ""
        request = self.waiting
        spoke = [ground.criterion for ground in request.grounds if ground.rejected]
        why = ", ".join(dict.fromkeys(spoke)) or request.policy
        return (
            f"retrain {request.id} ({why}) waits for approval: send the command 'approve' or "
            f"'reject' for {request.stream}"
        )

    def approved(self, command: Command) -> RetrainRequested | str:
        """The request with a ground that names who approved it; or why there is none."""
        request = self._meant(command)
        if isinstance(request, str):
            return request
        self.waiting = None
        ground = Ground(
            criterion="approval",
            family="command",
            rejected=True,
            window=request.data,
            detail=f"{command.who}: {command.why}",
        )
        return msgspec.structs.replace(request, grounds=[*request.grounds, ground])

    def rejected(self, command: Command) -> RetrainRequested | str:
        """Drop what waits, and tell it; or why nothing was dropped."""
        request = self._meant(command)
        if isinstance(request, str):
            return request
        self.waiting = None
        return request

    def _meant(self, command: Command) -> RetrainRequested | str:
        if self.waiting is None:
            return "nothing waits for approval"
        if command.request_id not in {None, self.waiting.id}:
            return f"{command.request_id} does not wait; {self.waiting.id} does"
        return self.waiting
