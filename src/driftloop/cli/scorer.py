"""``driftloop scorer``: predict with each stream's current model."""

from __future__ import annotations

from pathlib import Path

import typer

from driftloop import logs
from driftloop.cli.extras import need
from driftloop.cli.flows import (
    Addresses,
    Config,
    Metrics,
    Processes,
    ProcessId,
    Workers,
    cluster,
    console,
    load,
    ready,
    serve,
    started,
)
from driftloop.engine.run import run_flow

app = typer.Typer(add_completion=False)


@app.command()
def scorer(
    *,
    config: Config = None,
    processes: Processes = 1,
    workers: Workers = 1,
    process_id: ProcessId = None,
    addresses: Addresses = None,
    metrics: Metrics = "",
) -> None:
    """Read feature topics, predict, write to the streams' topics; follow version events.

    Ctrl-C or SIGTERM finishes what was read and exits 0; the next start goes on from there.
    """
    need("scorer", "safetensors")
    members = cluster(processes, process_id, addresses)
    logs.configure()
    settings = load(config)
    serve(metrics, "scorer", settings, processes)
    ready("scorer", settings)
    if console.is_terminal:
        console.print(
            f"Scoring topics that match [bold]{settings.scorer.topics}[/] into "
            f"[bold]{settings.scorer.output}[/] on {settings.kafka.bootstrap_servers}; "
            f"versions come from {settings.topics.models}",
            soft_wrap=True,
        )
        console.print("  Ctrl-C drains and stops.")
    started("scorer.started", settings)
    run_flow(
        "driftloop.scorer.flow:flow",
        processes=processes,
        workers=workers,
        recovery=Path(settings.scorer.recovery) if settings.scorer.recovery else None,
        epoch_seconds=settings.monitor.epoch.total_seconds(),
        process_id=process_id,
        addresses=members,
        setup="driftloop.cli.flows:begin",
    )
