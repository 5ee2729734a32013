"""Reading the configuration for a command: all faults at once, then exit status 2."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path

import typer
from rich.console import Console
from rich.text import Text

from driftloop.errors import Fault, SettingsError
from driftloop.settings import Profile, Settings, load_settings
from driftloop.settings.kinds import BUILT_IN_KINDS, unknown_kinds
from driftloop.settings.load import Check


def tell(error: object) -> None:
    """Print an error; square brackets stay, as in ``topic[partition]@offset``."""
    told = Text.assemble(("Error: ", "bold red"), str(error))
    Console(stderr=True, highlight=False).print(told, soft_wrap=True)


def load(path: Path | None, *, also: Check | None = None) -> Settings:
    """The configuration; every fault is shown, and the command ends with status 2."""
    try:
        return load_settings(path, also=also)
    except SettingsError as error:
        tell(error)
        raise typer.Exit(2) from error


def load_checked(path: Path | None, *, models: bool = True) -> Settings:
    """As `load`; besides, a Kafka client and all criteria can be made, and secrets can be read.

    Args:
        path: The file.
        models: Whether all model kinds must be usable here, too; the monitor needs none of them.
    """
    return load(path, also=_with_models if models else _further)


def _further(settings: Settings) -> list[Fault]:
    # What only looks starts quicker without them.
    from driftloop.criteria import criteria_faults  # noqa: PLC0415
    from driftloop.kafka.check import client_faults  # noqa: PLC0415

    return [*client_faults(settings), *criteria_faults(settings.chosen_policies)]


def _with_models(settings: Settings) -> list[Fault]:
    return [*_further(settings), *model_faults(settings.profiles)]


def model_faults(profiles: Mapping[str, Profile]) -> list[Fault]:
    """Model kinds that cannot be used here, and params that they do not take."""
    kinds = {name: profile.model.kind for name, profile in profiles.items()}
    if BUILT_IN_KINDS.keys() >= set(kinds.values()) or find_spec("safetensors") is None:
        return unknown_kinds(kinds)
    from driftloop.models import kind_faults  # noqa: PLC0415  # needs safetensors

    return kind_faults(profiles)
