"""Which streams need a person: a number to sort by, and the reason in words."""

from __future__ import annotations

from typing import NamedTuple


class Need(NamedTuple):
    """A reason to look at a stream.

    Attributes:
        rank: 1 to 100; the highest one of a stream counts.
        name: Short name, as a filter takes it.
        when: Condition on the columns of ``streams``, as SQL.
        why: The reason in words, as an SQL expression.
    """

    rank: int
    name: str
    when: str
    why: str


NEEDS: tuple[Need, ...] = (
    Need(
        100,
        "failing",
        "last_verdict = 'worse' AND judged_version = model_version",
        "'newest version proven worse on live records'",
    ),
    Need(
        98,
        "failing",
        "last_outcome = 'failed'",
        "'last training failed: ' || last_reason",
    ),
    Need(
        95,
        "failing",
        "refused_in_row >= 2",
        "refused_in_row || ' retrains in a row refused by the gate'",
    ),
    Need(85, "refused", "state = 'refused'", "'its records cannot be monitored'"),
    Need(80, "approval", "state = 'awaiting-approval'", "'a retrain waits for approval'"),
    Need(70, "incident", "in_incident > 0", "'part of an incident that is open'"),
    Need(60, "watched", "state = 'watched'", "'features have shifted'"),
    Need(50, "silent", "state = 'silent'", "'no records come'"),
    Need(
        30,
        "unreadable",
        "dead_letters > 0 AND dead_letters * 100 >= records",
        "dead_letters || ' records not readable'",
    ),
)
"""From the most to the least urgent; streams without any need nobody."""

NAMES: tuple[str, ...] = tuple(dict.fromkeys(one.name for one in NEEDS))


def update_statement() -> str:
    """SQL that sets ``need`` and ``need_why`` of the streams in the table ``touched``."""
    ranks = " ".join(f"WHEN {one.when} THEN {one.rank}" for one in NEEDS)
    words = " ".join(f"WHEN {one.when} THEN {one.why}" for one in NEEDS)
    live = "state NOT IN ('retired', 'snoozed')"
    return (  # all of it ours
        f"UPDATE streams SET need = CASE WHEN NOT ({live}) THEN 0 {ranks} ELSE 0 END, "  # noqa: S608
        f"need_why = CASE WHEN NOT ({live}) THEN '' {words} ELSE '' END "
        "WHERE stream IN (SELECT stream FROM touched)"
    )


def ranks_of(name: str) -> list[int]:
    """Ranks that have a name.

    >>> ranks_of("silent")
    [50]
    """
    return [one.rank for one in NEEDS if one.name == name]
