"""The demo from start to end: set-up, January, first models, the rest of the year, results."""

from __future__ import annotations

import contextlib
import os
import secrets
import signal
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import NoReturn

import numpy as np
from rich.console import Console

from driftloop.demo.children import Children
from driftloop.demo.closing import print_closing, shown, write_results
from driftloop.demo.configuration import Layout
from driftloop.demo.flights import DAY_MS, Flights, load_flights
from driftloop.demo.loop import Loop
from driftloop.demo.page import CHOSEN
from driftloop.demo.sabotage import AFTER_DAYS, Sabotage, choose_route
from driftloop.demo.scoreboard import Scoreboard
from driftloop.demo.screen import Screen
from driftloop.demo.wire import Wire, check_attached, delete_topics, make_topics
from driftloop.kafka.broker import broker_status, ensure_broker, stop_broker
from driftloop.settings import Settings, load_settings

BEGIN_MS = 1_357_016_400_000
"""1 January 2013, midnight in New York."""

JANUARY_DAYS = 31
WARM_UP = 4
"""January, in which there is nothing to see, is replayed so many times faster."""

SERVERS_VARIABLE = "KAFKA_BOOTSTRAP_SERVERS"
PARTS = ("monitor", "trainer", "scorer")


@dataclass(frozen=True, slots=True)
class Options:
    """What the user chose.

    Attributes:
        speed: Days of 2013 a second.
        streams: How many destinations.
        days: Days of the year that are replayed, the 31 of January included.
        out: Folder of the run.
        keep_kafka: Leave the Kafka that the demo started running, or the topics it made.
        sabotage: Publish a bad version of one route on purpose.
        attach: Only replay: Kafka, monitor, trainer and scorer run already, by the configuration
            of the working directory, or the file that ``DRIFTLOOP_CONFIG`` names.
    """

    speed: float = 4.0
    streams: int = 50
    days: int = 365
    out: Path = Path(".driftloop/demo")
    keep_kafka: bool = False
    attach: bool = False
    sabotage: bool = False


def choose_routes(flights: Flights, count: int) -> tuple[str, ...]:
    """The `count` routes of a run, sorted: the well-known ones first, then the busiest."""
    busiest = np.argsort(-np.bincount(flights.route), kind="stable").tolist()
    names = [*CHOSEN, *(flights.routes[i] for i in busiest if flights.routes[i] not in CHOSEN)]
    return tuple(sorted(names[:count]))


