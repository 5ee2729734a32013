"""The JSON Schema files say what the types say."""

from __future__ import annotations

import json

import jsonschema
from hypothesis import given

from driftloop.messages import Event, encode
from driftloop.messages.schema import FOLDER, render, schemas
from tests.strategies import events

_SCHEMAS = schemas()


def test_schema_files_are_those_of_the_types() -> None:
    """Stale? ``python -m driftloop.messages.schema`` writes them."""
    expected = {name: render(schema) for name, schema in _SCHEMAS.items()}
    found = {file.name: file.read_text(encoding="utf-8") for file in FOLDER.glob("*.json")}
    assert found == expected


def test_each_schema_is_a_valid_schema() -> None:
    for schema in _SCHEMAS.values():
        jsonschema.Draft202012Validator.check_schema(schema)


@given(events)
def test_every_event_fits_its_schema(event: Event) -> None:
    schema = _SCHEMAS[f"{event.type}.json"]
    jsonschema.Draft202012Validator(schema).validate(json.loads(encode(event).value))
