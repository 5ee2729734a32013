"""The effective configuration as TOML, each value with where it comes from, secrets hidden."""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from driftloop.settings.load import configuration_file, environment_overrides
from driftloop.settings.models import Settings
from driftloop.settings.secrets import is_reference, redact

_BARE = re.compile(r"^[A-Za-z0-9_-]+$")


def render(settings: Settings, path: str | Path | None = None) -> str:
    """TOML that `load_settings` reads back to the same settings (hidden values apart).

    Args:
        settings: What `load_settings(path)` returned.
        path: The same path, so that each value's source can be told.

    Returns:
        Text in which a value without a remark is a built-in default.
    """
    file = configuration_file(path)
    document = tomllib.loads(file.read_text(encoding="utf-8")) if file else {}
    values = settings.model_dump(mode="json", exclude_none=True)
    values["kafka"]["properties"] = redact(values["kafka"]["properties"])
    values["store"]["options"] = redact(values["store"]["options"])
    sources = _Sources(file)
    lines = ["# Driftloop's effective configuration. A value without a remark is a default."]
    lines += tables(values, lambda place: sources.remark(place, document))
    return "\n".join(lines) + "\n"


def tables(
    values: Mapping[str, Any], remark: Callable[[tuple[str, ...]], str] = lambda _: ""
) -> list[str]:
    """Lines of TOML of a nested mapping.

    Args:
        values: Tables, and what `literal` takes.
        remark: What stands behind a value, by its path: empty, or two blanks and a comment.

    >>> tables({"home": "here", "store": {"uri": "s3://x"}})
    ['home = "here"', '', '[store]', 'uri = "s3://x"']
    """
    lines: list[str] = []
    _table(values, (), remark, lines)
    return lines


class _Sources:
    def __init__(self, file: Path | None) -> None:
        self._file = file
        self._overrides = environment_overrides()

    def remark(self, path: tuple[str, ...], document: Any) -> str:
        """Comment behind a value: the variable or the file that it comes from."""
        upper = tuple(part.upper() for part in path)
        for name, parts in self._overrides.items():
            if upper[: len(parts)] == parts:
                return f"  # {name}"
        found = document
        for part in path:
            if not isinstance(found, Mapping) or part not in found:
                return ""
            found = found[part]
        return f"  # {self._file}"


def _table(
    values: Mapping[str, Any],
    path: tuple[str, ...],
    remark: Callable[[tuple[str, ...]], str],
    lines: list[str],
) -> None:
    inner = {
        name: value
        for name, value in values.items()
        if isinstance(value, Mapping) and not is_reference(value)
    }
    plain = {name: value for name, value in values.items() if name not in inner}
    if path and (plain or not inner):
        lines += ["", f"[{'.'.join(key(part) for part in path)}]"]
    for name, value in plain.items():
        lines.append(f"{key(name)} = {literal(value)}{remark((*path, name))}")
    for name, value in inner.items():
        _table(value, (*path, name), remark, lines)


def key(name: str) -> str:
    """A TOML key, quoted where it must be.

    >>> key("sasl.password")
    '"sasl.password"'
    """
    return name if _BARE.match(name) else literal(name)


def literal(value: Any) -> str:
    """A value in TOML.

    >>> literal({"env": "KAFKA_PASSWORD"})
    '{ env = "KAFKA_PASSWORD" }'
    """
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, Mapping):
        inner = ", ".join(f"{key(name)} = {literal(item)}" for name, item in value.items())
        return f"{{ {inner} }}" if inner else "{}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(literal(item) for item in value) + "]"
    if isinstance(value, int | float):
        return repr(value)
    text = str(value)
    if "\\" in text and "'" not in text and text.isprintable():
        return f"'{text}'"  # regular expressions stay readable
    # JSON's escapes are TOML's too, but for DEL, which JSON leaves as it is.
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")
