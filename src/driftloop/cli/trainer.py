"""``driftloop trainer``: serve retrain requests."""

from __future__ import annotations

import signal
import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from types import FrameType
from typing import TYPE_CHECKING, Annotated, Any

import structlog
import typer
from rich.console import Console

from driftloop import logs
from driftloop.cli.extras import need
from driftloop.cli.flows import Config, Metrics, console, load, serve
from driftloop.errors import (
    Fault,
    KafkaUnavailableError,
    SettingsError,
    StoreError,
    StoreUnavailableError,
)
from driftloop.heartbeat import Heartbeat
from driftloop.kafka.held import HeldVersions
from driftloop.kafka.waiting import wait_for_kafka
from driftloop.models import ModelStore
from driftloop.models.store import LASTING
from driftloop.settings import Settings, StoreSettings

if TYPE_CHECKING:
    from driftloop.trainer.service import TrainerService
    from driftloop.trainer.work import Result

_log = structlog.get_logger(__name__)
_PIPE_COLUMNS = 200
app = typer.Typer(add_completion=False)


@app.command()
def trainer(
    *,
    config: Config = None,
    once: Annotated[
        bool, typer.Option("--once", help="End when all that waits is served.")
    ] = False,
    dry_run: Annotated[
        bool,
        typer.Option("--dry-run", help="Show what waits, in which order and why; train nothing."),
    ] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Show it as JSON; with --dry-run.")
    ] = False,
    metrics: Metrics = "",
) -> None:
    """Serve retrain requests: train, gate, store, publish. SIGTERM and Ctrl-C end it cleanly."""
    if as_json and not dry_run:
        raise typer.BadParameter("it shows the queue: give --dry-run too", param_hint="--json")
    if dry_run:
        _dry_run(load(config), as_json=as_json)
        return
    need("trainer", "torch", "safetensors", "psutil")
    # On a terminal a line a batch takes the place of a line a request.
    logs.configure(level="warning" if sys.stderr.isatty() else None)
    settings = load(config)
    serve(metrics, "trainer", settings)
    asked: list[int] = []
    services: list[TrainerService] = []

    def stop(number: int, _: FrameType | None) -> None:
        signal.signal(number, signal.SIG_DFL)  # a second one ends the process at once
        asked.append(number)
        for one in services:
            one.stop()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, stop)
    check_store(settings.store)
    if not _ready(settings, lambda: bool(asked)):
        return
    from driftloop.trainer.service import TrainerService  # noqa: PLC0415  # needs torch, is slow

    report = _reporter(console) if console.is_terminal else _silent
    services.append(TrainerService(settings, once=once, report=report))
    if not asked:
        services[0].run()


def _dry_run(settings: Settings, *, as_json: bool) -> None:
    """Show the queue; needs no torch, joins no group, and commits nothing.

    Raises:
        KafkaError: Kafka does not answer, or topics are missing.
    """
    from driftloop.cli import queue  # noqa: PLC0415  # only where asked for
    from driftloop.cli.reach import need_kafka  # noqa: PLC0415  # likewise
    from driftloop.trainer.preview import preview  # noqa: PLC0415  # likewise

    need_kafka(settings)
    found = preview(settings, round(time.time() * 1000))
    if as_json:
        typer.echo(queue.as_json(found, settings))
    else:
        wide = None if sys.stdout.isatty() else _PIPE_COLUMNS
        queue.show(found, settings, Console(highlight=False, width=wide))


def check_store(settings: StoreSettings) -> None:
    """See that models can be written, before anything is trained.

    Raises:
        SettingsError: They cannot, and that does not pass by itself.
    """
    try:
        ModelStore(settings).probe()
    except StoreError as error:
        if _passes(error):
            _log.warning("trainer.store_unwritable", uri=settings.uri, why=str(error))
            return
        rule = f"a place where models can be written ({error})"
        raise SettingsError([Fault("store.uri", repr(settings.uri), rule)]) from error


def _passes(error: StoreError) -> bool:
    """Whether what is wrong with the store at the start may pass by itself, as an outage does.

    A bucket that is missing and credentials that no one gave are most likely mistakes.
    """
    cause = error.__cause__
    if isinstance(cause, OSError) and cause.errno is not None:
        return cause.errno not in LASTING
    mistaken = isinstance(cause, FileNotFoundError) or "Credentials" in type(cause).__name__
    return isinstance(error, StoreUnavailableError) and not mistaken


def _ready(settings: Settings, ended: Callable[[], bool]) -> bool:
    """Wait for Kafka, and see what it says of the store; False when `ended` said so first."""
    beat = Heartbeat(settings.home, "trainer").beat
    while wait_for_kafka(settings.kafka.client(), ended, beat):
        try:
            check_versions(settings)
        except KafkaUnavailableError as error:
            _log.warning("kafka.waiting", why=str(error))
        else:
            return True
    return False


def check_versions(settings: Settings) -> None:
    """See that the store is not another one, or away, where versions were published into it.

    Raises:
        SettingsError: It is empty or not there, and Kafka names versions in it.
        KafkaUnavailableError: The topic of models cannot be read now.
    """
    store = ModelStore(settings.store)
    try:
        store.expect()
        if store.known:
            return
    except StoreError as error:
        _log.warning("trainer.store_unreadable", uri=settings.store.uri, why=str(error))
        return  # each round waits for it
    models = settings.topics.models  # alone: the trainer may lack the right to read commands
    held = HeldVersions(settings.kafka.client(), models, models, recent=0.0)
    try:
        held.catch_up()
    finally:
        held.close()
    named = [event for event in held.current.values() if store.owns(event.uri)]
    if named:
        first = named[0]
        streams = "1 stream" if len(named) == 1 else f"{len(named)} streams"
        rule = (
            f"the place where versions of {streams} lie, as {first.version} of {first.stream} at "
            f"{first.uri}; it is not there, or empty: mount or restore it. If it is lost for good, "
            f"send a tombstone for each stream to {models}"
        )
        raise SettingsError([Fault("store.uri", repr(settings.store.uri), rule)])


def _silent(results: Sequence[Result], seconds: float) -> None:
    del results, seconds


def _reporter(console: Console) -> Any:
    def report(results: Sequence[Result], seconds: float) -> None:
        counts = Counter(one.finished.outcome for one in results)
        records = sum(one.finished.cost.records for one in results if one.finished.cost)
        shown = ", ".join(f"{counts[name]} {name}" for name in sorted(counts)) or "nothing new"
        console.print(
            f"[bold]{len(results)}[/bold] requests in {seconds:.1f} s "
            f"({records:,} records): {shown}"
        )
        for one in results:
            if one.finished.outcome == "failed":
                console.print(
                    f"  {one.request.stream}: {one.finished.reason}: {one.finished.detail}",
                    style="yellow",
                    markup=False,
                )

    return report
