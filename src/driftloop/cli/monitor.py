"""``driftloop monitor``: watch the streams and request retraining."""

from __future__ import annotations

import threading
from pathlib import Path

import typer

from driftloop import logs
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
from driftloop.monitor.artifacts import check

app = typer.Typer(add_completion=False)


@app.command()
def monitor(
    *,
    config: Config = None,
    processes: Processes = 1,
    workers: Workers = 1,
    process_id: ProcessId = None,
    addresses: Addresses = None,
    metrics: Metrics = "",
) -> None:
    """Subscribe to every stream's topic, test its windows, request retrains, until stopped.

    Ctrl-C or SIGTERM drains what was read and exits 0; the next start goes on from there.
    """
    members = cluster(processes, process_id, addresses)
    logs.configure()
    settings = load(config, models=False)  # it requests models, and needs none
    serve(metrics, "monitor", settings, processes)
    ready("monitor", settings)
    # Aside: a store that does not answer must not hold the streams back.
    threading.Thread(target=check, args=(settings,), name="driftloop-store", daemon=True).start()
    recovery = settings.monitor.recovery
    if console.is_terminal:
        patterns = ", ".join(profile.topics for profile in settings.profiles.values())
        console.print(f"Monitoring topics that match [bold]{patterns}[/]", soft_wrap=True)
        console.print(
            f"  on {settings.kafka.bootstrap_servers}; requests go to {settings.topics.retrain}, "
            f"evidence to {settings.topics.evidence}; snapshots in {recovery or 'no folder'}",
            soft_wrap=True,
        )
        console.print("  Ctrl-C drains and stops.")
    started("monitor.started", settings)
    run_flow(
        "driftloop.monitor.flow:flow",
        processes=processes,
        workers=workers,
        recovery=Path(recovery) if recovery else None,
        epoch_seconds=settings.monitor.epoch.total_seconds(),
        process_id=process_id,
        addresses=members,
        setup="driftloop.cli.flows:begin",
    )
