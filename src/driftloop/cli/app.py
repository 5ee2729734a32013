"""The ``driftloop`` command: lists the command groups, and loads only the one that is asked for.

So ``driftloop kafka`` needs neither bytewax nor torch, and ``driftloop --help`` is quick. A command
group is a module with a `typer.Typer` named ``app``, and a line in `_COMMANDS`.
"""

from __future__ import annotations

import sys
from importlib import import_module
from importlib.util import find_spec
from typing import Any

import typer
from rich.console import Console
from rich.text import Text
from typer.core import TyperCommand, TyperGroup

from driftloop import __version__
from driftloop.errors import DriftloopError, SettingsError

# Name: (module, the line that `driftloop --help` shows).
_COMMANDS = {
    "demo": (
        "driftloop.cli.demo",
        "Replay the flights of 2013 and watch models drift and recover.",
    ),
    "kafka": ("driftloop.cli.kafka", "Start, stop and look at a local Kafka."),
    "config": ("driftloop.cli.config", "Check, show and start a configuration."),
    "backtest": ("driftloop.cli.backtest", "Try policies on your own history before trusting one."),
    "health": ("driftloop.cli.health", "Say whether a part on this machine is alive."),
    "monitor": ("driftloop.cli.monitor", "Watch the streams and request retraining."),
    "trainer": ("driftloop.cli.trainer", "Serve retrain requests."),
    "scorer": ("driftloop.cli.scorer", "Predict with each stream's current model."),
    "models": ("driftloop.cli.models", "List, compare, verify, export and prune model versions."),
    "streams": ("driftloop.cli.streams", "List streams, those that need a person first."),
    "status": ("driftloop.cli.status", "Show the fleet at a glance."),
    "events": ("driftloop.cli.events", "Follow what Driftloop says."),
    "stream": (
        "driftloop.cli.stream",
        "Show a stream; or order something for it: retrain, snooze, pin, roll back.",
    ),
    "audit": ("driftloop.cli.audit", "List who ordered what, and what came of it."),
    "dlq": ("driftloop.cli.dlq", "List, show and replay dead letters: what could not be read."),
    "doctor": ("driftloop.cli.doctor", "Check broker, rights, topics, store and clock."),
    "explain": ("driftloop.cli.explain", "Say why a model was retrained, and check the decision."),
    "dashboard": ("driftloop.cli.dashboard", "Show all streams in a browser, and steer them."),
}


class _LazyGroup(TyperGroup):
    """Shows a line for each command group and imports a group when it is run."""

    def list_commands(self, ctx: Any) -> list[str]:
        """Name the command groups that are installed."""
        del ctx
        return [name for name, (module, _) in _COMMANDS.items() if find_spec(module)]

    def get_command(self, ctx: Any, cmd_name: str) -> TyperCommand | None:
        """Give a stand-in that knows its help line."""
        if cmd_name not in self.list_commands(ctx):
            return None
        return TyperCommand(cmd_name, help=_COMMANDS[cmd_name][1])

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Load the command that is about to run."""
        name, command, rest = super().resolve_command(ctx, args)
        if name is not None and command is not None:
            loaded = typer.main.get_command(import_module(_COMMANDS[name][0]).app)
            loaded.name = name
            return name, loaded, rest
        return name, command, rest


app = typer.Typer(cls=_LazyGroup, no_args_is_help=True)


def _show_version(wanted: bool) -> None:  # noqa: FBT001
    if wanted:
        typer.echo(f"driftloop {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    *,
    version: bool = typer.Option(
        False, "--version", callback=_show_version, is_eager=True, help="Show the version and exit."
    ),
) -> None:
    """Watch prediction streams on Kafka and retrain the models that drift."""
    del version


def main() -> None:
    """Run the command line; what a user can mend is told in words, without a traceback.

    Exit status 2 says that the configuration or an option is at fault, 1 that something else is;
    ``driftloop stream`` ends with 3 where nothing answered in time.
    """
    try:
        app()
    except Exception as error:
        told = in_words(error)
        if told is None:
            raise
        shown = Text.assemble(("Error: ", "bold red"), told)
        Console(stderr=True, highlight=False).print(shown, soft_wrap=True)
        sys.exit(2 if isinstance(error, SettingsError) else 1)


def in_words(error: Exception) -> str | None:
    """What went wrong outside of Driftloop, or None for a fault of its own."""
    if isinstance(error, DriftloopError):
        return str(error)
    if isinstance(error, OSError) and error.filename is not None:
        return f"{error.filename}: {error.strerror}"
    # Known only where the client was imported: most commands start quicker without it.
    client = sys.modules.get("confluent_kafka")
    if client is not None and isinstance(error, client.KafkaException):
        cause = error.args[0]
        return f"the Kafka client: {cause.name()}: {cause.str()}"
    return None
