"""What the shell is told to complete with."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from driftloop.cli.app import app
from driftloop.cli.completion import complete_stream
from driftloop.messages import StreamStatus
from driftloop.readmodel import open_model
from driftloop.settings import load_settings
from tests.readmodel import fill, make


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["streams", "--need", "fa"], "failing"),
        (["streams", "--state", "warm"], "warming-up"),
        (["events", "follow", "--type", "model"], "model.published"),
        (["doctor", "--part", "tr"], "trainer"),
    ],
)
def test_values_of_options(words: list[str], told: str) -> None:
    line = " ".join(["driftloop", *words])
    environment = {
        "_DRIFTLOOP_COMPLETE": "complete_bash",
        "COMP_WORDS": line,
        "COMP_CWORD": str(len(words)),
    }
    result = CliRunner().invoke(app, prog_name="driftloop", env=environment)
    assert told in result.stdout.split()


def test_names_of_streams_that_are_known(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "driftloop.toml").write_text("[profiles.a]\ntopics = 'streams\\..+'\n")
    assert complete_stream("streams.") == []
    model = open_model(load_settings())
    assert model.acquire()
    fill(model, [make(StreamStatus, name) for name in ("streams.a", "streams.b", "x")])
    model.close()
    assert complete_stream("streams.") == ["streams.a", "streams.b"]
