"""What pydantic found, in the words of `driftloop.toml`: place, value, rule and a hint."""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, get_args

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from driftloop.errors import Fault
from driftloop.settings.base import MisfitError
from driftloop.settings.detectors import KINDS
from driftloop.settings.models import Settings
from driftloop.settings.secrets import HIDDEN, is_secret

Path = tuple[str, ...]

NOTHING = "nothing"
_RULES = {
    "missing": "a value",
    "model_type": "a table",
    "model_attributes_type": "a table",
    "dict_type": "a table",
    "list_type": "a list",
    "string_type": "a text",
    "path_type": "a path",
    "int_type": "a whole number",
    "int_parsing": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "float_parsing": "a number",
    "finite_number": "a finite number",
    "bool_type": "true or false",
    "bool_parsing": "true or false",
    "greater_than_equal": "at least {ge:g}",
    "greater_than": "more than {gt:g}",
    "less_than_equal": "at most {le:g}",
    "less_than": "less than {lt:g}",
    "too_short": "at least {min_length}",
    "too_long": "at most {max_length}",
    "literal_error": "{expected}",
    "union_tag_invalid": "{expected_tags}",
}
_QUOTED = re.compile(r"'([^']*)'")


class Found(NamedTuple):
    """A fault, and the keys that it rests on.

    Attributes:
        fault: What is told.
        path: The key at fault.
        keys: All keys that must be sound for the fault to be one.
    """

    fault: Fault
    path: Path
    keys: tuple[Path, ...]


def explain(detail: Mapping[str, Any], document: Mapping[str, Any]) -> list[Found]:
    """The faults of one error of pydantic's.

    Args:
        detail: An item of ``ValidationError.errors()``.
        document: What was validated.
    """
    path, tags = _split(detail["loc"])
    kind = str(detail["type"])
    cause = (detail.get("ctx") or {}).get("error")
    if isinstance(cause, MisfitError):
        return [
            _found((*path, *key.split(".")), rule, shown, [(*path, one) for one in involved])
            for key, rule, shown, involved in cause.misfits
        ]
    if kind in {"union_tag_not_found", "union_tag_invalid"}:
        path = (*path, "kind")
    value = look_up(document, path)
    if kind == "extra_forbidden":
        return [_found(path, "a known key", _show(path, value), (), _known(path, tags))]
    if kind == "union_tag_not_found":
        return [_found(path, "'count' or 'cycle'", NOTHING)]
    rule = _rule(detail, path)
    if kind == "value_error" and isinstance(value, Mapping):
        # A rule that names a key of its table in quotes stands at that key.
        names = [name for name in _QUOTED.findall(rule) if name in _keys((*path, ""), tags)]
        if names:
            path = (*path, names[0])
            value = look_up(document, path)
    accepted = _QUOTED.findall(rule) if kind in {"literal_error", "union_tag_invalid"} else []
    return [_found(path, rule, _show(path, value), (), did_you_mean(str(value), accepted))]


def _found(path: Path, rule: str, shown: str, keys: Sequence[Path] = (), hint: str = "") -> Found:
    return Found(Fault(".".join(path), shown, rule, hint), path, (path, *keys))


def _rule(detail: Mapping[str, Any], path: Path) -> str:
    kind, context = str(detail["type"]), detail.get("ctx") or {}
    if kind == "string_pattern_mismatch":
        field = _field(path)
        # The field's own words, where it has some: a pattern tells few people anything.
        return (field and field.description) or f"a text of the form {context['pattern']}"
    if kind in _RULES:
        return str(_RULES[kind].format(**context))
    rule = str(detail["msg"]).removeprefix("Value error, ").removeprefix("Input should be ")
    return rule[0].lower() + rule[1:]


def did_you_mean(text: str, accepted: Sequence[str]) -> str:
    """A hint, or nothing where no accepted text is near.

    >>> did_you_mean("counts", ["count", "cycle"])
    "did you mean 'count'?"
    >>> did_you_mean("monthly", ["count", "cycle"])
    ''
    """
    close = difflib.get_close_matches(text, accepted, n=1, cutoff=0.6)
    return f"did you mean {close[0]!r}?" if close else ""


def _known(path: Path, tags: Mapping[int, str]) -> str:
    keys = _keys(path, tags)
    return did_you_mean(path[-1], keys) or "known: " + ", ".join(keys)


def _split(loc: Sequence[Any]) -> tuple[Path, dict[int, str]]:
    """Pydantic's path as it is in the file, and the names of union members left out of it."""
    path: list[str] = []
    tags: dict[int, str] = {}
    for part in map(str, loc):
        if path and len(path) not in tags and _is_tag(path, part):
            tags[len(path)] = part
            continue
        path.append(part)
    return tuple(path), tags


def _is_tag(path: Sequence[str], part: str) -> bool:
    """Whether a part of pydantic's path names a member of a union."""
    if path[-1] == "window":
        return part in {"count", "cycle"}
    return part in KINDS and (path[-1] == "detector" or path[-2:-1] == ["detectors"])


def look_up(document: Any, path: Path) -> Any:
    """What stands at a path, or `NOTHING`."""
    found = document
    for part in path:
        if isinstance(found, Mapping) and part in found:
            found = found[part]
        elif isinstance(found, list) and part.isdigit() and int(part) < len(found):
            found = found[int(part)]
        elif isinstance(found, str) and found is not document:
            return found  # the short form of a table
        else:
            return NOTHING
    return found


# Keys of the tables of clients that hold no secret.
_OPEN = {"bootstrap_servers", "uri", "grace"}


def _show(path: Path, value: Any) -> str:
    if value == NOTHING:
        return NOTHING
    # Whole tables of clients are never shown, nor what looks like a pasted `sasl.password=…`.
    table = path[0] in {"kafka", "store"} and path[-1] not in _OPEN
    named = any(is_secret(part) for part in path)
    if named or is_secret(str(value)) or (table and not isinstance(value, int | float)):
        return HIDDEN
    return "this table" if isinstance(value, Mapping) else repr(value)


def _models(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for part in get_args(annotation) for model in _models(part)]


def _tables(path: Path, tags: Mapping[int, str]) -> list[type[BaseModel]]:
    """The models of the table that holds the last part of `path`."""
    models: list[type[BaseModel]] = [Settings]
    for depth, part in enumerate(path[:-1], start=1):
        known = [
            found
            for model in models
            if part in model.model_fields
            for found in _models(model.model_fields[part].annotation)
        ]
        models = known or models  # a name that the user chose, as that of a profile
        if depth in tags:
            models = [one for one in models if _is_member(one, tags[depth])] or models
    return models


def _is_member(model: type[BaseModel], tag: str) -> bool:
    kind = model.model_fields.get("kind")
    return kind is not None and tag in get_args(kind.annotation)


def _keys(path: Path, tags: Mapping[int, str]) -> list[str]:
    return sorted({name for model in _tables(path, tags) for name in model.model_fields})


def _field(path: Path) -> FieldInfo | None:
    for model in _tables(path, {}):
        if path[-1] in model.model_fields:
            return model.model_fields[path[-1]]
    return None
