"""Options of the flows: what does not fit together is refused by name, with exit status 2."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest
import structlog
import typer
from typer.testing import CliRunner

from driftloop.cli import monitor, scorer, trainer
from driftloop.cli.flows import cluster, serve
from driftloop.settings import Settings

TWO = "a:1;b:2"


@pytest.fixture(autouse=True)
def _unconfigured() -> Iterator[None]:
    """Commands set up logging to the runner's own stream, which is closed after it."""
    yield
    structlog.reset_defaults()


@pytest.mark.parametrize(
    ("options", "named", "told"),
    [
        (["--process-id", "2", "--addresses", TWO], "--process-id", "0 to 1"),
        (["--process-id", "5", "--addresses", TWO], "--process-id", "got 5"),
        (["--process-id", "0", "--addresses", "a;b:2"], "--addresses", "got 'a'"),
        (["--process-id", "0", "--addresses", "a:x;b:2"], "--addresses", "got 'a:x'"),
        (["--process-id", "0", "--addresses", "a:1;a:1"], "--addresses", "one address for each"),
        (["--process-id", "0", "--addresses", ";"], "--addresses", "one address for each"),
        (["--process-id", "0"], "--addresses", "needs the addresses"),
        (["--addresses", TWO], "--process-id", "0 to 1"),
        (["--processes", "2", "--process-id", "0", "--addresses", TWO], "--processes", "either"),
        (["--metrics", "foo"], "--metrics", "got 'foo'"),
        (["--metrics", "foo:99999"], "--metrics", "got 'foo:99999'"),
    ],
)
@pytest.mark.parametrize("command", [monitor, scorer])
def test_options_that_do_not_fit_are_usage_errors(
    command: object, options: list[str], named: str, told: str
) -> None:
    result = CliRunner().invoke(
        command.app,  # type: ignore[attr-defined]
        options,
        env={"COLUMNS": "200", "NO_COLOR": "1", "TERMINAL_WIDTH": "200"},
    )
    assert result.exit_code == 2, result.output
    assert f"Invalid value for {named}" in result.output
    assert told in result.output


def test_the_trainer_refuses_such_options_too() -> None:
    result = CliRunner().invoke(trainer.app, ["--metrics", "foo"], env={"NO_COLOR": "1"})
    assert result.exit_code == 2
    assert "--metrics" in result.output


def test_a_cluster_has_its_addresses_in_their_order() -> None:
    assert cluster(1, 1, " a:1 ; b-0.b:2;[::1]:3;") == ["a:1", "b-0.b:2", "[::1]:3"]
    assert cluster(2, None, None) is None


def test_an_address_in_use_is_told() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(typer.BadParameter, match="free to listen on"):
            serve(f"127.0.0.1:{taken.getsockname()[1]}", "monitor", Settings())


def test_several_processes_need_a_port_each() -> None:
    with pytest.raises(typer.BadParameter, match="room for 3 processes, got 65534"):
        serve(":65534", "monitor", Settings(), 3)
