"""Writes the generated parts of the pages in docs/ from the types and registries.

``python scripts/generate_docs.py`` writes them; with ``--check`` it only says which are stale, and
exits 1 then. Text outside the markers ``<!-- generated: … -->`` is written by hand.
"""

from __future__ import annotations

import inspect
import json
import re
import sys
import types
from datetime import timedelta
from pathlib import Path
from typing import Any, Literal, Union, get_args, get_origin

import msgspec
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from driftloop.messages import (
    CandidateTrained,
    Command,
    CommandAnswered,
    Cost,
    Event,
    Evidence,
    FleetIncident,
    Ground,
    ModelPublished,
    PartReported,
    RetrainJudged,
    RetrainRequested,
    StreamStatus,
    TrainingFinished,
    VersionOrdered,
    encode,
    event_id,
)
from driftloop.settings import Settings
from driftloop.settings.base import format_duration
from driftloop.settings.render import literal

sys.path.insert(0, str(Path(__file__).parents[1]))  # run as a script, its folder alone is there

from scripts.criteria_page import criteria, detectors, presets
from scripts.metrics_page import metrics

DOCS = Path(__file__).parents[1] / "docs"
_MARKED = re.compile(r"(<!-- generated: (\w+) -->\n).*?(<!-- end -->)", re.DOTALL)


def attributes(kind: type) -> dict[str, str]:
    """Meaning of each field, from the docstring's section ``Attributes``."""
    text = inspect.getdoc(kind) or ""
    if "Attributes:" not in text:
        return {}
    found: dict[str, str] = {}
    name = ""
    for line in text.split("Attributes:")[1].splitlines():
        match = re.match(r"^    (\w+): (.*)$", line)
        if match:
            name = match[1]
            found[name] = match[2]
        elif name and line.strip():
            found[name] += " " + line.strip()
    return {key: _markdown(value) for key, value in found.items()}


def _markdown(text: str) -> str:
    return text.replace("``", "`").replace("|", r"\|")


# --- configuration ---------------------------------------------------------------------------


def configuration() -> str:
    """Every key of ``driftloop.toml``, table by table."""
    lines: list[str] = []
    _section(Settings, "", lines)
    return "\n".join(lines).strip() + "\n"


def _section(model: type[BaseModel], path: str, lines: list[str]) -> None:
    meanings = attributes(model)
    nested: list[tuple[str, type[BaseModel]]] = []
    rows = []
    for name, field in model.model_fields.items():
        models = _models(field.annotation)
        many = get_origin(field.annotation) is list
        if models:
            inner = f"{name}.NAME" if get_origin(field.annotation) is dict else name
            place = f"{path}.{inner}" if path else inner
            nested += [(f"[{place}]" if many else place, one) for one in models]
        if models and not many:
            continue
        rows.append(f"| `{name}` | {_type(field)} | {_default(field)} | {meanings[name]} |")
    if path:
        summary = _markdown((inspect.getdoc(model) or "").splitlines()[0])
        kind = model.model_fields.get("kind")
        suffix = f" with `kind = {literal(get_args(kind.annotation)[0])}`" if _tagged(kind) else ""
        lines += [f"### `[{path}]`{suffix}", "", summary, ""]
    else:
        lines += ["### Top level", ""]
    if rows:
        lines += ["| key | type | default | meaning |", "|---|---|---|---|", *rows, ""]
    for inner_path, one in nested:
        _section(one, inner_path, lines)


def _tagged(kind: FieldInfo | None) -> bool:
    return kind is not None and len(get_args(kind.annotation)) == 1


