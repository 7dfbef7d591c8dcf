"""Bridges on one PostgreSQL as far as the inbox goes: what comes of a command is a row in a ledger of the tests' own."""

from contextlib import ExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from functools import partial

from support.shared_database import opened

from bridge.commands import Commands
from bridge.committer import Committer
from bridge.inbox import COMMAND, InboxDelivery, SessionInbox, command_receiver
from bridge.lifecycle import CommandQueued, Connected, Moved
from bridge.model import Client, Config
from bridge.pipeline import Pipeline
from bridge.sessions import Sessions
from bridge.sinks.inbox import InboxReceipts
from bridge.storage import inbox
from bridge.storage.inbox import InboxRows
from bridge.telemetry import Telemetry

LEDGER = "CREATE TABLE IF NOT EXISTS ledger (session_id text, command_id text, bridge_id text)"


@dataclass
class Ledger:
    """A durable sink that writes down which commands were queued, as the journal does."""

    database: object
    queued: list = field(default_factory=list)

    def consume(self, session, event, _received):
        if isinstance(event, CommandQueued):
            self.queued.append((session.id, event.command_id, self.database.bridge_id))
        if isinstance(event, Moved):
            self.queued = [row for row in self.queued if row[0] != session.id]

    def collect(self):
        rows, self.queued = self.queued, []
        return LedgerWrite(rows) if rows else None


@dataclass
class LedgerWrite:
    """The rows of one commit."""

    rows: list

    def write(self, transaction):
        for row in self.rows:
            if transaction.owns(row[0]):
                transaction.execute("INSERT INTO ledger VALUES (%s, %s, %s)", row)

    def on_committed(self):
        """Do nothing."""


class InboxBridge:
    """One bridge; a kill is to leave it, and to begin another one of the same name."""

    def __init__(self, database, **receivers):
        self.database = database
        with database.transaction() as transaction:
            transaction.execute(LEDGER)
        self.telemetry = Telemetry()
        self.rows = InboxRows(database)
        self.receipts = InboxReceipts(self.rows)
        self.sessions = Sessions(new_per_minute=100_000)
        self.commands = Commands()
        self.ledger = Ledger(database)
        self.committer = Committer(
            (self.ledger, self.receipts), database, self.telemetry, on_fenced=self._on_fenced
        )
        self.pipeline = Pipeline(
            sessions=self.sessions,
            commands=self.commands,
            sinks=(self.ledger, self.receipts),
            committer=self.committer,
            telemetry=self.telemetry,
        )
        self.delivery = InboxDelivery(
            self.rows,
            self.receipts,
            self.sessions,
            self.telemetry,
            request_commit=self.committer.request_commit,
        )
        self.delivery.hand_to({COMMAND: command_receiver(self.pipeline.submit), **receivers})
        self.inbox = SessionInbox(
            self.rows,
            self.sessions,
            committed=self.committer.committed,
            deliver=self.delivery.deliver,
        )

    @asynccontextmanager
    async def running(self, *, is_listening=True):
        """Commit and deliver until the block is left."""
        announce = self.delivery.announce
        with ExitStack() as stack:
            if is_listening:
                channels = (inbox.CHANNEL,)
                stack.enter_context(
                    self.database.listen(channels, lambda _channel, name: announce(name))
                )
            async with self.committer.running(), self.delivery.running():
                yield self

    def have(self, name="run", *, attempt=1):
        """Take a session into memory, and own it, whoever did."""
        session = self.sessions.register(name, Client("tests", "1"), Config(3)).session
        session.attempt = attempt
        session.apply(Connected(), session.registered_at)
        self.own(name)
        return session

    def own(self, name="run"):
        """Take a session from its bridge, as far as the database goes."""
        with self.database.transaction() as transaction:
            transaction.execute(
                "UPDATE bridges SET generation = generation + 1 WHERE bridge_id ="
                " (SELECT bridge_id FROM owners WHERE session_id = %s AND bridge_id <> %s)",
                (name, self.database.bridge_id),
            )
            transaction.execute(
                "INSERT INTO owners VALUES (%s, %s)"
                " ON CONFLICT (session_id) DO UPDATE SET bridge_id = excluded.bridge_id",
                (name, self.database.bridge_id),
            )

    def waiting(self):
        """Return the ids of the messages that no commit has removed."""
        rows = self.database.query("SELECT message_id FROM inbox ORDER BY number")
        return [message_id for [message_id] in rows]

    def kept(self):
        """Return the command ids in the ledger, and which bridge has written each."""
        return self.database.query("SELECT command_id, bridge_id FROM ledger ORDER BY command_id")

    def dropped(self, reason):
        """Return how many messages were dropped for a reason."""
        labels = {"what": "message", "reason": reason}
        return self.telemetry.registry.get_sample_value("bridge_dropped_total", labels) or 0

    def _on_fenced(self, fenced):
        for session in tuple(self.sessions):
            if session.id not in fenced.owned:
                self.pipeline.drop(session, Moved())


@contextmanager
def bridges_on(url, *names, **receivers):
    """Yield a bridge of each name on one database."""
    with ExitStack() as stack:
        begin = partial(_begin, stack, url, receivers)
        yield [begin(name) for name in names]


def _begin(stack, url, receivers, name):
    return InboxBridge(stack.enter_context(opened(url, name)), **receivers)
