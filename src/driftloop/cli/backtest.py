"""``driftloop backtest``: try policies on history before one is trusted with a thousand models."""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import msgspec
import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from driftloop.cli.extras import need
from driftloop.cli.settings import model_faults
from driftloop.errors import DataError, Fault, SettingsError
from driftloop.settings import DEFAULT_FILE, Policy, Profile, Settings, load_settings
from driftloop.settings.base import milliseconds, parse_duration

if TYPE_CHECKING:
    from driftloop.backtest.outcome import Outcome
    from driftloop.backtest.result import Result
    from driftloop.backtest.source import Source

app = typer.Typer(add_completion=False)

_OUT = Path(".driftloop/backtest")
CONFIGURED = "configured"
"""Name of the configuration's own policy in a comparison."""

_PAGE, _DOCUMENT = "index.html", "result.json"
_EPILOG = (
    "Policies: never, always, periodic(7d), periodic(500) in records, any, all, vote(2), "
    "mlma(0.1), multi-criteria(2), detector(adwin), reducible(20), or one of "
    "your own of the configuration; further keys as in vote(2, alpha_per_year=1)."
)


@app.command(epilog=_EPILOG)
def backtest(
    data: Annotated[
        str,
        typer.Argument(
            help="A folder of one CSV, Parquet or JSON-lines file a stream; one such file with a "
            "stream column; or kafka://TOPIC-PATTERN.",
            metavar="DATA",
        ),
    ],
    *,
    config: Annotated[
        Path | None,
        typer.Option(
            "--config", help="driftloop.toml; without one the data's columns are guessed."
        ),
    ] = None,
    profile: Annotated[
        str, typer.Option("--profile", help="Which profile of the configuration.")
    ] = "",
    policy: Annotated[
        list[str] | None,
        typer.Option("--policy", help="A policy to try; may be given often. Default: thirteen."),
    ] = None,
    grid: Annotated[
        bool, typer.Option("--grid", help="Try each family of policies over its threshold.")
    ] = False,
    out: Annotated[Path, typer.Option("--out", help="Folder of the report.")] = _OUT,
    json: Annotated[
        bool, typer.Option("--json", help="Print the result as JSON instead of the table.")
    ] = False,
    jobs: Annotated[
        int | None, typer.Option("--jobs", min=1, help="Processes; default one a processor.")
    ] = None,
    seed: Annotated[int, typer.Option("--seed", help="Of all that is drawn.")] = 0,
    delay: Annotated[
        str, typer.Option("--delay", help="Event time until a label is known, as 2h.")
    ] = "0s",
    latency: Annotated[
        str, typer.Option("--latency", help="Event time from a decision to its model, as 10m.")
    ] = "0s",
    warmup: Annotated[
        int | None,
        typer.Option("--warmup", min=20, help="Labelled records before a stream's first model."),
    ] = None,
    window: Annotated[
        str,
        typer.Option(
            "--window",
            help="Records of a window (300), or its event time (7d), in place of the profile's.",
        ),
    ] = "",
    season: Annotated[
        int | None,
        typer.Option("--season", min=1, help="Records of a season, for the trivial prediction."),
    ] = None,
    recorded: Annotated[
        bool,
        typer.Option("--recorded", help="Decide on the data's own predictions; train nothing."),
    ] = False,
    drifts: Annotated[
        Path | None, typer.Option("--drifts", help="CSV of known drifts: stream, ts or record.")
    ] = None,
    stream_column: Annotated[
        str | None, typer.Option("--stream-column", help="Of a single file: names the stream.")
    ] = None,
    emit_config: Annotated[
        bool,
        typer.Option(
            "--emit-config",
            help="Write the advised policy into OUT/driftloop.toml, as the monitor runs it.",
        ),
    ] = False,
) -> None:
    """Try retraining policies on recorded streams, and say which to take and what it costs."""
    need("backtest", "pyarrow", *(() if recorded else ("torch", "safetensors", "psutil")))
    from driftloop.backtest.data import open_source  # noqa: PLC0415  # needs pyarrow
    from driftloop.backtest.drifts import read_drifts  # noqa: PLC0415  # needs pyarrow
    from driftloop.backtest.policies import default_policies  # noqa: PLC0415  # as the others
    from driftloop.backtest.policies import grid as grid_of  # noqa: PLC0415  # as the others
    from driftloop.backtest.session import Options  # noqa: PLC0415  # as the others

    settings = load_settings(config) if config else None
    chosen = _profile(settings, profile)
    client = settings.kafka.client() if settings else None
    source = open_source(data, chosen, client=client, stream_column=stream_column)
    if window:
        source.profile = _with_window(source.profile, window)
    faults = [] if recorded else model_faults({profile or "default": source.profile})
    if faults:
        raise SettingsError(faults, str(config or ""))
    names = list(policy or [])
    if grid or not names:
        names = [*names, *(grid_of if grid else default_policies)(source.profile)]
    own: dict[str, Any] = {}
    if settings:
        own = {
            k: v.model_dump(mode="json", exclude_none=True) for k, v in settings.policies.items()
        }
        if chosen is not None and not policy:
            own.setdefault(CONFIGURED, chosen.policy.model_dump(mode="json", exclude_none=True))
            names = [CONFIGURED, *names]
    options = Options(
        policies=names,
        own=own,
        latency_ms=_span("--latency", latency),
        delay_ms=_span("--delay", delay),
        warmup=warmup,
        season=season,
        recorded=recorded,
        seed=seed,
        jobs=jobs or _processors(),
        keep=out / "streams",
        drifts=read_drifts(drifts, source.streams) if drifts else None,
    )
    with _told(out):  # before anything takes its time
        out.mkdir(parents=True, exist_ok=True)
    result = _run(source, options, Console(stderr=True, highlight=False))
    _write(result, out)
    written = _emit(result, settings, source.profile, profile, out) if emit_config else None
    if json:
        sys.stdout.buffer.write(msgspec.json.encode(result) + b"\n")
    else:
        _show(result, out, written)
    if emit_config and written is None:
        raise DataError("--emit-config: no policy can be advised, so no configuration was written")
    if not result.records:
        raise typer.Exit(1)


