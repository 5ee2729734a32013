"""What the demo shows in the terminal; plain lines where there is none."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime

from rich.bar import Bar
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.panel import Panel
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from driftloop.demo.page import chosen_routes
from driftloop.demo.scoreboard import Scoreboard, day_text
from driftloop.demo.words import counted
from driftloop.plots.blocks import spark
from driftloop.plots.svg import signed_percent

UNTOUCHED = "dark_orange"
DRIFTLOOP = "dodger_blue1"
_KINDS = {
    "retrain": "yellow",
    "model": "green",
    "judged": "green",
    "rejected": "dim",
    "rollback": "red",
    "failed": "red",
}
_FRAMES_A_SECOND = 6
_PLAIN_SECONDS = 5.0
_WEEKS_SHOWN = 48
_WIDTH = 96
_FRAME = 6
"""Border and padding of the panel, columns."""

_BAR = 24
_SHORTEST_BAR = 8
_OFTEN = 0.5
"""Share of waiting from which on it is told: this machine is slower than the replay's speed."""

_WHOLE_HEIGHT = 30


@dataclass(frozen=True, slots=True)
class Progress:
    """Where the replay is.

    Attributes:
        event_ms: Its clock.
        share: Of its span, 0 to 1.
        rate: Records a second behind the scorer, labels included.
        streams: Number of streams.
        held: Share of the last seconds in which the clock waited for scorer, monitor or trainer.
    """

    event_ms: int
    share: float
    rate: float
    streams: int
    held: float


class Screen:
    """Prints the steps of the set-up, then draws the replay.

    Args:
        console: Where to; drawn in place when it is a terminal, else a line every few seconds.
    """

    def __init__(self, console: Console) -> None:
        self.console = console
        self._live: Live | None = None
        self._next = 0.0

    @contextmanager
    def step(self, text: str, done: str = "") -> Iterator[Text]:
        """Show that something goes on; print it with its seconds when it is done.

        Yields:
            The text shown in the end; may be changed meanwhile.
        """
        shown = Text(done or text)
        begun = time.monotonic()
        with self.console.status(text):
            yield shown
        line = Text("✓ ", style="green").append_text(shown)
        seconds = time.monotonic() - begun
        if seconds >= 0.1:
            line.append(f"  {seconds:.1f} s", style="dim")
        # A terminal breaks between words; a file keeps each step on a line.
        self.console.print(line, soft_wrap=not self.console.is_terminal)

    @contextmanager
    def replaying(self) -> Iterator[None]:
        """Draw in place within the block, where the console is a terminal."""
        if not self.console.is_terminal:
            yield
            return
        with Live(console=self.console, auto_refresh=False, transient=True) as live:
            self._live = live
            try:
                yield
            finally:
                self._live = None

    def draw(self, progress: Progress, board: Scoreboard, *, now: float) -> None:
        """Draw, unless that was done a moment ago."""
        if now < self._next:
            return
        if self._live is not None:
            self._next = now + 1 / _FRAMES_A_SECOND
            small = self.console.height < _WHOLE_HEIGHT
            shown = picture(progress, board, width=self.console.width, small=small)
            self._live.update(shown, refresh=True)
        elif progress.rate > 0:
            self._next = now + _PLAIN_SECONDS
            self.console.print(plain(progress, board), soft_wrap=True)


def plain(progress: Progress, board: Scoreboard) -> str:
    """One line of progress."""
    untouched, driftloop = board.means()
    errors = (
        f", mean error {driftloop:.2f} min, untouched {untouched:.2f} min"
        if math.isfinite(untouched)
        else ""
    )
    return (
        f"{_date(progress.event_ms)} ({progress.share:.0%}), {progress.rate:,.0f} records/s, "
        f"{counted(progress.streams, 'stream')}, {counted(board.versions.total(), 'version')}, "
        f"{counted(board.retrains.total(), 'retrain')}{errors}"
    )


def picture(
    progress: Progress, board: Scoreboard, *, width: int = _WIDTH, small: bool = False
) -> RenderableType:
    """The whole picture of a moment.

    Args:
        progress: Where the replay is.
        board: What is known by now.
        width: Columns of the terminal; a narrow one gets shorter bars and fewer weeks.
        small: Leave the single routes out.
    """
    width = min(width, _WIDTH)
    inner = width - _FRAME
    head = Table.grid(padding=(0, 2), expand=True)
    head.add_column(no_wrap=True)
    head.add_column(ratio=1)
    head.add_column(justify="right", no_wrap=True)
    rate = f"{progress.rate:,.0f} records/s"
    if progress.held > _OFTEN:
        rate = f"replay waits {100 * progress.held:.0f} % · {rate}"
    head.add_row(
        Text(_date(progress.event_ms), style="bold"),
        ProgressBar(total=1.0, completed=progress.share, complete_style=DRIFTLOOP),
        Text(rate, style="dim"),
    )
    parts: list[RenderableType] = [head, Text(), _counts(progress, board, inner), Text()]
    parts.append(_errors(board, inner))
    if math.isfinite(board.means()[0]) and not small:
        parts += [Text(), _sparks(board, inner)]
    parts += [Text(), _recent(board)]
    return Panel(
        Group(*parts),
        title="[bold]Driftloop[/] · flights out of New York",
        title_align="left",
        border_style="dim",
        padding=(1, 2),
        width=width,
    )


