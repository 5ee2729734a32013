"""Pages say what is: generated parts are fresh, links lead somewhere, commands exist."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from benchmarks.loading import render as loading_page
from benchmarks.throughput import RESULTS
from benchmarks.throughput import render as throughput_page
from benchmarks.training import render as training_page
from driftloop.cli.app import app
from driftloop.detection.champion import BLOCK
from driftloop.messages import EVENT_TYPES
from driftloop.settings import Settings, load_settings
from scripts.generate_docs import examples, pages, render

ROOT = Path(__file__).parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])
_LINK = re.compile(r"(?<!!)\[[^\]]+\]\(([^)\s]+)\)|!\[[^\]]*\]\(([^)\s]+)\)")
_BLOCK = re.compile(r"^ *```(?:sh|bash|console)\n(.*?)^ *```", re.DOTALL | re.MULTILINE)


def _name(path: Path) -> str:
    return str(path.relative_to(ROOT))


def _without_code(text: str) -> str:
    return re.sub(r"^ *```.*?^ *```", "", text, flags=re.DOTALL | re.MULTILINE)


def _anchors(text: str) -> set[str]:
    """As GitHub makes them: lower case, without punctuation, spaces as hyphens."""
    headings = re.findall(r"^#+ (.+)$", _without_code(text), flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", one.lower()).replace(" ", "-") for one in headings}


@pytest.mark.parametrize("page", pages(), ids=_name)
def test_generated_parts_are_those_of_the_types(page: Path) -> None:
    """Stale? ``python scripts/generate_docs.py`` writes them."""
    text = page.read_text(encoding="utf-8")
    assert render(text) == text


def test_every_event_has_an_example() -> None:
    assert {type(event) for _, event in examples()} == set(EVENT_TYPES.values())


@pytest.mark.parametrize("page", PAGES, ids=_name)
def test_pictures_are_there(page: Path) -> None:
    for name in re.findall(r'<img src="([^"]+)"', page.read_text(encoding="utf-8")):
        assert (page.parent / name).is_file(), f"{_name(page)}: {name}"


def test_the_size_of_a_block_is_that_of_the_code() -> None:
    glossary = (ROOT / "docs" / "glossary.md").read_text(encoding="utf-8")
    assert f"| **block** | {BLOCK} labelled records" in glossary
    architecture = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    assert f"**blocks of {BLOCK}**" in architecture


def test_the_page_of_the_benchmark_is_that_of_its_figures() -> None:
    figures = json.loads((RESULTS / "throughput.json").read_text(encoding="utf-8"))
    page = (RESULTS / "throughput.md").read_text(encoding="utf-8")
    assert throughput_page(figures) == page
    assert len(figures["all"]["naive"]) == 1
    assert "`naive` ran in the first round only" in page


@pytest.mark.parametrize(("name", "page"), [("training", training_page), ("loading", loading_page)])
def test_pages_of_the_trainer_are_those_of_their_figures(
    name: str, page: Callable[[dict[str, Any]], str]
) -> None:
    figures = json.loads((RESULTS / f"{name}.json").read_text(encoding="utf-8"))
    assert page(figures) == (RESULTS / f"{name}.md").read_text(encoding="utf-8")


def test_the_profile_of_the_readme_gives_a_stream_its_first_model(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It loads as it stands, and needs neither predictions nor a command."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    blocks = re.findall(r"^```toml\n(.*?)^```", text, re.DOTALL | re.MULTILINE)
    (block,) = [one for one in blocks if "bootstrap_servers" in one]
    monkeypatch.delenv("KAFKA_BOOTSTRAP_SERVERS", raising=False)
    file = tmp_path / "driftloop.toml"
    file.write_text(block)
    settings = load_settings(file)
    found = settings.profile_of("orders.lyon")
    assert found is not None
    assert found[1].training.initial > 0
    assert found[1].features.numeric
    (served,) = re.findall(r"driftloop kafka up --port (\d+)", text)
    assert settings.kafka.bootstrap_servers == f"127.0.0.1:{served}"


def test_every_key_of_the_settings_is_told() -> None:
    text = (ROOT / "docs" / "configuration.md").read_text(encoding="utf-8")
    for section in Settings.model_fields:
        if section not in {"home", "profiles", "policies"}:
            assert f"### `[{section}]`" in text


@pytest.mark.parametrize("page", PAGES, ids=_name)
def test_links_within_the_project_lead_somewhere(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    for link in (one or other for one, other in _LINK.findall(_without_code(text))):
        if re.match(r"[a-z]+:", link):
            continue
        name, _, anchor = link.partition("#")
        target = (page.parent / name).resolve() if name else page
        assert target.exists(), f"{_name(page)}: {link}"
        assert target.is_relative_to(ROOT), f"{_name(page)}: {link}"
        if anchor:
            assert anchor in _anchors(target.read_text(encoding="utf-8")), f"{_name(page)}: {link}"


def _commands(page: Path) -> Iterator[list[str]]:
    """Words of each command in the page's shell blocks, variables before it left out."""
    for block in _BLOCK.findall(page.read_text(encoding="utf-8")):
        for line in block.replace("\\\n", " ").splitlines():
            words = shlex.split(line.strip().removeprefix("$ "), comments=True)
            while words and re.match(r"^\w+=", words[0]):
                words.pop(0)
            if words:
                yield words


@pytest.mark.parametrize("page", PAGES, ids=_name)
def test_commands_in_pages_exist(page: Path) -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"^([.\w-]+):", makefile, flags=re.MULTILINE))
    for command, *arguments in _commands(page):
        name = Path(command).name
        if name == "driftloop":
            result = CliRunner().invoke(app, [*arguments, "--help"])
            assert result.exit_code == 0, f"{_name(page)}: {command} {arguments}\n{result.output}"
        elif name == "make":
            named = {one for one in arguments if "=" not in one}
            assert named <= targets, f"{_name(page)}: make {arguments}"
        elif name == "pytest":
            for one in arguments:
                assert not one.startswith("tests/") or (ROOT / one).exists(), (
                    f"{_name(page)}: {one}"
                )
        elif name == "python" and arguments[0].endswith(".py"):
            assert (ROOT / arguments[0]).exists(), f"{_name(page)}: {arguments[0]}"


def test_files_that_pages_name_exist() -> None:
    """Paths in backticks under src, flows, scripts, docs, tests, k8s."""
    named = re.compile(r"`((?:src|flows|scripts|docs|tests|k8s|docker)/[\w./-]*)`")
    for page in PAGES:
        for one in named.findall(page.read_text(encoding="utf-8")):
            assert (ROOT / one).exists(), f"{_name(page)}: {one}"


def test_an_option_that_a_command_does_not_have_is_found_out() -> None:
    """What `test_commands_in_pages_exist` relies on: `--help` does not hide an unknown option."""
    for words in (["backtest", "shops", "--nope"], ["demo", "--nope"], ["config", "nope"]):
        assert CliRunner().invoke(app, [*words, "--help"]).exit_code != 0
