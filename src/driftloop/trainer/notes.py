"""What a trainer has read of the topic of trainings, in a file: a start reads on from there.

The file is a copy of what the topic says up to some offsets, no more: without it, or where it is
damaged, of another release or of another topic, all of the topic is read.
"""

from __future__ import annotations

import hashlib
import os
import secrets
from contextlib import suppress
from pathlib import Path

import msgspec
import structlog

from driftloop import __version__
from driftloop.messages import CandidateTrained
from driftloop.trainer.ids import OutcomeIds, Place
from driftloop.trainer.worth import Worth, WorthNotes

FILE = "trainer-history.bin"

_VERSION = f"1 {__version__}"
"""Another release may understand events that this one passes over."""

_DIGEST = 16

_log = structlog.get_logger(__name__)


class Read(msgspec.Struct, kw_only=True):
    """What the topic says up to some offsets.

    Attributes:
        topic_id: Of the topic: one that was deleted and made anew has another.
        positions: Offset at which reading goes on, of each partition.
        ids: Of requests that have their outcome, or a candidate on trial: `OutcomeIds.dump`.
        other_ids: Likewise.
        sequences: The largest number that a version or candidate of each stream has.
        candidates: Those on trial.
        places: Version, URI and digest of the newest artifacts of each stream.
        judged: The version of each stream that the ledger judged last.
        worth: What the ledger and budgets have of it.
        version: Of this form and release.
    """

    topic_id: str
    positions: dict[int, int]
    ids: bytes
    other_ids: dict[str, Place]
    sequences: dict[str, int]
    candidates: list[CandidateTrained]
    places: dict[str, list[tuple[str, str, str]]]
    judged: dict[str, str]
    worth: WorthNotes
    version: str = _VERSION


class Notes:
    """The file.

    Args:
        home: Its folder; made where it is missing.
        worth: What gathers sums of the same events; kept and taken up with them.
    """

    def __init__(self, home: Path, worth: Worth) -> None:
        self.file = home / FILE
        self.worth = worth
        self._warned = False

    def load(self) -> Read | None:
        """What is kept; None where nothing is, or nothing that can be used."""
        try:
            data = self.file.read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            self._warn(error)
            return None
        digest, body = data[:_DIGEST], data[_DIGEST:]
        if digest != _digest(body):
            return None  # of a disk that was full, or another release
        try:
            found = msgspec.msgpack.decode(body, type=Read)
        except msgspec.DecodeError:
            return None
        if found.version != _VERSION or not OutcomeIds.fits(found.ids):
            return None
        return found

    def save(self, read: Read) -> None:
        """Keep this instead; whole or not at all. A disk that does not take it is told once."""
        body = msgspec.msgpack.encode(read)
        aside = self.file.with_name(f"{FILE}.{secrets.token_hex(4)}.part")
        try:
            self.file.parent.mkdir(parents=True, exist_ok=True)
            with aside.open("wb") as file:
                file.write(_digest(body) + body)
                file.flush()
                os.fsync(file.fileno())
            aside.replace(self.file)
        except OSError as error:
            with suppress(OSError):
                aside.unlink(missing_ok=True)
            self._warn(error)

    def _warn(self, error: OSError) -> None:
        if not self._warned:
            self._warned = True
            effect = "the next start reads all outcomes"
            _log.warning("trainer.history_not_kept", why=str(error), effect=effect)


def _digest(body: bytes) -> bytes:
    return hashlib.blake2b(body, digest_size=_DIGEST).digest()


__all__ = ["FILE", "Notes", "Read"]
