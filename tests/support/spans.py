"""A spans sink with a database, and sessions that things happen to."""

from bridge.lifecycle import Registered
from bridge.model import Batch, Client, Config, Epoch
from bridge.session import Session
from bridge.session_snapshot import session_from, snapshot_of
from bridge.sinks.spans.sink import DEFAULT_OPTIONS, Spans
from bridge.sinks.spans.span import Span
from bridge.storage.outbox import OUTBOX_LIMIT, SpanOutbox
from bridge.storage.packed import packed, unpacked
from bridge.storage.sqlite.database import SqliteDatabase
from bridge.telemetry import Telemetry

PUBLIC_URL = "https://bridge.example.org"
START = 1_700_000_000.0

CONFIG = Config(3, 100, 32, "resnet", "digits", ("zero", "one"))
CLIENT = Client("trainer", "1.2", "instance-1", {"team": "vision"})


class World:
    """One bridge as far as spans go; each event brings its time."""

    def __init__(self, folder, *, limit=OUTBOX_LIMIT, monotonic=None, options=DEFAULT_OPTIONS):
        self.folder = folder
        folder.mkdir(exist_ok=True)
        self.database = SqliteDatabase(folder / "trainbridge.db", durable=False)
        self.outbox = SpanOutbox(self.database, limit=limit)
        self.telemetry = Telemetry()
        self.sink = Spans(
            self.outbox,
            self.telemetry,
            public_url=PUBLIC_URL,
            options=options,
            monotonic=monotonic,
        )

    def close(self):
        self.database.close()

    def register(self, session_id="run", *, at=START, attempt=1, client=CLIENT, config=CONFIG):
        """Register a session, and return it."""
        session = Session(session_id, client, config, now=at, attempt=attempt)
        self.happen(session, Registered(), at=at)
        return session

    def happen(self, session, *events, at):
        """Let events happen to a session, as the pipeline does."""
        for event in events:
            self.sink.consume(session, event, at)
            session.apply(event, at)
            session.updated_at = at

    def restored(self, session):
        """Return what a restarted bridge knows of a session, replayed to a sink of its own."""
        restored = session_from(unpacked(packed(snapshot_of(session))))
        restored.restored_state = {self.sink.name: unpacked(packed(self.sink.snapshot(session)))}
        return restored

    def commit(self):
        """Write what the sink has to keep."""
        work = self.sink.collect()
        if work is None:
            return False
        with self.database.transaction() as transaction:
            work.write(transaction)
        work.on_committed()
        return True

    def spans(self):
        """Commit, and return the spans that wait."""
        self.commit()
        return [Span.from_json(span) for _, span in self.outbox.take_oldest(100_000)]

    def named(self, name):
        """Return the waiting spans of one name."""
        return [span for span in self.spans() if span.name == name]

    def count(self, result):
        """Return how many spans the bridge says it has exported, failed to, or dropped."""
        return self.telemetry.registry.get_sample_value("bridge_spans_total", {"result": result})


def batch(epoch, index, loss=0.5, **more):
    """Return a batch."""
    return Batch(epoch, index, loss, **more)


def averages(number, loss=0.4, accuracy=0.9, **more):
    """Return the averages of an epoch."""
    return Epoch(number, loss, accuracy, **more)
