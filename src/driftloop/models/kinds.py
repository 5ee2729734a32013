"""Model plug-ins by name: those that Driftloop brings, and those of other packages.

A package adds its own under the entry point group ``driftloop.models``: a name, and a class or
object that keeps to `driftloop.models.contract.ModelPlugin`.
"""

from __future__ import annotations

import importlib
import importlib.metadata
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from driftloop.errors import Fault, SettingsError
from driftloop.models.contract import ModelPlugin
from driftloop.models.formats import FORMATS, needed
from driftloop.settings import Profile
from driftloop.settings.kinds import (
    BUILT_IN_KINDS,
    MODELS_GROUP,
    SHIPPED_KINDS,
    unknown_kind,
    unknown_kinds,
)

_TASKS = frozenset({"regression", "binary", "multiclass"})
_PARTS = ("name", "tasks", "format", "check", "fit", "predict", "describe")


def is_plugin(kind: str) -> bool:
    """Whether a kind is none of Driftloop's own stacked ones."""
    return kind not in BUILT_IN_KINDS


def make_plugin(name: str) -> ModelPlugin:
    """The plug-in of a kind, made once.

    Raises:
        SettingsError: Nobody registered the name, its package cannot be loaded, or it breaks the
            contract.
    """
    return _made(name)


@lru_cache(maxsize=64)
def _made(name: str) -> ModelPlugin:
    try:
        found = _load(name)
        plugin = found() if isinstance(found, type) else found
    except SettingsError:
        raise
    except ImportError as error:
        rule = f"a kind whose package is installed ({error}; {needed(error)})"
        raise SettingsError([Fault("model.kind", repr(name), rule)]) from error
    except Exception as error:  # a plug-in may raise what it likes
        rule = f"a kind whose package can be loaded ({type(error).__name__}: {error})"
        raise SettingsError([Fault("model.kind", repr(name), rule)]) from error
    broken = _broken(plugin)
    if broken:
        rule = f"a kind that keeps to the contract of model plug-ins ({broken})"
        raise SettingsError([Fault("model.kind", repr(name), rule)])
    return plugin  # type: ignore[no-any-return]


def _load(name: str) -> Any:
    if name in SHIPPED_KINDS:
        module = importlib.import_module(f"driftloop.models.plugins.{SHIPPED_KINDS[name]}")
        return module.PLUGINS[name]
    points = importlib.metadata.entry_points(group=MODELS_GROUP, name=name)
    if not points:
        raise SettingsError([unknown_kind("model.kind", name)])
    return next(iter(points)).load()


def _broken(plugin: Any) -> str:
    missing = [part for part in _PARTS if not hasattr(plugin, part)]
    if missing:
        return f"it has no {', '.join(missing)}"
    if plugin.format not in FORMATS:
        return f"its format is {plugin.format!r}, and must be one of {', '.join(FORMATS)}"
    tasks = frozenset(plugin.tasks)
    if not tasks or not tasks <= _TASKS:
        return f"its tasks are {sorted(tasks)}, and must be some of {sorted(_TASKS)}"
    return ""


def kind_faults(profiles: Mapping[str, Profile]) -> list[Fault]:
    """What is wrong with the model kinds of profiles, and with their ``params``.

    Args:
        profiles: By name; places of faults begin with ``profiles.<name>.model``.
    """
    faults = unknown_kinds({name: profile.model.kind for name, profile in profiles.items()})
    unknown = {fault.place for fault in faults}
    for name, profile in profiles.items():
        place = f"profiles.{name}.model"
        if f"{place}.kind" not in unknown and is_plugin(profile.model.kind):
            faults += _plugin_faults(place, profile)
    return faults


def _plugin_faults(place: str, profile: Profile) -> list[Fault]:
    kind, params = profile.model.kind, dict(profile.model.params)
    try:
        plugin = make_plugin(kind)
    except SettingsError as error:
        return [Fault(f"{place}.kind", one.value, one.rule, one.hint) for one in error.faults]
    faults = []
    if profile.task not in plugin.tasks:
        rule = f"a kind that fits task {profile.task}"
        faults.append(Fault(f"{place}.kind", repr(kind), rule))
    try:
        told = list(plugin.check(params))
    except Exception as error:  # noqa: BLE001  # a plug-in may raise what it likes
        told = [f"its check failed: {type(error).__name__}: {error}"]
    rule = f"parameters that {kind} takes"
    return faults + [Fault(f"{place}.params", repr(params), f"{rule}: {one}") for one in told]
