"""Reading `driftloop.toml` with every fault listed at once."""

from __future__ import annotations

import copy
import difflib
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from pydantic_settings import BaseSettings, EnvSettingsSource, PydanticBaseSettingsSource
from pydantic_settings import SettingsError as UnreadableVariable

from driftloop.errors import Fault, SettingsError
from driftloop.settings.across import across
from driftloop.settings.faults import Found, explain, look_up
from driftloop.settings.models import Settings
from driftloop.settings.presets import parse_policy
from driftloop.settings.secrets import HIDDEN, check_options, check_properties
from driftloop.settings.toml import parse

Place = tuple[str, ...]
Check = Callable[[Settings], list[Fault]]

DEFAULT_FILE = "driftloop.toml"
FILE_VARIABLE = "DRIFTLOOP_CONFIG"
SERVERS_VARIABLE = "KAFKA_BOOTSTRAP_SERVERS"
PREFIX, DELIMITER = "DRIFTLOOP_", "__"
# Faults of keys, then of tables, then of what holds them; each round takes something out.
_ROUNDS = 20


class _Document(Settings):
    """Settings from a document that holds the environment's already."""

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],  # noqa: ARG003
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,  # noqa: ARG003
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """The document alone; the rest is pydantic's interface."""
        return (init_settings,)


def configuration_file(path: str | Path | None = None) -> Path | None:
    """The file that `load_settings` reads, or nothing where it reads none.

    A file that was named, by `path` or `$DRIFTLOOP_CONFIG`, is returned whether it exists or not.
    """
    named = path or os.environ.get(FILE_VARIABLE)
    file = Path(named or DEFAULT_FILE)
    return file if named or file.exists() else None


def environment_overrides() -> dict[str, tuple[str, ...]]:
    """Variables that override a key, each with the key's path in capitals."""
    found = {
        name: tuple(name.removeprefix(PREFIX).split(DELIMITER))
        for name in sorted(os.environ)
        if name.startswith(PREFIX)
        and name.removeprefix(PREFIX).split(DELIMITER)[0].lower() in Settings.model_fields
    }
    bootstrap = ("KAFKA", "BOOTSTRAP_SERVERS")
    if os.environ.get(SERVERS_VARIABLE) and bootstrap not in found.values():
        found[SERVERS_VARIABLE] = bootstrap
    return found


def load_settings(path: str | Path | None = None, *, also: Check | None = None) -> Settings:
    """Read the configuration.

    Args:
        path: The file. By default `$DRIFTLOOP_CONFIG`, else ``driftloop.toml`` in the working
            directory if there is one, else built-in defaults.
        also: Gives further faults, told with all others. It is handed settings in which a key at
            fault has its default.

    Returns:
        Checked settings. `DRIFTLOOP_<SECTION>__<KEY>` in the environment overrides the file;
        `KAFKA_BOOTSTRAP_SERVERS` overrides ``kafka.bootstrap_servers``.

    Raises:
        SettingsError: With every fault that was found.
    """
    file = configuration_file(path)
    document: dict[str, Any] = parse(file) if file else {}
    source = str(file) if file else "the environment"
    servers = os.environ.get(SERVERS_VARIABLE)
    if servers and isinstance(document.get("kafka", {}), dict):
        document["kafka"] = {**document.get("kafka", {}), "bootstrap_servers": servers}
    unreadable = []
    try:
        document = _merged(document, EnvSettingsSource(Settings)())
    except UnreadableVariable as error:
        # pydantic's message names the key, never its value.
        rule = f"tables and lists are JSON ({error})"
        unreadable.append(Fault("environment", HIDDEN, rule))
    faults = _secret_faults(document)
    document, unread = _with_own_policies(document)
    faults += unread
    settings, found, unsound = _validate(document)
    if settings is not None:
        profiles = ("profiles",)
        if not settings.profiles and not any(path[:1] == profiles for path in unsound):
            faults.append(Fault("profiles", "none", "at least one profile"))
        found += [one for one in across(settings) if _rests(one, unsound)]
        if also is not None:
            known = {fault.place for fault in faults}
            faults += [fault for fault in also(settings) if fault.place not in known]
    faults = [one.fault for one in found] + faults + unreadable + _unknown_variables()
    if faults or settings is None:
        raise SettingsError(faults, source)
    return settings


