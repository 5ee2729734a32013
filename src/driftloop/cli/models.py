"""``driftloop models list | show | diff | export | verify | prune``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from driftloop.cli.completion import complete_stream
from driftloop.cli.extras import need
from driftloop.cli.settings import load_checked

if TYPE_CHECKING:
    from driftloop.cli.model_shelf import Shelf

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    help="List, compare, verify, export and prune model versions.",
)

Config = Annotated[
    Path | None, typer.Option("--config", help="Configuration file; default driftloop.toml.")
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]
Offline = Annotated[
    bool,
    typer.Option("--offline", help="Ask no Kafka: what is current and pinned is not told then."),
]
Stream = Annotated[
    str,
    typer.Argument(help="The stream: a topic, or topic:partition.", autocompletion=complete_stream),
]
Version = Annotated[
    str | None, typer.Argument(help="As v3, or the name of its folder; default the current one.")
]


def _shelf(config: Path | None, *, offline: bool) -> Shelf:
    """The store, and what Kafka says of it; safetensors is needed from here on."""
    need("models", "safetensors")
    from driftloop.cli.model_shelf import Shelf  # noqa: PLC0415  # needs safetensors

    return Shelf(load_checked(config), offline=offline)


@app.command("list")
def list_(
    stream: Annotated[
        str | None,
        typer.Argument(help="A stream; default all, a line each.", autocompletion=complete_stream),
    ] = None,
    *,
    limit: Annotated[int, typer.Option(min=0, help="Newest versions shown; 0 for all.")] = 20,
    offline: Offline = False,
    json: Json = False,
    config: Config = None,
) -> None:
    """List the versions of a stream, newest first, or all streams."""
    shelf = _shelf(config, offline=offline)
    from driftloop.cli import model_listing  # noqa: PLC0415  # needs safetensors

    model_listing.show_list(shelf, stream, limit, json=json)


@app.command()
def show(
    stream: Stream,
    version: Version = None,
    *,
    offline: Offline = False,
    json: Json = False,
    config: Config = None,
) -> None:
    """Show one version: what it is, how it was judged, what it was trained on."""
    shelf = _shelf(config, offline=offline)
    from driftloop.cli import model_listing  # noqa: PLC0415  # needs safetensors

    model_listing.show_version(shelf, stream, version, json=json)


@app.command()
def diff(
    stream: Stream,
    old: Annotated[str, typer.Argument(help="A version, as v3.")],
    new: Annotated[str, typer.Argument(help="Another version, as v4.")],
    *,
    offline: Offline = False,
    json: Json = False,
    config: Config = None,
) -> None:
    """Compare two versions: features, settings, metrics, and how far the weights moved."""
    shelf = _shelf(config, offline=offline)
    from driftloop.cli import model_listing  # noqa: PLC0415  # needs safetensors

    model_listing.show_difference(shelf, stream, old, new, json=json)


@app.command()
def export(
    stream: Stream,
    version: Version = None,
    *,
    to: Annotated[Path, typer.Option(help="A folder, or a file where the format has one.")],
    format_: Annotated[
        Literal["safetensors", "onnx"],
        typer.Option("--format", help="safetensors: the artifact as it lies in the store."),
    ] = "safetensors",
    force: Annotated[bool, typer.Option("--force", help="Replace files that are there.")] = False,
    offline: Offline = False,
    json: Json = False,
    config: Config = None,
) -> None:
    """Write a verified copy of a version."""
    shelf = _shelf(config, offline=offline)
    from driftloop.cli import model_care  # noqa: PLC0415  # needs safetensors

    model_care.export(shelf, stream, version, to, format_, force=force, json=json)


@app.command()
def verify(
    stream: Annotated[
        str | None, typer.Argument(help="A stream; default all.", autocompletion=complete_stream)
    ] = None,
    version: Annotated[str | None, typer.Argument(help="A version; default all.")] = None,
    *,
    offline: Offline = False,
    json: Json = False,
    config: Config = None,
) -> None:
    """Read versions again, and compare every hash; exit status 1 when one is at fault."""
    shelf = _shelf(config, offline=offline)
    from driftloop.cli import model_care  # noqa: PLC0415  # needs safetensors

    model_care.verify(shelf, stream, version, json=json)


@app.command()
def prune(
    stream: Annotated[
        str | None, typer.Argument(help="A stream; default all.", autocompletion=complete_stream)
    ] = None,
    *,
    yes: Annotated[
        bool, typer.Option("--yes/--dry-run", help="Remove them, or only show what would go.")
    ] = False,
    keep: Annotated[
        int | None, typer.Option(min=1, help="Newest versions that stay; default store.keep.")
    ] = None,
    json: Json = False,
    config: Config = None,
) -> None:
    """Remove what retention leaves no place for, and what was left half-written.

    Stays: the newest versions of each stream, what is current, its parent, what is pinned, what a
    command named of late, and all that is younger than store.grace. Kafka must answer.
    """
    shelf = _shelf(config, offline=False)
    from driftloop.cli import model_care  # noqa: PLC0415  # needs safetensors

    model_care.prune(shelf, stream, keep, yes=yes, json=json)