def _counts(progress: Progress, board: Scoreboard, inner: int) -> Text:
    """Figures with their nouns; a line ends between two figures only."""
    done = board.outcomes
    shown = [
        (progress.streams, "stream", ""),
        (board.retrains.total(), "retrain", ""),
        (board.versions.total(), "version", ""),
        (done["rejected"], "rejected", "rejected"),
        (done["superseded"], "superseded", "superseded"),
    ]
    if board.rollbacks:
        shown.append((board.rollbacks.total(), "rollback", ""))
    if done["failed"]:
        shown.append((done["failed"], "failed", "failed"))
    text, column = Text(), 0
    for number, one, many in shown:
        words = counted(number, one, many)
        if column:
            fits = column + 3 + len(words) <= inner
            text.append("   " if fits else "\n")
            column = column + 3 if fits else 0
        figure, noun = words.split(" ", 1)
        text.append(figure, style="bold").append(f" {noun}", style="red" if one == "failed" else "")
        column += len(words)
    return text


def _errors(board: Scoreboard, inner: int) -> RenderableType:
    whole, week = board.means(), board.means(7)
    if not math.isfinite(whole[0]):
        return Text("January is replayed first: the models will be trained on it.", style="dim")
    top = max(*whole, *(value for value in week if math.isfinite(value)))
    bar = min(_BAR, inner - 52)  # 52: the other columns, and what lies between
    bar = bar if bar >= _SHORTEST_BAR else 0
    table = Table.grid(padding=(0, 2))
    table.add_column(width=25, no_wrap=True)
    table.add_column(justify="right", width=8, no_wrap=True)
    if bar:
        table.add_column(width=bar)
    table.add_column(justify="right", width=11, no_wrap=True)

    def row(name: Text, first: Text, middle: RenderableType, last: Text) -> None:
        table.add_row(name, first, *([middle] if bar else []), last)

    row(
        Text("mean error, minutes", style="dim"),
        Text("so far", style="dim"),
        "",
        Text("last 7 days", style="dim"),
    )
    for name, index, colour in (
        ("January models, untouched", 0, UNTOUCHED),
        ("with Driftloop", 1, DRIFTLOOP),
    ):
        recent = f"{week[index]:.2f}" if math.isfinite(week[index]) else ""
        row(
            Text(name, style=colour),
            Text(f"{whole[index]:.2f}", style="bold"),
            Bar(top, 0, whole[index], width=bar, color=colour),
            Text(recent, style="bold"),
        )
    change = [signed_percent(1 - new / old) if old > 0 else "" for old, new in (whole, week)]
    row(Text("change", style="dim"), Text(change[0]), "", Text(change[1]))
    return table


def _sparks(board: Scoreboard, inner: int) -> RenderableType:
    """Two rows a route: its weekly errors untouched, and with Driftloop and its retrains."""
    table = Table.grid(padding=(0, 1))
    table.add_column(no_wrap=True)
    table.add_column(no_wrap=True)
    weeks = max(1, min(_WEEKS_SHOWN, inner - 20))
    table.add_row(Text("by week (retrains)", style="dim"), "")
    for route in chosen_routes(board):
        _, untouched, driftloop = board.weekly(route)
        if not len(untouched):
            continue
        top = max(25.0, float(max(untouched.max(), driftloop.max())))
        for label, values, colour in (
            (f"{route} untouched", untouched, UNTOUCHED),
            (f"{route} Driftloop ({board.retrains[route]})", driftloop, DRIFTLOOP),
        ):
            table.add_row(
                Text(label, style=colour),
                Text(spark(values.tolist()[-weeks:], top), style=colour),
            )
    return table


def _recent(board: Scoreboard) -> RenderableType:
    table = Table.grid(padding=(0, 2), expand=True)
    table.add_column(width=6, no_wrap=True, style="dim")
    table.add_column(width=3, no_wrap=True)
    table.add_column(ratio=1, no_wrap=True, overflow="ellipsis")
    for moment in board.recent:
        table.add_row(
            day_text(moment.event_ms),
            Text(moment.route, style="bold"),
            Text(moment.text, style=_KINDS.get(moment.kind, "")),
        )
    return table


def _date(event_ms: int) -> str:
    moment = datetime.fromtimestamp(event_ms / 1000, tz=UTC)
    return f"{moment.day:2d} {moment:%B %Y}"