def _with_own_policies(document: dict[str, Any]) -> tuple[dict[str, Any], list[Fault]]:
    """Replace the names of policies by their tables, and tell those that are none."""
    profiles, own = document.get("profiles"), document.get("policies")
    if not isinstance(profiles, dict) or not isinstance(own, dict):
        return document, []
    resolved, faults = {}, []
    for name, profile in profiles.items():
        policy = profile.get("policy") if isinstance(profile, dict) else None
        resolved[name] = profile
        if isinstance(policy, str):
            tables = {key: table for key, table in own.items() if isinstance(table, dict)}
            try:
                resolved[name] = {**profile, "policy": parse_policy(policy, tables)}
            except ValueError as error:
                faults.append(Fault(f"profiles.{name}.policy", repr(policy), str(error)))
                resolved[name] = {**profile, "policy": {}}
    return {**document, "profiles": resolved}, faults


def _validate(document: dict[str, Any]) -> tuple[Settings | None, list[Found], list[Place]]:
    """Settings, faults, and the keys at fault: these have their defaults.

    What is at fault is taken out and the rest is read again, as pydantic looks at what must fit
    together only where each key is sound by itself.
    """
    document, found = copy.deepcopy(document), list[Found]()
    unsound: list[Place] = []
    for _ in range(_ROUNDS):
        try:
            return _Document(**document), found, unsound
        except ValidationError as error:
            details = error.errors(include_url=False)
        told = [one for detail in details for one in explain(detail, document)]
        found += [one for one in told if _rests(one, unsound)]
        unsound += [_take_out(document, one.path) for one in told]
    return None, found, unsound


def _rests(found: Found, unsound: Sequence[Place]) -> bool:
    """Whether a fault rests on sound keys only: else it may be the trace of another one."""
    return not any(key[: len(place)] == place for key in found.keys for place in unsound)


def _take_out(document: dict[str, Any], path: Place) -> Place:
    """Remove what stands at a path, or the nearest table around it that is there."""
    for depth in range(len(path), 0, -1):
        holder = look_up(document, path[: depth - 1])
        if isinstance(holder, dict) and path[depth - 1] in holder:
            del holder[path[depth - 1]]
            return path[:depth]
    return path


def _merged(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """Two documents, of which the second one counts where both have a value."""
    merged = dict(below)
    for key, value in above.items():
        old = merged.get(key)
        both = isinstance(old, Mapping) and isinstance(value, Mapping)
        merged[key] = _merged(old, value) if both else value  # type: ignore[arg-type]
    return merged


def _secret_faults(document: Mapping[str, Any]) -> list[Fault]:
    faults: list[Fault] = []
    kafka, store = document.get("kafka"), document.get("store")
    if isinstance(kafka, dict) and isinstance(kafka.get("properties"), dict):
        faults += check_properties(kafka["properties"], "kafka.properties")
    if isinstance(store, dict) and isinstance(store.get("options"), dict):
        faults += check_options(store["options"], "store.options")
    return faults


def _unknown_variables() -> list[Fault]:
    sections = set(Settings.model_fields)
    faults = []
    for name in sorted(os.environ):
        if not name.startswith(PREFIX) or DELIMITER not in name:
            continue
        section = name.removeprefix(PREFIX).split(DELIMITER)[0].lower()
        if section not in sections:
            close = difflib.get_close_matches(section, sections, n=1, cutoff=0.6)
            hint = f"did you mean {PREFIX}{close[0].upper()}__…?" if close else ""
            faults.append(Fault(name, "(as set)", "an override of a known section", hint))
    return faults


__all__ = ["DEFAULT_FILE", "configuration_file", "environment_overrides", "load_settings"]