def run_demo(options: Options, console: Console) -> Scoreboard:
    """Run the whole demo; whatever happens, no process of it stays.

    Raises:
        DriftloopError: The flights are not installed, or a process ended; says which and why.
        KeyboardInterrupt: Ctrl-C or SIGTERM; everything was ended before.
    """
    screen = Screen(console)
    console.print(
        "[bold]Driftloop demo:[/] flights out of New York, and the jet stream\n", soft_wrap=True
    )
    with _terminable(), ExitStack() as stack:
        flights = _load(options, screen)
        begun = time.monotonic()
        if options.attach:
            layout = Layout(options.out.absolute())
            layout.clean()
            settings = load_settings()
        else:
            layout = _start_kafka(options, screen, stack)
            settings = load_settings(layout.config)
        board = Scoreboard(flights, layout.stream_prefix, BEGIN_MS + JANUARY_DAYS * DAY_MS)
        if options.sabotage:
            due = board.begin_ms + min(AFTER_DAYS, (options.days - JANUARY_DAYS) // 2) * DAY_MS
            counts = np.bincount(flights.route, minlength=len(flights.routes)).tolist()
            board.sabotage = Sabotage(choose_route(flights.routes, counts), due)
        seconds = _play(options, screen, layout, settings, board)
        write_results(board, layout, seconds)
        print_closing(
            console,
            layout,
            board,
            seconds=time.monotonic() - begun,
            kept=options.keep_kafka and not layout.prefix and not options.attach,
            own=not options.attach,
        )
    return board


def _load(options: Options, screen: Screen) -> Flights:
    with screen.step("Reading the flights of 2013") as done:
        every = load_flights(options.out / "flights.npz")
        flights = every.choose(
            choose_routes(every, options.streams), BEGIN_MS, BEGIN_MS + options.days * DAY_MS
        )
        done.plain = f"{len(flights):,} flights to {len(flights.routes)} destinations"
    return flights


def _start_kafka(options: Options, screen: Screen, stack: ExitStack) -> Layout:
    """A Kafka that was given is shared, so the run's topics get a prefix; else one of its own."""
    out = options.out.absolute()
    with screen.step("Starting Kafka") as done:
        given = bool(os.environ.get(SERVERS_VARIABLE)) or broker_status().answers
        if given:
            handle = ensure_broker()
            layout = Layout(out, f"demo-{secrets.token_hex(2)}.")
        else:
            stop_broker(out, purge=True)
            handle = ensure_broker(out, tied=not options.keep_kafka)
            layout = Layout(out)
            if not options.keep_kafka:
                stack.callback(_stop_kafka, screen, out)
        layout.clean()
        layout.write(handle.bootstrap_servers)
        done.plain = f"Kafka at {handle.bootstrap_servers}" + (
            f", topics {layout.prefix}*" if layout.prefix else ", of the demo's own"
        )
    return layout


def _stop_kafka(screen: Screen, out: Path) -> None:
    with screen.step("Stopping Kafka", "Kafka stopped"):
        stop_broker(out, purge=True)


def _play(
    options: Options, screen: Screen, layout: Layout, settings: Settings, board: Scoreboard
) -> float:
    flights = board.flights
    with ExitStack() as stack:
        if options.attach:
            check_attached(settings, layout, flights.routes)
        with screen.step("Making topics") as done:
            names = make_topics(settings, layout, flights.routes)
            done.plain = f"{len(names)} topics: departures.*, flights.*, driftloop.*"
        children = Children(layout.logs)
        if not options.attach:
            if layout.prefix and not options.keep_kafka:
                stack.callback(delete_topics, settings, names)
            stack.enter_context(_stopping(children, screen))
            with screen.step("Starting monitor, trainer and scorer") as done:
                for part in PARTS:
                    children.start(part, [part, "--config", str(layout.config)])
                done.plain = f"monitor, trainer and scorer started; logs in {shown(layout.logs)}"
            screen.console.print(
                "  All streams in a browser, while this runs: "
                f"[bold]driftloop dashboard --config {shown(layout.config)}[/]",
                soft_wrap=True,
            )
        wire = Wire(settings, layout, flights)
        stack.callback(wire.close)
        loop = Loop(wire, children, screen, board, flights, settings)
        run = secrets.token_hex(4)
        january = BEGIN_MS + JANUARY_DAYS * DAY_MS
        with screen.step("Replaying January, in which no stream has a model") as done:
            loop.warm_up(options.speed * WARM_UP, january)
            loop.wait_for_monitor(run)
            done.plain = f"January replayed: {loop.replayed.departed:,} flights, no models yet"
        with screen.step("Training the first models") as done:
            wire.command(wire.streams, "retrain", run, "first model, trained on January")
            loop.wait_for_models()
            done.plain = f"{board.versions.total()} first models trained, published and loaded"
        begun = time.monotonic()
        with screen.replaying():
            loop.replay(options.speed)
        seconds = time.monotonic() - begun
        loop.wait_for_quiet()
    screen.console.print(f"[green]✓[/] replayed in {seconds:.0f} s\n")
    return seconds


@contextlib.contextmanager
def _stopping(children: Children, screen: Screen) -> Iterator[None]:
    """End the processes at the end of the block and say so."""
    try:
        yield
    finally:
        with screen.step("Ending monitor, trainer and scorer") as done:
            killed = children.stop()
            done.plain = "monitor, trainer and scorer ended"
            if killed:
                done.plain += f" ({', '.join(killed)} had to be killed)"


@contextlib.contextmanager
def _terminable() -> Iterator[None]:
    """SIGTERM ends the demo as Ctrl-C does."""

    def interrupt(number: int, frame: FrameType | None) -> NoReturn:
        del number, frame
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
