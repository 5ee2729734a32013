"""The read model's file: what the topics say, as tables that can be asked."""

from __future__ import annotations

import contextlib
import fcntl
import sqlite3
import threading
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import IO

from driftloop.kafka.ranges import Place
from driftloop.messages import Event
from driftloop.readmodel.apply import Applier, Where
from driftloop.readmodel.need import update_statement
from driftloop.readmodel.schema import DDL, VERSION

FILE = "readmodel.sqlite"

Letter = tuple[int, int, str, int, int, str, str, int, int]
"""Row of ``dead_letters`` up to ``told_at``."""


class ReadModel:
    """A SQLite file that is built from Driftloop's topics, and can be built anew at any time.

    One process writes at a time (`writing`); any number read. Each thread has a connection of its
    own.

    Args:
        path: The file; made where it is missing, with its folder.
        origin: What it is built from; a file of another origin or of other tables is emptied.
    """

    def __init__(self, path: Path, origin: str) -> None:
        self.path = path
        self.origin = origin
        self._local = threading.local()
        self._lock: IO[str] | None = None
        path.parent.mkdir(parents=True, exist_ok=True)

    # Connections

    @property
    def db(self) -> sqlite3.Connection:
        """This thread's connection."""
        found: sqlite3.Connection | None = getattr(self._local, "db", None)
        if found is None:
            found = sqlite3.connect(self.path, timeout=30.0, isolation_level=None)
            found.row_factory = sqlite3.Row
            found.execute("PRAGMA journal_mode = WAL")
            found.execute("PRAGMA synchronous = NORMAL")
            found.execute("CREATE TEMP TABLE touched (stream TEXT PRIMARY KEY) WITHOUT ROWID")
            self._local.db = found
        return found

    def close(self) -> None:
        """End this thread's connection, and let others write."""
        found: sqlite3.Connection | None = getattr(self._local, "db", None)
        if found is not None:
            found.close()
            self._local.db = None
        self.release()

    def acquire(self) -> bool:
        """Become the one process that writes; false where another is."""
        if self._lock is not None:
            return True
        file = self.path.with_suffix(".lock").open("a")
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            file.close()
            return False
        self._lock = file
        self._prepare()
        return True

    def release(self) -> None:
        """Let another process write."""
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    def _prepare(self) -> None:
        if not self.ready:
            self.clear()

    def clear(self) -> None:
        """Make all tables anew, empty. Only the process that writes may."""
        with self.transaction() as db:
            tables = db.execute(
                "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'"
            ).fetchall()
            for (name,) in tables:
                db.execute(f"DROP TABLE {name}")
            for statement in DDL.split(";"):
                if statement.strip():
                    db.execute(statement)
            rows = [("version", str(VERSION)), ("origin", self.origin)]
            db.executemany("INSERT INTO meta VALUES (?, ?)", rows)

    @property
    def ready(self) -> bool:
        """Whether the tables are there, and of this origin."""
        try:
            known = (self.meta("version"), self.meta("origin"))
            return known == (str(VERSION), self.origin)
        except sqlite3.OperationalError:
            return False

    def meta(self, name: str) -> str:
        """A word about the file itself, or an empty text."""
        row = self.db.execute("SELECT value FROM meta WHERE name = ?", (name,)).fetchone()
        return "" if row is None else str(row[0])

    @contextlib.contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """All or nothing."""
        db = self.db
        db.execute("BEGIN IMMEDIATE")
        try:
            yield db
        except BaseException:
            db.execute("ROLLBACK")
            raise
        db.execute("COMMIT")

    # Writing

    def positions(self) -> dict[Place, int]:
        """Where reading goes on, of each partition."""
        rows = self.db.execute("SELECT topic, partition, next FROM positions").fetchall()
        return {(topic, partition): offset for topic, partition, offset in rows}

    def topic_ids(self) -> dict[str, str]:
        """Id of each topic that was read; one that was made anew has another."""
        rows = self.db.execute("SELECT name, value FROM meta WHERE name LIKE 'topic:%'").fetchall()
        return {name.partition(":")[2]: value for name, value in rows}

    def note_topics(self, ids: Mapping[str, str]) -> None:
        """Keep the ids of topics."""
        with self.transaction() as db:
            rows = [(f"topic:{name}", value) for name, value in ids.items()]
            db.executemany("INSERT OR REPLACE INTO meta VALUES (?, ?)", rows)

    def write(
        self,
        events: Iterable[tuple[Event | None, str, Where]],
        letters: Iterable[Letter],
        positions: Mapping[Place, int],
        replayed: Iterable[tuple[int, int, int]] = (),
    ) -> None:
        """Take in what was read, together with how far that was.

        Args:
            events: Each with its key and place; None is a tombstone of the key's stream.
            letters: Dead letters.
            positions: Where reading goes on.
            replayed: When, and partition and offset of each letter that was sent again.
        """
        with self.transaction() as db:
            applier = Applier(db)
            for event, key, where in events:
                if event is None:
                    applier.retire(key)
                else:
                    applier.apply(event, where)
            db.executemany(
                "INSERT OR IGNORE INTO dead_letters (partition, place, topic, source_partition, "
                "source_offset, reason, detail, size, told_at) VALUES (?,?,?,?,?,?,?,?,?)",
                letters,
            )
            db.executemany(
                "UPDATE dead_letters SET replayed_at = ? WHERE partition = ? AND place = ?",
                replayed,
            )
            applier.prune()
            applier.count_refused()
            db.execute(update_statement())
            db.execute("DELETE FROM touched")
            rows = [(topic, partition, next_) for (topic, partition), next_ in positions.items()]
            db.executemany("INSERT OR REPLACE INTO positions VALUES (?, ?, ?)", rows)
