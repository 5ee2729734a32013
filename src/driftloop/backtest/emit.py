"""A `driftloop.toml` with the chosen policy, which the monitor runs as is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import ValidationError

import driftloop
from driftloop.backtest.result import Result
from driftloop.errors import Fault, SettingsError
from driftloop.settings import (
    KafkaSettings,
    MlflowSettings,
    MonitorSettings,
    Policy,
    Profile,
    ScorerSettings,
    Settings,
    StoreSettings,
    TopicSettings,
    TrainerSettings,
    parse_policy,
)
from driftloop.settings.render import tables
from driftloop.settings.secrets import redact

_SECTIONS = {
    "kafka": KafkaSettings,
    "topics": TopicSettings,
    "monitor": MonitorSettings,
    "trainer": TrainerSettings,
    "scorer": ScorerSettings,
    "store": StoreSettings,
    "mlflow": MlflowSettings,
}


def emit_config(
    settings: Settings | Profile,
    policy: str | Policy,
    *,
    profile: str = "default",
    origin: Sequence[str] = (),
) -> str:
    """Write a configuration with a policy in it; `load_settings` reads it.

    Values that are built-in defaults are left out. Of client properties and store options,
    references to secrets stay, and pasted secrets are hidden. The policy stands as the backtest
    ran it, by its name, so all its other keys are the defaults, whatever policy the profile had.

    Args:
        settings: The whole configuration; or a profile alone, the rest by default.
        policy: A preset with its arguments, as ``reducible(20)``, or a policy of ``[policies]``;
            or a table, for a policy without such a name.
        profile: The profile that gets it; the others stay.
        origin: Comment lines on where it comes from, as `origin_of` writes them.

    Raises:
        SettingsError: There is no such profile, or no such policy.
    """
    if isinstance(settings, Profile):
        profiles, own, values = {profile: settings}, {}, {}
    else:
        profiles, own = dict(settings.profiles), dict(settings.policies)
        values = _beside_profiles(settings)
    if profile not in profiles:
        known = ", ".join(profiles)
        raise SettingsError([Fault("profile", repr(profile), f"one of the profiles: {known}")])
    chosen: Any = _pruned(policy, Policy()) if isinstance(policy, Policy) else policy
    if isinstance(policy, str):
        _check(policy, own)
    if own:
        values["policies"] = {name: _pruned(table, Policy()) for name, table in own.items()}
    values["profiles"] = {}
    for name, each in profiles.items():
        table = _pruned(each, Profile())
        table.pop("policy", None)
        if name == profile:
            table = {"policy": chosen, **table}
        elif each.policy != Policy():
            table["policy"] = _pruned(each.policy, Policy())
        values["profiles"][name] = table
    comments = ["# " + "".join(c if c.isprintable() else " " for c in line) for line in origin]
    return "\n".join([*comments, *tables(values)]).lstrip("\n") + "\n"


def origin_of(result: Result, policy: str) -> list[str]:
    """Comment lines for `emit_config`: which backtest chose the policy, and why."""
    lines = [f"Policy {policy}, from driftloop backtest {driftloop.__version__} of {result.data}."]
    if result.advice is not None and result.advice.policy == policy:
        lines += [result.advice.headline, *result.advice.warnings]
    return lines


def _beside_profiles(settings: Settings) -> dict[str, Any]:
    """Everything but policies and profiles, where it differs from the defaults."""
    values: dict[str, Any] = {}
    home = settings.home.as_posix()
    if home != Settings.model_fields["home"].default.as_posix():
        values["home"] = home
    for name, section in _SECTIONS.items():
        given = getattr(settings, name)
        dumped = _different(_dump(given), _dump(section()))
        for table in ("properties", "options"):
            if table in dumped:
                dumped[table] = redact(getattr(given, table))
        if dumped:
            values[name] = dumped
    return values


def _pruned(model: Policy | Profile, default: Policy | Profile) -> dict[str, Any]:
    """A model's values that are no defaults; `kind` always."""
    values = _different(_dump(model), _dump(default))
    if isinstance(model, Policy):
        return {"kind": model.kind, **values}
    return values


def _dump(model: Any) -> dict[str, Any]:
    dumped: dict[str, Any] = model.model_dump(mode="json", exclude_none=True)
    return dumped


def _different(values: Mapping[str, Any], defaults: Mapping[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in values.items():
        default = defaults.get(name)
        if value == default:
            continue
        found[name] = value
        if isinstance(value, Mapping) and isinstance(default, Mapping):
            if value.get("kind") == default.get("kind"):
                found[name] = _different(value, default)
            if name == "window":  # its kind tells which keys there are
                found[name] = {"kind": value["kind"], **found[name]}
    return found


def _check(policy: str, own: Mapping[str, Policy]) -> None:
    names = {name: _dump(table) for name, table in own.items()}
    try:
        Policy(**parse_policy(policy, names))
    except ValidationError as error:
        faults = [
            Fault(".".join(["policy", *map(str, detail["loc"])]), repr(policy), str(detail["msg"]))
            for detail in error.errors(include_url=False)
        ]
        raise SettingsError(faults) from None
    except ValueError as error:
        raise SettingsError([Fault("policy", repr(policy), str(error))]) from None
