"""A journal outside of a bridge: to be measured by itself, and to be left behind for a start."""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from bridge.lifecycle import Registered
from bridge.model import Batch, Client, Config
from bridge.session import Session
from bridge.sinks.journal import Journal
from bridge.storage.journal import JournalRows
from bridge.storage.sqlite.database import SqliteDatabase
from bridge.telemetry import Telemetry


@dataclass(frozen=True, slots=True)
class Desk:
    """A journal on a disk, and sessions to write of."""

    database: SqliteDatabase
    journal: Journal
    sessions: Sequence[Session]

    def consume(self, updates: int, first: int) -> None:
        """Let so many batches happen, one session after the other, numbered from `first`."""
        now, count = time.time(), len(self.sessions)
        for number in range(first, first + updates):
            session = self.sessions[number % count]
            session.accepted += 1
            batch = Batch(0, number, number / 1024, duration_seconds=0.016, sample_count=32)
            self.journal.consume(session, batch, now)

    def commit(self) -> None:
        """Write what has happened to the disk."""
        work = self.journal.collect()
        if work is None:
            return
        with self.database.transaction() as transaction:
            work.write(transaction)
        work.on_committed()


@contextmanager
def desk(folder: Path, sessions: int) -> Iterator[Desk]:
    """Open a journal in a state folder, with registered sessions."""
    folder.mkdir(parents=True, exist_ok=True)
    database = SqliteDatabase(folder / "trainbridge.db")
    try:
        runs = [
            Session(f"run-{number}", Client(), Config(), now=time.time())
            for number in range(sessions)
        ]
        found = Desk(database, Journal(JournalRows(database), (), Telemetry()), runs)
        for run in runs:
            found.journal.consume(run, Registered(), run.registered_at)
        found.commit()
        yield found
    finally:
        database.close()


def write_journal(folder: Path, updates: int, sessions: int, *, group: int = 250) -> None:
    """Leave behind what a bridge does that is killed before any session is written whole."""
    with desk(folder, sessions) as found:
        for first in range(0, updates, group):
            found.consume(min(group, updates - first), first)
            found.commit()
