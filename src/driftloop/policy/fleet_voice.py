"""What a stream says to its fleet, and what it leaves to the fleet to decide."""

from __future__ import annotations

import math
from typing import Any

from driftloop.detection.outputs import Closed, LossWindow
from driftloop.messages import RetrainRequested
from driftloop.policy.fleet_items import (
    FleetItem,
    FleetNote,
    FleetObservation,
    WindowMeans,
    closes_at,
)
from driftloop.policy.tested import Tested
from driftloop.settings import Policy, Profile

SAFFRON_LARGEST = 0.5
"""No level of SAFFRON is above its candidate threshold."""

WITHOUT_P = frozenset({"never", "always", "periodic", "detector"})
"""Kinds of policies that decide without a p-value."""


class FleetVoice:
    """One stream's side of the fleet.

    Attributes:
        proposes: Whether the stream's decisions are proposals that the fleet sends or not.
        by_p: Whether the fleet sets the level of the stream's p-values.
        items: What the fleet has to know of the last item that was decided on.
    """

    def __init__(self, stream: str, profile: Profile) -> None:
        fleet = profile.fleet
        self._stream = stream
        self._profile = profile
        self._means = WindowMeans()
        self._informs = fleet.waits
        self.proposes = fleet.waits and not profile.policy.approval
        self.by_p = self.proposes and fleet.control != "stream"
        self.items: list[FleetItem] = []

    def begin(self) -> None:
        """Forget the items of the last call."""
        self.items = []

    def may_reject(self, p_value: float, e_value: float) -> bool:
        """Whether the fleet could reject at all: if not, no request need travel."""
        fleet = self._profile.fleet
        if fleet.control == "e-bh":
            return e_of(p_value, e_value) >= 1.0 / fleet.fdr
        return p_value <= (SAFFRON_LARGEST if fleet.control == "saffron" else fleet.fdr)

    def window(
        self,
        window: Closed,
        loss: float | None,
        p_value: float,
        e_value: float,
        request: RetrainRequested | None,
    ) -> None:
        """A window has closed.

        Args:
            window: The window.
            loss: Its mean loss, or None.
            p_value: Of the policy's criterion, or nan.
            e_value: Likewise.
            request: What the stream proposes, or None.
        """
        z = math.nan
        if isinstance(window, LossWindow):
            z = self._means.standardise(math.nan if loss is None else loss)
        at = closes_at(window, self._profile)
        self.items.append(
            FleetObservation(self._stream, at, window.span_ms, z, p_value, e_value, request)
        )

    def note(self, kind: Any, at: int, request_id: str = "") -> None:
        """Tell what else happened, where the fleet has a use for it."""
        if self._informs:
            self.items.append(FleetNote(self._stream, kind, at, request_id))

    def clock(self, at: int) -> None:
        """Tell how far the stream's event time is; incidents need it in any fleet."""
        self.items.append(FleetNote(self._stream, "clock", at))


def decision_p(tested: Tested, policy: Policy) -> tuple[float, float]:
    """P-value and e-value of what the policy decides on; nan where there is none.

    Loss that has accumulated is no test: what ``reducible`` asks for in that mode goes untested,
    whatever p-value stands beside it as evidence.
    """
    accumulated = policy.kind == "reducible" and policy.mode == "accumulate"
    if policy.kind in WITHOUT_P or (
        accumulated and any(ground.criterion == "reducible" for ground in tested.results)
    ):
        return math.nan, math.nan
    return (
        math.nan if tested.p_value is None else tested.p_value,
        math.nan if tested.e_value is None else tested.e_value,
    )


def e_of(p_value: float, e_value: float) -> float:
    """The e-value, or one made of the p-value; nan without either.

    The calibrator is p^(-1/2) / 2 (Vovk, Wang 2021, section 2.2, kappa = 1/2): its mean over
    uniform p is 1. It costs power: a p of 1e-4 is an e of 50.
    """
    if not math.isnan(e_value):
        return e_value
    if math.isnan(p_value):
        return math.nan
    return 0.5 * p_value**-0.5 if p_value > 0.0 else math.inf
