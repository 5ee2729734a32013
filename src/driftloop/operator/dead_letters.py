"""Dead letters for whoever looks at them: listed, read, and sent to their topics again, once."""

from driftloop.operator.letters import (
    Letter,
    LetterPlace,
    Replay,
    letters_at,
    listing,
    parse_place,
    read,
)
from driftloop.operator.replays import refusal, replay, still_unreadable

__all__ = [
    "Letter",
    "LetterPlace",
    "Replay",
    "letters_at",
    "listing",
    "parse_place",
    "read",
    "refusal",
    "replay",
    "still_unreadable",
]
