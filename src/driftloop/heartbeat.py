"""Heartbeats: a small file by which a running part shows that its loop still turns.

A process that is there but stuck looks healthy from outside; so each part's loop beats, and
``driftloop health`` (the probe of containers) looks at the age of the last beat.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

Part = Literal["monitor", "trainer", "scorer", "demo", "dashboard"]
PARTS: tuple[str, ...] = get_args(Part)
_beaten: dict[str, float] = {}


def heartbeat_file(home: Path, part: str) -> Path:
    """Where `part` leaves its heartbeat."""
    return home / f"{part}.alive"


def age_of(part: str, clock: Callable[[], float] = time.monotonic) -> float | None:
    """Seconds since `part` beat in this process; None if it never did."""
    last = _beaten.get(part)
    return None if last is None else max(clock() - last, 0.0)


class Heartbeat:
    """Writes ``<home>/<part>.alive``, at most once in `every` seconds.

    Args:
        home: `driftloop.settings.Settings.home`; made when missing.
        part: The part's name.
        every: Seconds between two writes.
        clock: Monotonic seconds; another one in tests.
        wall: Seconds since the epoch; another one in tests.
    """

    def __init__(
        self,
        home: Path,
        part: Part,
        *,
        every: float = 2.0,
        clock: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self.file = heartbeat_file(home, part)
        self._part = part
        self._every = every
        self._clock = clock
        self._wall = wall
        self._next = float("-inf")

    def beat(self) -> bool:
        """Show that the loop turns. Cheap enough for every turn.

        Returns:
            Whether the file was written: false when the last write is younger than `every`, or
            the disk refused (a full disk must not end the part that it is meant to watch).
        """
        now = _beaten[self._part] = self._clock()
        if now < self._next:
            return False
        self._next = now + self._every
        text = json.dumps({"time": self._wall(), "pid": os.getpid()})
        # Renamed into place, so that a probe never reads half a file; named by process, so that
        # the processes of one cluster on one machine do not share a half-written one.
        aside = self.file.with_name(f".{self.file.name}.{os.getpid()}")
        try:
            self.file.parent.mkdir(parents=True, exist_ok=True)
            aside.write_text(text, encoding="utf-8")
            aside.replace(self.file)
        except OSError:
            return False
        return True


@dataclass(frozen=True, slots=True)
class Health:
    """What a heartbeat file says.

    Attributes:
        alive: Whether the last beat is young enough.
        detail: Why, in words.
    """

    alive: bool
    detail: str


def check_heartbeat(
    home: Path, part: str, max_age: float, *, wall: Callable[[], float] = time.time
) -> Health:
    """Judge a part by the age of its last beat.

    Args:
        home: `driftloop.settings.Settings.home` of the part.
        part: The part's name.
        max_age: Seconds, inclusive.
        wall: Seconds since the epoch.
    """
    file = heartbeat_file(home, part)
    try:
        beat = json.loads(file.read_text(encoding="utf-8"))
        age = wall() - float(beat["time"])
        pid = int(beat["pid"])
    except FileNotFoundError:
        return Health(alive=False, detail=f"{part} has not beaten yet: there is no {file}")
    except (OSError, ValueError, KeyError, TypeError) as error:
        return Health(alive=False, detail=f"{file} cannot be read: {error}")
    if age > max_age:
        detail = f"{part} (process {pid}) last beat {age:.0f} s ago, at most {max_age:.0f} s"
        return Health(alive=False, detail=f"{detail} are allowed ({file})")
    return Health(alive=True, detail=f"{part} (process {pid}) beat {max(age, 0.0):.0f} s ago")
