"""Reading the configuration for a command: all faults at once, then exit status 2."""

from __future__ import annotations

from pathlib import Path

import typer
from rich.console import Console
from rich.text import Text

from driftloop.criteria import criteria_faults
from driftloop.errors import Fault, SettingsError
from driftloop.kafka.check import client_faults
from driftloop.settings import Settings, load_settings
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


def load_checked(path: Path | None) -> Settings:
    """As `load`; besides, a Kafka client and all criteria can be made, and secrets can be read."""
    return load(path, also=_further)


def _further(settings: Settings) -> list[Fault]:
    return [*client_faults(settings), *criteria_faults(settings.chosen_policies)]
