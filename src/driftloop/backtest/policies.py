"""Policies that a backtest tries where none, or a whole grid, is asked for."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from pydantic import ValidationError

from driftloop.criteria import criteria_faults
from driftloop.errors import Fault, SettingsError
from driftloop.settings import Profile, parse_policy
from driftloop.settings.base import format_duration
from driftloop.settings.profile import CycleWindow

_PERIODS = (2, 4, 8, 16)
_GRID_PERIODS = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32)
_COSTS = (10, 20, 50)
_GRID_COSTS = (2, 5, 10, 20, 35, 50, 70, 100, 140, 200, 500)
_MIN_WINDOW = 0.5
_GRID_ALPHAS = (0.01, 0.1, 1, 10, 100)
_GRID_DETECTORS = ("adwin", "page_hinkley", "hddm_w", "ddm", "fhddm")


def default_policies(profile: Profile) -> list[str]:
    """Thirteen policies, one or some of each family."""
    return [
        "never",
        "always",
        *_periods(profile, _PERIODS),
        *(f"reducible({cost})" for cost in _COSTS),
        f"reducible(20, min_window={_MIN_WINDOW})",
        "mlma(1)",
        "multi-criteria(2, alpha_per_year=1)",
        "detector(adwin)",
    ]


def grid(profile: Profile) -> list[str]:
    """Each family over its threshold."""
    detectors = [
        name
        for name in _GRID_DETECTORS
        if name not in {"ddm", "fhddm"} or profile.task != "regression"
    ]
    return [
        "never",
        "always",
        *_periods(profile, _GRID_PERIODS),
        *(f"reducible({cost})" for cost in _GRID_COSTS),
        *(f"reducible({cost}, min_window={_MIN_WINDOW})" for cost in _GRID_COSTS),
        *(f"mlma({alpha})" for alpha in _GRID_ALPHAS),
        *(f"multi-criteria(2, alpha_per_year={alpha})" for alpha in _GRID_ALPHAS),
        *(f"vote({votes}, alpha_per_year=1)" for votes in (1, 2, 3)),
        *(f"detector({name})" for name in detectors),
    ]


def _periods(profile: Profile, multiples: Iterable[int]) -> list[str]:
    window = profile.window
    if isinstance(window, CycleWindow):
        return [f"periodic({format_duration(window.length * k)})" for k in multiples]
    return [f"periodic({window.records * k})" for k in multiples]


def profiles_of(
    profile: Profile, names: Iterable[str], own: Mapping[str, Any] | None = None
) -> dict[str, Profile]:
    """The data's profile under each policy, in the order of the names, each once.

    Args:
        profile: What the records mean.
        names: As ``driftloop backtest --policy`` takes them.
        own: The tables of ``[policies]``.

    Raises:
        SettingsError: Lists every name that is not understood.
    """
    found: dict[str, Profile] = {}
    faults: list[Fault] = []
    dumped = profile.model_dump(mode="json", exclude_none=True)
    for name in dict.fromkeys(names):
        try:
            table = parse_policy(name, own)
            found[name] = Profile.model_validate({**dumped, "policy": table})
            faults += criteria_faults({f"--policy {name}": found[name].policy})
        except ValidationError as error:
            faults += [
                Fault(
                    f"--policy {name}",
                    repr(table.get(str(one["loc"][-1]), name)) if one["loc"] else name,
                    str(one["msg"]).removeprefix("Value error, "),
                )
                for one in error.errors(include_url=False)
            ]
        except ValueError as error:
            faults.append(Fault("--policy", repr(name), str(error)))
    if faults:
        raise SettingsError(faults, "--policy")
    return found
