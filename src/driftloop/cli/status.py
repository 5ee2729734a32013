"""``driftloop status``: the fleet at a glance, and what to do next."""

from __future__ import annotations

import typer
from rich.table import Table
from rich.text import Text

from driftloop.cli.output import print_json
from driftloop.cli.view import STATES, Config, Json, View, age, console, figure, moment, view
from driftloop.errors import KafkaError
from driftloop.kafka.groups import GroupState, group_state
from driftloop.readmodel.rows import Fleet, PartRow
from driftloop.settings import Settings

app = typer.Typer(add_completion=False)


@app.command()
def status(*, json: Json = False, config: Config = None) -> None:
    """Show the fleet: streams, retrains against what was promised, budget, trainers, store."""
    with view(config) as found:
        fleet = found.queries.fleet()
        trainers = _trainers(found.settings)
        budgets = found.queries.budgets()
        if json:
            print_json(
                {
                    "note": found.note,
                    "fleet": fleet,
                    "budgets": budgets,
                    "parts": found.queries.parts(),
                    "trainers": trainers if isinstance(trainers, str) else trainers._asdict(),
                    "store": found.settings.store.uri,
                }
            )
            return
        table = Table(box=None, show_header=False, pad_edge=False, padding=(0, 2, 0, 0))
        table.add_column(style="bold", no_wrap=True)
        table.add_column(overflow="fold")
        for name, value in _lines(found, fleet, trainers):
            table.add_row(name, value)
        for one in budgets:
            day = moment(one.day_ms)[:10]
            text = f"{one.used:,} of {one.budget:,} retrains of {day} (event time)"
            table.add_row(f"budget of {one.profile}", text)
        console.print(table)
        _next(fleet, trainers)


def _trainers(settings: Settings) -> GroupState | str:
    """The trainers' group, or why it is not known."""
    try:
        return group_state(settings.kafka.client(), settings.trainer.group, settings.topics.retrain)
    except KafkaError as error:
        return str(error)


def _lines(found: View, fleet: Fleet, trainers: GroupState | str) -> list[tuple[str, Text | str]]:
    settings = found.settings
    states = Text(f"{fleet.streams:,}")
    for name, count in fleet.states.items():
        states.append("  ")
        states.append(f"{name} {count:,}", style=STATES.get(name, ""))
    needs = [f"{name} {count:,}" for name, count in fleet.needs.items() if count]
    outcomes = ", ".join(f"{count:,} {name}" for name, count in fleet.outcomes.items())
    judged = ", ".join(f"{count:,} {name}" for name, count in fleet.judged.items())
    years = f"{fleet.stream_years:,.3g} stream-years of event time"
    promise = (
        f"{fleet.needless:,} known, at most {fleet.promised:,.3g} promised over {years}"
        if fleet.promised is not None
        else f"{fleet.needless:,} known over {years}; the policies promise no number"
    )
    lines: list[tuple[str, Text | str]] = [
        ("streams", states),
        ("need a person", Text(", ".join(needs) or "none", style="yellow" if needs else "green")),
        ("incidents", f"{fleet.incidents:,} open"),
        (
            "records",
            (
                f"{fleet.records:,} read, the newest of {moment(fleet.newest)} (event time), "
                f"told {age(fleet.told_at)} ago"
            ),
        ),
        ("unreadable", f"{fleet.dead_letters:,} in the last 24 hours"),
        (
            "retrains",
            (
                f"{fleet.retrains:,} asked for by policies, {fleet.retrains_day:,} in the last "
                "24 hours"
            ),
        ),
        ("needless", promise),
        ("trainings", (outcomes or "none") + f"; {fleet.waiting:,} wait"),
        (
            "live records",
            (
                f"{judged or 'none judged'}; {figure(fleet.saved)} of loss saved, "
                f"{fleet.rollbacks:,} rolled back by itself"
            ),
        ),
        *(_part(one) for one in found.queries.parts()),
        ("trainers", trainers if isinstance(trainers, str) else _served(trainers, settings)),
        ("store", settings.store.uri),
        ("Kafka", settings.kafka.bootstrap_servers),
    ]
    return lines


def _part(one: PartRow) -> tuple[str, Text | str]:
    """A process, and how far it is."""
    words = Text(one.state, style=_PART_STATES.get(one.state, "red"))
    if one.records_per_second is not None and one.state != "stopped":
        words.append(f"  {one.records_per_second:,.0f} records/s")
    if one.lag is not None and one.state != "stopped":
        words.append(f", {one.lag:,.0f} behind")
    words.append(f"  {one.instance}, told {age(one.reported_at)} ago", style="dim")
    if one.detail:
        words.append(f"  {one.detail}", style="yellow")
    return one.part, words


_PART_STATES = {"ready": "green", "not-ready": "yellow", "stopped": "dim", "gone": "red"}


def _served(trainers: GroupState, settings: Settings) -> str:
    count = len(trainers.members)
    running = f"{count} running" if count else "none running"
    return f"{running} in group {settings.trainer.group}, {trainers.lag:,} messages not served"


def _next(fleet: Fleet, trainers: GroupState | str) -> None:
    """What to do now."""
    lines = []
    if any(fleet.needs.values()):
        lines.append(("driftloop streams --need any", "streams that need a person, and why"))
    if not fleet.streams:
        lines.append(("driftloop doctor", "no stream is known yet: is a monitor running?"))
    if isinstance(trainers, GroupState) and trainers.lag and not trainers.members:
        lines.append(("driftloop trainer", "requests wait, and no trainer runs"))
    if fleet.dead_letters:
        lines.append(("driftloop dlq list", "what could not be read, and why"))
    lines.append(("driftloop events follow", "what happens, as it happens"))
    width = max(len(command) for command, _ in lines)
    console.print()
    for command, meaning in lines:
        console.print(Text(f"  {command:<{width}}   {meaning}"), soft_wrap=True)
