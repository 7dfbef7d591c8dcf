"""A journal with the sinks whose state it keeps, and bridges that die and start again."""

from bridge.lifecycle import Registered, Superseded
from bridge.model import Client, Config
from bridge.session import Session
from bridge.session_snapshot import snapshot_of
from bridge.sinks.journal import Archive, Journal, replay
from bridge.sinks.journal.restoration import OBSERVED
from bridge.sinks.metrics import TrainingMetrics
from bridge.sinks.spans.sink import Spans
from bridge.storage.journal import JournalRows
from bridge.storage.outbox import SpanOutbox
from bridge.storage.sqlite.database import SqliteDatabase
from bridge.telemetry import Telemetry

START = 1_800_000_000.0


class Life:
    """One life of a bridge, as far as its journal goes; the next one is begun on the same database."""

    def __init__(self, database: SqliteDatabase, *, ended_after_ms=0, **options):
        """Replay what is there; `options` are the journal's."""
        self.database = database
        self.now = 0.0
        self.telemetry = Telemetry()
        self.metrics = TrainingMetrics(
            self.telemetry, clock=lambda: START, monotonic=lambda: 1_500.0
        )
        self.spans = Spans(SpanOutbox(database), self.telemetry)
        rows = JournalRows(database)
        found = replay(
            rows,
            (self.metrics, self.spans),
            self.telemetry,
            ended_after_ms=ended_after_ms,
            limit=100,
        )
        self.sessions = {session.id: session for session in found.sessions}
        self.replayed_entries = sum(entries for _, entries in found.groups)
        parts = (self.metrics, self.spans)
        self.journal = Journal(rows, parts, self.telemetry, clock=lambda: self.now, **options)
        self.journal.resume(found)

    def register(self, name="run", *, attempt=1):
        """Begin an attempt of a session; the one before is kept."""
        former = self.sessions.get(name)
        if former is not None and former.attempt < attempt:
            self.happen(former, Superseded())
        session = Session(name, Client("c", "1", "i"), Config(3), now=START, attempt=attempt)
        self.sessions[name] = session
        self.happen(session, Registered())
        return session

    def happen(self, session, *events, at=START):
        """Let events happen to a session, as the pipeline does."""
        for event in events:
            for sink in (self.journal, self.metrics, self.spans):
                sink.consume(session, event, at)
            if not isinstance(event, OBSERVED):
                session.updated_at = max(session.updated_at, at)
            session.apply(event, at)

    def commit(self) -> bool:
        """Write what there is to write; tell whether there was any."""
        works = [
            work for part in (self.spans, self.journal) if (work := part.collect()) is not None
        ]
        with self.database.transaction() as transaction:
            for work in works:
                work.write(transaction)
        for work in works:
            work.on_committed()
        return bool(works)

    def known(self):
        """Return all that is known of each session, as plain values that compare, NaN included."""
        return {
            name: repr(
                (snapshot_of(session), self.metrics.snapshot(session), self.spans.snapshot(session))
            )
            for name, session in self.sessions.items()
        }

    def former_attempts(self):
        """Return what is on disk of the attempts that others have followed, by name and number."""
        archive = Archive(self.database)
        return {
            (name, entry.attempt): repr(snapshot_of(archive.find(name, entry.attempt)))
            for name in self.sessions
            for entry in archive.attempts(name)[:-1]
        }

    def groups(self) -> int:
        """Count the groups that wait in the journal."""
        return len(self.database.query("SELECT number FROM journal"))

    def dropped(self, what: str) -> float:
        """Return how many of these the bridge says it has lost as damaged."""
        labels = {"what": what, "reason": "damaged"}
        return self.telemetry.registry.get_sample_value("bridge_dropped_total", labels) or 0.0
