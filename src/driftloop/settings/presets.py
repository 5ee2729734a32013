"""Policies by name: ``vote(2)``, ``periodic(7d)``, ``reducible(20, alpha_per_year=1)``."""

from __future__ import annotations

import difflib
import re
import tomllib
from collections.abc import Mapping
from typing import Any

_CALL = re.compile(r"^\s*([A-Za-z][\w-]*)\s*(?:\((.*)\))?\s*$")

FIRST: dict[str, tuple[str, ...]] = {
    "never": (),
    "always": (),
    "periodic": ("every",),
    "any": (),
    "all": (),
    "vote": ("votes",),
    "mlma": ("alpha_per_year",),
    "multi-criteria": ("votes",),
    "detector": ("detector",),
    "reducible": ("cost",),
}
"""Each preset, and the key that its bare argument sets."""

MEANINGS: dict[str, tuple[str, str]] = {
    "never": ("never", "Never; a stream gets its first model alone."),
    "always": ("always", "At every closed window of losses."),
    "periodic": (
        "periodic(7d)",
        (
            "After so much event time, when a window of losses closes; a whole number, as "
            "`periodic(500)`, is labelled records."
        ),
    ),
    "any": ("any", "One of `criteria` speaks for drift, corrected for their number."),
    "all": ("all", "All of `criteria` do."),
    "vote": ("vote(2)", "So many of `criteria` do, by the combining rule."),
    "mlma": (
        "mlma(0.1)",
        "The window's losses are above a reference's; the argument is needless retrains a year.",
    ),
    "multi-criteria": (
        "multi-criteria(2)",
        "As `vote`, and one of the losses (without labels, of the score) rejects by itself.",
    ),
    "detector": (
        "detector(adwin)",
        "The incremental detector has signalled since the last window closed.",
    ),
    "reducible": (
        "reducible(20)",
        (
            "A newer model would have saved more than a retrain costs, in records' worth of mean "
            "loss. `reducible(test)`: a window's saving is significant; `reducible(both)`: the sum "
            "exceeds the cost and is significant; these two promise `alpha_per_year`. With "
            "`min_window=0.5` a model is trained on what has changed alone, half the training "
            "window at least."
        ),
    ),
}
"""Each preset: an example, and when it retrains."""


def parse_policy(text: str, own: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Read a policy's name with its arguments as the table that it stands for.

    Args:
        text: A preset, as ``never``, ``periodic(7d)``, ``periodic(500)`` (labelled records),
            ``vote(2)``, ``detector(adwin)``, ``reducible(20)``; or the name of a policy of
            ``[policies]``. ``key=value`` arguments set any other key.
        own: The tables of ``[policies]``.

    Raises:
        ValueError: The name or an argument is not understood.

    >>> parse_policy("periodic(7d, min_records=10)")
    {'kind': 'periodic', 'every': '7d', 'min_records': 10}
    """
    match = _CALL.match(text)
    if match is None:
        raise ValueError("a policy's name with arguments, as 'vote(2)' or 'periodic(7d)'")
    name, arguments = match[1], match[2]
    table: dict[str, Any]
    if own and name in own:
        table = dict(own[name])
        bare: tuple[str, ...] = ()
    elif name in FIRST:
        table, bare = {"kind": name}, FIRST[name]
    else:
        known = [*(own or {}), *FIRST]
        close = difflib.get_close_matches(name, known, n=1, cutoff=0.6)
        hint = f"did you mean {close[0]!r}?" if close else "known: " + ", ".join(known)
        raise ValueError(f"a preset, or a policy of [policies] ({hint})")
    for position, argument in enumerate(_split(arguments or "")):
        key, sign, value = (part.strip() for part in argument.partition("="))
        if not sign:
            if position or not bare:
                accepted = f"one bare argument, {bare[0]}" if bare else "no bare argument"
                raise ValueError(f"{name} takes {accepted}, and key=value; got {argument!r}")
            key, value = _bare(name, bare[0], key)
        table[key] = _scalar(value)
    return table


def _bare(name: str, key: str, value: str) -> tuple[str, str]:
    if name == "periodic" and value.isdigit():
        return "every_records", value
    if name == "reducible" and value in {"accumulate", "test", "both"}:
        return "mode", value
    return key, value


def _split(arguments: str) -> list[str]:
    """Split at the commas outside brackets, braces and quotes.

    >>> _split('2, criteria=["a, b", "c"], price={loss=1, seconds=2}')
    ['2', 'criteria=["a, b", "c"]', 'price={loss=1, seconds=2}']
    """
    parts, depth, quote = [""], 0, ""
    for sign in arguments:
        if quote:
            quote = "" if sign == quote else quote
        elif sign in "\"'":
            quote = sign
        elif sign in "[{":
            depth += 1
        elif sign in "]}":
            depth -= 1
        if sign == "," and not depth and not quote:
            parts.append("")
        else:
            parts[-1] += sign
    return [part.strip() for part in parts if part.strip()]


def _scalar(text: str) -> Any:
    """A value as TOML has it; what is none is text."""
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text
