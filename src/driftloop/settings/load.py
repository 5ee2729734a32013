"""Reading `driftloop.toml` with every fault listed at once."""

from __future__ import annotations

import difflib
import os
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource
from pydantic_settings import SettingsError as UnreadableVariable

from driftloop.errors import Fault, SettingsError
from driftloop.settings.detectors import KINDS
from driftloop.settings.models import Settings
from driftloop.settings.presets import parse_policy
from driftloop.settings.secrets import HIDDEN, check_options, check_properties, is_secret

DEFAULT_FILE = "driftloop.toml"
FILE_VARIABLE = "DRIFTLOOP_CONFIG"
SERVERS_VARIABLE = "KAFKA_BOOTSTRAP_SERVERS"
PREFIX, DELIMITER = "DRIFTLOOP_", "__"


class _FileSettings(Settings):
    """Settings whose defaults come from a parsed file, below the environment."""

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],  # noqa: ARG003
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """The environment first, then what the file says; the rest is pydantic's interface."""
        return env_settings, init_settings


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


def load_settings(path: str | Path | None = None) -> Settings:
    """Read the configuration.

    Args:
        path: The file. By default `$DRIFTLOOP_CONFIG`, else ``driftloop.toml`` in the working
            directory if there is one, else built-in defaults.

    Returns:
        Checked settings. `DRIFTLOOP_<SECTION>__<KEY>` in the environment overrides the file;
        `KAFKA_BOOTSTRAP_SERVERS` overrides ``kafka.bootstrap_servers``.

    Raises:
        SettingsError: With every fault that was found.
    """
    file = configuration_file(path)
    document: dict[str, Any] = _parse(file) if file else {}
    source = str(file) if file else "the environment"
    servers = os.environ.get(SERVERS_VARIABLE)
    if servers and isinstance(document.get("kafka", {}), dict):
        document["kafka"] = {**document.get("kafka", {}), "bootstrap_servers": servers}
    faults = _secret_faults(document)
    document, unread = _with_own_policies(document)
    faults += unread
    try:
        settings = _FileSettings(**document)
    except ValidationError as error:
        faults += [_fault(detail, document) for detail in error.errors(include_url=False)]
        raise SettingsError([*faults, *_unknown_variables()], source) from None
    except UnreadableVariable as error:
        # pydantic's message names the key, never its value.
        faults.append(Fault("environment", HIDDEN, f"tables and lists are JSON ({error})"))
        raise SettingsError([*faults, *_unknown_variables()], source) from None
    # Once more, with what the environment added.
    faults = unread + _secret_faults(
        {
            "kafka": {"properties": settings.kafka.properties},
            "store": {"options": settings.store.options},
        }
    )
    faults += _unknown_variables()
    if not settings.profiles:
        faults.append(Fault("profiles", "none", "at least one profile"))
    if faults:
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


def _secret_faults(document: Mapping[str, Any]) -> list[Fault]:
    faults: list[Fault] = []
    kafka, store = document.get("kafka"), document.get("store")
    if isinstance(kafka, dict) and isinstance(kafka.get("properties"), dict):
        faults += check_properties(kafka["properties"], "kafka.properties")
    if isinstance(store, dict) and isinstance(store.get("options"), dict):
        faults += check_options(store["options"], "store.options")
    return faults


def _parse(file: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise SettingsError([Fault(str(file), error.strerror or "error", "a readable file")]) from (
            error
        )
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsError([Fault(str(file), str(error), "valid TOML")]) from error


def _fault(detail: Mapping[str, Any], document: Mapping[str, Any]) -> Fault:
    where = [str(part) for part in detail["loc"]]
    # The names of union members stand in pydantic's path, but not in the file.
    shown = [part for i, part in enumerate(where) if not _is_tag(where, i)]
    place = ".".join(shown)
    value = _look_up(document, shown)
    text = HIDDEN if _may_hold_secret(shown, value) else repr(value)
    if detail["type"] == "extra_forbidden":
        tags = {part for i, part in enumerate(where) if _is_tag(where, i)}
        return Fault(place, text, "a known key", _did_you_mean(shown, tags))
    rule = str(detail["msg"]).removeprefix("Value error, ")
    if detail["type"] == "missing":
        return Fault(place, "nothing", "a value")
    if detail["type"] == "union_tag_not_found":
        return Fault(f"{place}.kind", "nothing", "'count' or 'cycle'")
    if isinstance(value, dict):
        text = "this table"
    return Fault(place, text, rule[0].lower() + rule[1:])


def _may_hold_secret(path: list[str], value: Any) -> bool:
    # Whole tables of clients are never shown, nor what looks like a pasted `sasl.password=…`.
    table = path[0] in {"kafka", "store"} and path[-1] not in {"bootstrap_servers", "uri"}
    return table or any(is_secret(part) for part in path) or is_secret(str(value))


def _is_tag(where: list[str], index: int) -> bool:
    if index > 0 and where[index - 1] == "window":
        return where[index] in {"count", "cycle"}
    return index > 1 and where[index - 2] == "detectors" and where[index] in KINDS


def _look_up(document: Any, path: list[str]) -> Any:
    found = document
    for part in path:
        if isinstance(found, dict) and part in found:
            found = found[part]
        elif isinstance(found, list) and part.isdigit() and int(part) < len(found):
            found = found[int(part)]
        elif isinstance(found, str) and found is not document:
            return found  # the short form of a table
        else:
            return os.environ.get(PREFIX + DELIMITER.join(path).upper(), "nothing")
    return found


def _models(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    if get_origin(annotation) is not None or get_origin(annotation) is Union:
        return [model for part in get_args(annotation) for model in _models(part)]
    return []


def _keys(path: list[str], tags: set[str]) -> list[str]:
    """Known keys of the table that holds the last part of `path`, of the kind in `tags`."""
    models: list[type[BaseModel]] = [Settings]
    for part in path[:-1]:
        known = [
            found
            for model in models
            if part in model.model_fields
            for found in _models(model.model_fields[part].annotation)
        ]
        models = known or models  # a name that the user chose, as that of a profile
    kinds = [model for model in models if tags & _kinds(model)]
    return sorted({name for model in kinds or models for name in model.model_fields})


def _kinds(model: type[BaseModel]) -> set[str]:
    kind = model.model_fields.get("kind")
    return set() if kind is None else set(get_args(kind.annotation))


def _did_you_mean(path: list[str], tags: set[str]) -> str:
    keys = _keys(path, tags)
    close = difflib.get_close_matches(path[-1], keys, n=1, cutoff=0.6)
    return f"did you mean {close[0]!r}?" if close else "known: " + ", ".join(keys)


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