def _models(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [one for part in get_args(annotation) for one in _models(part)]


def _type(field: FieldInfo) -> str:
    text = _type_name(field.annotation)
    bounds = {
        name: getattr(one, name)
        for one in field.metadata
        for name in ("gt", "ge", "lt", "le")
        if getattr(one, name, None) is not None
    }
    signs = {"gt": ">", "ge": "≥", "lt": "<", "le": "≤"}
    limits = ", ".join(f"{signs[name]} {value}" for name, value in bounds.items())
    pattern = next((one.pattern for one in field.metadata if getattr(one, "pattern", None)), None)
    if pattern:
        limits = f"matching `{pattern}`".replace("|", r"\|")
    return f"{text}, {limits}" if limits else text


def _type_name(annotation: Any) -> str:
    origin, inner = get_origin(annotation), get_args(annotation)
    if origin is Literal:
        return " or ".join(f"`{one}`" for one in inner)
    if origin in {Union, types.UnionType}:
        return " or ".join(_type_name(one) for one in inner if one is not type(None))
    if origin is list and _models(annotation):
        return "list of texts or tables"
    if origin is list:
        return f"list of {_type_name(inner[0])}"
    if origin is dict:
        return "table"
    if origin is not None:  # Annotated
        return _type_name(inner[0])
    names = {bool: "true or false", int: "integer", float: "number", str: "text", Path: "path"}
    return "duration" if annotation is timedelta else names.get(annotation, str(annotation))


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "required"
    value = field.get_default(call_default_factory=True, validated_data={})
    if value is None:
        return "none"
    if any(arg is timedelta for arg in (field.annotation, *get_args(field.annotation))):
        value = value if isinstance(value, timedelta | str) else timedelta(seconds=value)
        value = format_duration(value) if isinstance(value, timedelta) else value
    text = literal(str(value) if isinstance(value, Path) else value)
    return f"`{text}`".replace("|", r"\|")


# --- events ----------------------------------------------------------------------------------

_RANGE = "streams.lyon:0:4100:4399"
_REQUEST = event_id("streams.lyon", "9f2c41d07be35a68", "retrain", [_RANGE])
_COMMAND = event_id("streams.lyon", "", "command", ["ada", 1_767_225_000_000])
_GROUND = Ground(
    criterion="reducible",
    family="loss",
    statistic=212.4,
    effect=0.31,
    threshold=180.0,
    rejected=True,
    n=300,
    window=[_RANGE],
)
_COST = Cost(seconds=0.04, records=2000, device="cpu")
_SHARED: dict[str, Any] = {"stream": "streams.lyon", "profile": "default"}


def examples() -> list[tuple[str, Event]]:
    """One event of each type, with the role of its topic in ``[topics]``."""
    return [*_first_examples().items(), *_version_examples()]


def _version_examples() -> list[tuple[str, Event]]:
    """Events about versions on trial."""
    candidate = event_id("streams.lyon", "9f2c41d07be35a68", "candidate", [_REQUEST])
    return [
        (
            "trainings",
            CandidateTrained(
                id=candidate,
                **_SHARED,
                profile_hash="9f2c41d07be35a68",
                version="v4",
                sequence=4,
                parent_version="v3",
                parent_uri=".driftloop/models/streams.lyon/v3-7d10a3c2",
                parent_sha256="91e7" * 16,
                kind="linear",
                uri=f".driftloop/models/streams.lyon/v4-{_REQUEST[:8]}",
                sha256="5b0c" * 16,
                format="safetensors",
                champion={"loss": 0.62},
                challenger={"loss": 0.33},
                data=["streams.lyon:0:2400:4399"],
                cost=_COST,
                request_id=_REQUEST,
                trained_at=1_767_225_603_512,
            ),
        ),
        (
            "retrain",
            VersionOrdered(
                id=event_id("streams.lyon", "", "order", ["rollback", "v4", _REQUEST]),
                **_SHARED,
                action="rollback",
                version="v3",
                against="v4",
                request_id=_REQUEST,
                reason="live-losses",
                metrics={
                    "records": 220.0,
                    "loss_new": 0.91,
                    "loss_old": 0.6,
                    "difference": 0.31,
                    "low": 0.12,
                    "high": 0.5,
                    "log_e_worse": 4.8,
                    "log_e_better": -1.9,
                },
                detail="v4 is worse than v3 would have been on 220 live records",
                decided_at=1_767_236_400_000,
            ),
        ),
        (
            "trainings",
            RetrainJudged(
                id=event_id("streams.lyon", "", "judged", [_REQUEST]),
                **_SHARED,
                request_id=_REQUEST,
                version="v4",
                parent_version="v3",
                verdict="worse",
                records=220,
                saved=-0.31,
                low=-0.5,
                high=-0.12,
                level=0.99,
                seconds=0.04,
                device="cpu",
                cost=None,
                judged_at=1_767_236_400_000,
                detail="proven worse",
            ),
        ),
        (
            "commands",
            CommandAnswered(
                id=event_id("streams.lyon", "", "answer", [_COMMAND]),
                **_SHARED,
                command_id=_COMMAND,
                action="retrain",
                outcome="accepted",
                detail="retrain requested on 2000 labelled records",
                led_to=[_REQUEST],
                answered_at=1_767_225_600_000,
            ),
        ),
        (
            "status",
            PartReported(
                id=event_id("", "", "part", ["monitor", "node-1", 1_767_225_600_000]),
                part="monitor",
                instance="node-1",
                state="ready",
                version="0.1.0",
                started_at=1_767_220_000_000,
                reported_at=1_767_225_600_000,
                every=10.0,
                metrics={"records": 4_812_233.0, "records_per_second": 1212.4, "lag": 310.0},
            ),
        ),
    ]


def _first_examples() -> dict[str, Event]:
    """Of each topic the event that it is there for."""
    return {
        "retrain": RetrainRequested(
            id=_REQUEST,
            **_SHARED,
            profile_hash="9f2c41d07be35a68",
            reason="policy",
            policy="reducible",
            grounds=[_GROUND],
            data=["streams.lyon:0:2400:4399"],
            current_version="v3",
            decided_at=1_767_225_600_000,
            priority=92.5,
        ),
        "models": ModelPublished(
            id=event_id("streams.lyon", "9f2c41d07be35a68", "model", [_REQUEST]),
            **_SHARED,
            version="v4",
            sequence=4,
            parent_version="v3",
            kind="linear",
            uri=f".driftloop/models/streams.lyon/v4-{_REQUEST[:8]}",
            sha256="5b0c" * 16,
            format="safetensors",
            champion={"loss": 0.62},
            challenger={"loss": 0.33},
            data=["streams.lyon:0:2400:4399"],
            cost=_COST,
            request_id=_REQUEST,
            published_at=1_767_225_603_512,
            parent_uri=".driftloop/models/streams.lyon/v3-7d10a3c2",
            parent_sha256="91e7" * 16,
        ),
        "trainings": TrainingFinished(
            id=event_id("streams.lyon", "9f2c41d07be35a68", "training", [_REQUEST]),
            **_SHARED,
            request_id=_REQUEST,
            outcome="published",
            version="v4",
            champion={"loss": 0.62},
            challenger={"loss": 0.33},
            cost=_COST,
            finished_at=1_767_225_603_512,
        ),
        "commands": Command(
            id=_COMMAND,
            stream="streams.lyon",
            action="retrain",
            who="ada",
            why="the sensor was replaced",
            issued_at=1_767_225_000_000,
            via="cli",
        ),
        "evidence": Evidence(
            id=event_id("streams.lyon", "9f2c41d07be35a68", "evidence", [_RANGE]),
            **_SHARED,
            kind="window",
            opened_at=1_767_139_200_000,
            closed_at=1_767_225_600_000,
            window=[_RANGE],
            records=300,
            model_version="v3",
            results=[_GROUND],
            metrics={"loss": 0.61, "corrected_loss": 0.3},
            decision="retrain",
        ),
        "status": StreamStatus(
            id=event_id("streams.lyon", "9f2c41d07be35a68", "status", [_RANGE]),
            **_SHARED,
            state="monitoring",
            model_version="v3",
            event_time=1_767_225_600_000,
            records=4400,
            losses=4400,
            windows=14,
            retrains=1,
            loss=0.61,
            corrected_loss=0.3,
        ),
        "incidents": FleetIncident(
            id=event_id(
                "fleet:default", "9f2c41d07be35a68", "incident-opened", [1_767_225_600_000]
            ),
            profile="default",
            action="opened",
            opened_at=1_767_225_600_000,
            streams=["streams.lyon", "streams.lille"],
            moved=31,
            observed=50,
            share=0.62,
            statistic=9.4,
            p_value=2.1e-12,
            detail=(
                "31 of 50 streams lost more than they used to, together: look for a shared cause "
                "(an upstream, a holiday) first; retrains go ahead meanwhile "
                "(fleet.during_incident)"
            ),
        ),
    }


def events() -> str:
    """Each event: its topic, key, clean-up, fields, and an example message."""
    topics = Settings.model_fields["topics"].get_default().names
    lines: list[str] = []
    for role, event in examples():
        kind = type(event)
        first = (inspect.getdoc(kind) or "").splitlines()[0]
        cleanup = "compact" if role in {"models", "status"} else "delete"
        key = "stream" if event.stream else "profile" if event.profile else "part and its instance"
        lines += [
            f"### {kind.__name__}",
            "",
            first,
            "",
            f"- Type: `{kind.type}`",
            f"- Topic: `{topics[role]}` (`topics.{role}`), key: the {key}, clean-up: {cleanup}",
            f"- Schema: [`{kind.type}.json`](../src/driftloop/messages/schemas/{kind.type}.json)",
            "",
            *_fields(kind),
            "",
            *_message(event),
            "",
        ]
    for shared in (Ground, Cost):
        summary = (inspect.getdoc(shared) or "").splitlines()[0]
        lines += [f"### {shared.__name__} (inside events)", "", summary, ""]
        if attributes(shared):
            lines += [*_fields(shared), ""]
    return "\n".join(lines).strip() + "\n"


def _fields(kind: type) -> list[str]:
    meanings = attributes(kind)
    rows = []
    for one in msgspec.structs.fields(kind):
        if one.name in {"id", "stream", "profile"} and issubclass(kind, Event):
            continue
        required = "yes" if one.required else "no"
        rows.append(f"| `{one.name}` | {required} | {meanings[one.name]} |")
    return ["| field | always there | meaning |", "|---|---|---|", *rows]


def _message(event: Event) -> list[str]:
    message = encode(event)
    headers = [f"{name}: {value.decode()}" for name, value in message.headers]
    value = json.dumps(json.loads(message.value), indent=2)
    return ["```text", *headers, "```", "", "```json", value, "```"]


# --- files -----------------------------------------------------------------------------------

_PARTS = {
    "configuration": configuration,
    "events": events,
    "criteria": criteria,
    "presets": presets,
    "detectors": detectors,
    "metrics": metrics,
}


def render(text: str) -> str:
    """A page with its generated parts written anew."""
    return _MARKED.sub(lambda match: f"{match[1]}\n{_PARTS[match[2]]()}\n{match[3]}", text)


def pages() -> list[Path]:
    """Pages that have a generated part."""
    return [page for page in sorted(DOCS.glob("*.md")) if _MARKED.search(page.read_text("utf-8"))]


def main(arguments: list[str]) -> int:
    """Write the pages, or with ``--check`` only name the stale ones."""
    stale = []
    for page in pages():
        text = page.read_text(encoding="utf-8")
        rendered = render(text)
        if rendered != text:
            stale.append(page)
            if "--check" not in arguments:
                page.write_text(rendered, encoding="utf-8")
    for page in stale:
        print(f"{'stale' if '--check' in arguments else 'wrote'}: {page.relative_to(DOCS.parent)}")
    return 1 if stale and "--check" in arguments else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
