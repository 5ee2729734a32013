"""Reading a TOML file: what is wrong with it stands with its line."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

from driftloop.errors import Fault, SettingsError

_PLACE = re.compile(
    r"^(?P<what>.*) \(at (?:line (?P<line>\d+), column \d+|end of document)\)$", re.DOTALL
)
_EXPECTED = re.compile(r"^Expected (?P<rule>.+)$")
_RULES = {
    "Invalid value": "a value: a text in quotes, a number, true, false, a list or a table",
    "Invalid statement": "a line as 'key = value' or '[table]'",
    "Unescaped '\\' in a string": "a text with '\\' in single quotes",
}


def parse(file: Path) -> dict[str, Any]:
    """The document.

    Raises:
        SettingsError: It cannot be read, or is no TOML; names the line and what is expected
            there, never a value of it.
    """
    try:
        text = file.read_text(encoding="utf-8")
    except OSError as error:
        advice = "driftloop config init writes one" if isinstance(error, FileNotFoundError) else ""
        got = (error.strerror or "error").lower()
        raise SettingsError([Fault(str(file), got, "a readable file", advice)]) from error
    except UnicodeDecodeError as error:
        raise SettingsError([Fault(str(file), "other bytes", "a text in UTF-8")]) from error
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise SettingsError([_fault(str(error), file, text)], str(file)) from None


def _fault(message: str, file: Path, text: str) -> Fault:
    match = _PLACE.match(message)
    what = match["what"] if match else message
    lines = text.splitlines() or [""]
    number = int(match["line"]) if match and match["line"] else len(lines)
    expected = _EXPECTED.match(what)
    rule = expected["rule"] if expected else _RULES.get(what, f"valid TOML ({_lower(what)})")
    return Fault(f"{file}, line {number}", _shown(lines[min(number, len(lines)) - 1]), rule)


def _shown(line: str) -> str:
    """A line without its value, which may be a secret."""
    key, equals, _ = line.strip().partition("=")
    if equals:
        return f"'{key.strip()} = …'"
    return repr(key) if key.startswith("[") else "a line that is neither"


def _lower(text: str) -> str:
    return text[:1].lower() + text[1:]
