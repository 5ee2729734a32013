"""Which of a fleet's proposals stand: control of needless retrains over its streams.

Simulated at fdr .05 (200 independent streams a tick; 'any': share of 1,000 ticks without drift that
retrain anything; then 20 of the 200 drift by 4.5 standard errors, 20 ticks of 20 fleets):

=========  =====  =================  =====
control    any    share of needless  power
=========  =====  =================  =====
bh         .055   .045               .97
e-bh       .000   .000               .41
lord       .006   .010               .97
saffron    .019   .045               .99
=========  =====  =================  =====

e-BH runs here on e-values that are made of p-values, which is what it costs to need no assumption.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from driftloop.messages import Ground, RetrainRequested
from driftloop.policy.fleet_items import FleetObservation
from driftloop.policy.fleet_voice import e_of
from driftloop.settings import Fleet
from driftloop.statistics.online_fdr import LordPlusPlus, Saffron, bh_rejections, e_bh


class Proposal(NamedTuple):
    """A retrain that a stream proposes.

    Attributes:
        at: Event time at which its window could close, ms.
        request: The request as the stream made it.
        grounds: What the fleet found on it so far.
        stands: Whether the fleet's error control lets it through.
    """

    at: int
    request: RetrainRequested
    grounds: list[Ground]
    stands: bool


class FleetControl:
    """The error control of one fleet; online procedures remember all tests so far.

    Args:
        fleet: Its settings.
    """

    def __init__(self, fleet: Fleet) -> None:
        self.fleet = fleet
        self._tests = 0
        self._online: LordPlusPlus | Saffron | None = None
        if fleet.control == "lord":
            self._online = LordPlusPlus(fleet.fdr)
        elif fleet.control == "saffron":
            self._online = Saffron(fleet.fdr)

    @property
    def at_arrival(self) -> bool:
        """Whether windows are tested as they come, without waiting for their tick."""
        return self._online is not None

    def judge_one(self, observation: FleetObservation) -> Proposal | None:
        """Test one window as it comes; None where it proposes nothing."""
        p, request = observation.p_value, observation.request
        if self._online is None or math.isnan(p):
            return None if request is None else untested(observation, request)
        level, rejected = self._online.test(p)
        self._tests += 1
        if request is None:
            return None
        ground = Ground(
            criterion="fleet-control",
            family="fleet",
            statistic=self._tests,
            p_value=p,
            threshold=level,
            rejected=rejected,
            n=self._tests,
            window=request.data,
            detail=(
                f"{self.fleet.control} at fdr {self.fleet.fdr:g}: p against the level of the "
                f"fleet's test {self._tests}"
            ),
        )
        return Proposal(observation.at, request, [ground], rejected)

    def judge(self, observations: list[FleetObservation]) -> list[Proposal]:
        """Test a tick's windows together; proposals in the order of their windows."""
        if self.fleet.control == "stream":
            return [untested(one, one.request) for one in observations if one.request is not None]
        p = np.array([one.p_value for one in observations])
        e = np.array([e_of(one.p_value, one.e_value) for one in observations])
        by_e = self.fleet.control == "e-bh"
        rejected = e_bh(e, self.fleet.fdr) if by_e else bh_rejections(p, self.fleet.fdr)
        m = int(np.count_nonzero(~np.isnan(e if by_e else p)))
        k = int(rejected.sum())
        ranks = _ranks(-e if by_e else p)
        out = []
        for index, one in enumerate(observations):
            if one.request is None:
                continue
            if math.isnan(e[index] if by_e else p[index]):
                out.append(untested(one, one.request))
                continue
            hit = bool(rejected[index])
            ground = self._ground(one, int(ranks[index]), float(e[index]), m, k, hit=hit)
            out.append(Proposal(one.at, one.request, [ground], hit))
        return out

    def _ground(
        self, one: FleetObservation, rank: int, e: float, m: int, k: int, *, hit: bool
    ) -> Ground:
        """What the tick's procedure says of one window.

        The threshold is that of the k windows that were rejected, or of the first rank if none was:
        so p ≤ threshold, or e ≥ threshold, is the verdict.
        """
        fdr, by_e = self.fleet.fdr, self.fleet.control == "e-bh"
        threshold = m / (fdr * max(k, 1)) if by_e else fdr * max(k, 1) / m
        return Ground(
            criterion="fleet-control",
            family="fleet",
            statistic=(e if math.isfinite(e) else None) if by_e else rank,
            p_value=None if math.isnan(one.p_value) else one.p_value,
            effect=rank,
            threshold=threshold,
            rejected=hit,
            n=m,
            window=[] if one.request is None else one.request.data,
            detail=(
                f"{self.fleet.control} at fdr {fdr:g}: rank {rank} of the tick's {m} windows, "
                f"of which {k} are rejected; "
                + ("the statistic is the e-value" if by_e else "p against fdr k / m")
            ),
        )


def untested(observation: FleetObservation, request: RetrainRequested) -> Proposal:
    """A proposal that has no p-value to control, or whose stream controls its own."""
    return Proposal(observation.at, request, [], stands=True)


def _ranks(values: np.ndarray) -> np.ndarray:
    """Rank from 1, smallest first, in the order given where equal; nan last."""
    ranks = np.empty(len(values), np.int64)
    ranks[np.argsort(values, kind="stable")] = np.arange(1, len(values) + 1)
    return ranks
