"""Names that are like one that is not there."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable

_ENOUGH = 0.6
_SEPARATOR = re.compile(r"[.:_/-]")


def alike(text: str, known: Iterable[str], count: int = 3) -> list[str]:
    """Names most like a text, at most `count`: by what is left behind the part that all share.

    >>> alike("flights.LXA", ["flights.LAX", "flights.SEA", "flights.CLT"])
    ['flights.LAX']
    """
    names = list(known)
    within = [one for one in names if text and text in one][:count]
    close = within or difflib.get_close_matches(text, names, count, _ENOUGH)
    ends = [found.end() for found in _SEPARATOR.finditer(text)]
    cut = max((at for at in ends if all(one[:at] == text[:at] for one in close)), default=0)
    if within or not text[cut:]:
        return close
    rest = {one: difflib.SequenceMatcher(None, text[cut:], one[cut:]).ratio() for one in close}
    return [one for one in close if rest[one] >= _ENOUGH]