def _show(result: Result, out: Path, written: Path | None) -> None:
    from driftloop.backtest.terminal import print_result  # noqa: PLC0415  # as the others

    shown = Console(highlight=False)
    print_result(
        shown,
        result,
        page=out / _PAGE,
        document=out / _DOCUMENT,
        emit=shlex.join(
            ["driftloop", "monitor", "--config", str(written)]
            if written
            else ["driftloop", *sys.argv[1:], "--emit-config"]
        ),
    )


def _profile(settings: Settings | None, name: str) -> Profile | None:
    if settings is None:
        if name:
            raise SettingsError([Fault("--profile", repr(name), "with --config, which holds it")])
        return None
    if name and name not in settings.profiles:
        known = ", ".join(settings.profiles)
        raise SettingsError([Fault("--profile", repr(name), f"one of {known}")])
    if not name and len(settings.profiles) > 1:
        known = ", ".join(settings.profiles)
        rule = f"one of {known}: the configuration has several"
        raise SettingsError([Fault("--profile", "nothing", rule)])
    return settings.profiles[name or next(iter(settings.profiles))]


def _with_window(profile: Profile, text: str) -> Profile:
    table: dict[str, Any] = (
        {"kind": "count", "records": int(text)}
        if text.isdigit()
        else {"kind": "cycle", "length": text}
    )
    dumped = profile.model_dump(mode="json", exclude_none=True)
    try:
        return Profile.model_validate({**dumped, "window": table})
    except ValueError as error:
        rule = "a number of records, 20 or more, or a time, as 7d"
        raise SettingsError([Fault("--window", repr(text), rule)]) from error


def _span(option: str, text: str) -> float:
    try:
        return float(milliseconds(parse_duration(text)))
    except ValueError as error:
        raise SettingsError([Fault(option, repr(text), str(error))]) from error


def _run(source: Source, options: Any, console: Console) -> Result:
    from driftloop.backtest.session import backtest as run  # noqa: PLC0415  # needs pyarrow

    bar = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("streams,"),
        TimeRemainingColumn(),
        TextColumn("left"),
        console=console,
        transient=True,
    )
    with bar if console.is_terminal else nullcontext():
        policies = len(dict.fromkeys(options.policies))
        task = bar.add_task(f"{policies} policies", total=len(source.streams))
        return run(source, options, _advance(bar, task))


def _advance(bar: Progress, task: Any) -> Callable[[Outcome], None]:
    def advance(outcome: Outcome) -> None:
        bar.advance(task)
        if hasattr(outcome, "why"):
            bar.console.print(f"[yellow]{outcome.stream}[/yellow]: {outcome.why}")

    return advance


def _write(result: Result, out: Path) -> None:
    from driftloop.backtest.page import write_page  # noqa: PLC0415  # as the others

    document = msgspec.json.format(msgspec.json.encode(result), indent=1) + b"\n"
    with _told(out):
        (out / _DOCUMENT).write_bytes(document)
        write_page(result, out / _PAGE)


def _emit(
    result: Result, settings: Settings | None, profile: Profile, name: str, out: Path
) -> Path | None:
    from driftloop.backtest.emit import emit_config, origin_of  # noqa: PLC0415  # as the others

    if result.advice is None:
        return None
    policy: str | Policy = result.advice.policy
    if policy == CONFIGURED:
        policy = profile.policy
    whole: Settings | Profile = profile
    if settings is not None:
        name = name or next(iter(settings.profiles))
        # The backtest leaves the fleet's own rules out; the monitor shall keep them.
        own = profile.model_copy(update={"fleet": settings.profiles[name].fleet})
        whole = settings.model_copy(update={"profiles": {**settings.profiles, name: own}})
    origin = origin_of(result, result.advice.policy)
    if settings is None:
        origin.append(f"Set topics, which topics these streams are: now {profile.topics!r}.")
    text = emit_config(whole, policy, profile=name or "default", origin=origin)
    path = out / DEFAULT_FILE
    with _told(out):
        path.write_text(text, encoding="utf-8")
    return path


@contextmanager
def _told(out: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise DataError(f"--out {out}: {error.strerror}; name a folder that can be written") from (
            error
        )


def _processors() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
