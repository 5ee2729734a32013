"""Small plots of block characters, for terminals."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

BLOCKS = "▁▂▃▄▅▆▇█"


def spark(values: Iterable[float], top: float) -> str:
    """Values as a row of blocks on a scale from 0 to `top`.

    >>> spark([0.0, 5.0, 10.0], 10.0)
    '▁▅█'
    """
    last = len(BLOCKS) - 1
    return "".join(BLOCKS[max(0, min(last, round(value / top * last)))] for value in values)


def bars(values: Sequence[float], top: float, height: int) -> list[str]:
    """Values as bars of several rows on a scale from 0 to `top`; the top row first.

    >>> bars([5.0, 10.0], 10.0, 2)
    [' █', '██']
    """
    steps = len(BLOCKS)
    filled = [max(1, min(height * steps, round(value / top * height * steps))) for value in values]
    rows = []
    for row in range(height - 1, -1, -1):
        parts = [many - row * steps for many in filled]
        rows.append(
            "".join(
                BLOCKS[steps - 1] if part >= steps else BLOCKS[part - 1] if part > 0 else " "
                for part in parts
            )
        )
    return rows


def bar(share: float, width: int) -> str:
    """A share in [0, 1] as a horizontal bar of at most `width` characters.

    >>> bar(0.5, 4)
    '██'
    """
    return "█" * round(max(0.0, min(1.0, share)) * width)
