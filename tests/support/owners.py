"""Bridges that share a PostgreSQL, as far as their sessions, journals and commits go."""

from contextlib import asynccontextmanager
from itertools import count

from support.shared_database import opened

from bridge.commands import Commands
from bridge.committer import Committer
from bridge.model import Client, Config, Scalars, Update
from bridge.ownership import Orphans, Ownership, Releases, Taking
from bridge.pipeline import Pipeline
from bridge.session_snapshot import snapshot_of
from bridge.sessions import Sessions
from bridge.sinks.journal import Archive, Journal
from bridge.sinks.journal.restoration import Restoration
from bridge.sinks.metrics import TrainingMetrics
from bridge.storage.journal import JournalRows
from bridge.storage.owners import OwnerRows
from bridge.telemetry import Telemetry


class Waiting:
    """Whoever waits for an Ack."""

    def __init__(self) -> None:
        self.tickets = []

    def on_committed(self, ticket) -> None:
        self.tickets.append(ticket)


class Owner:
    """One bridge; its commits are made when the test says so, unless it is `running`."""

    def __init__(self, database, **limits) -> None:
        self.database = database
        self.telemetry = Telemetry()
        self.sessions = Sessions(**limits)
        self.commands = Commands()
        self.metrics = TrainingMetrics(self.telemetry)
        self.rows = OwnerRows(database)
        self.releases = Releases(self.rows, clock=count(1).__next__)  # each commit writes
        parts = (self.metrics, self.commands)
        self.journal = Journal(JournalRows(database), parts, self.telemetry)
        self.archive = Archive(database)
        self.committer = Committer(
            [self.journal, self.releases],
            database,
            self.telemetry,
            on_fenced=self._on_fenced,
            take_arrived=self.sessions.take_arrived,
        )
        self.pipeline = Pipeline(
            sessions=self.sessions,
            commands=self.commands,
            sinks=[self.journal, self.metrics, self.releases],
            committer=self.committer,
            telemetry=self.telemetry,
        )
        self.windows = {}
        """By session, the window of images that it came with."""
        self.taking = Taking(
            database,
            self.rows,
            Restoration(parts, self.telemetry),
            self.telemetry,
            go_on=self._go_on,
            catch_up=self.committer.request_commit,
            is_here=lambda name: self.sessions.find(name) is not None,
        )
        self.ownership = Ownership(
            self.taking,
            self.releases,
            self.sessions,
            self.pipeline,
            self.telemetry,
            committed=self.committer.committed,
        )
        self.lost = []
        self.ownership.on_lost = self.lost.append
        self.orphans = Orphans(
            self.rows,
            self.taking,
            self.telemetry,
            strays=self.ownership.strays,
            give_up=self.releases.give_up,
        )

    def _on_fenced(self, fenced) -> None:
        self.ownership.on_fenced(fenced)

    def _go_on(self, session, window, *, is_expected) -> None:
        self.journal.take_over(session)
        self.windows[session.id] = window
        self.pipeline.restore(session, is_expected=is_expected)

    async def register(self, name="run", instance="i"):
        """Register a session, wherever it was."""
        await self.ownership.acquire(name)
        archived = self.archive.load_archived(name)
        return self.pipeline.register(name, Client("c", "1", instance), Config(3), archived).session

    def send(self, session, sequence, value=1.0):
        """Accept one numbered update; return who waits for its Ack."""
        waiting = Waiting()
        message = Scalars(1, sequence, {"loss": value})
        update = Update(session.id, message, sequence, 10)
        self.pipeline.accept(update, session.holder, waiting)
        return waiting

    def known(self, session):
        """Return all that is known of a session, as plain values that compare."""
        series = {**self.metrics.snapshot(session), "written_at": "now"}
        return repr((snapshot_of(session), series))

    def owner_of(self, name):
        """Return which bridge has a session, or None."""
        rows = self.database.query("SELECT bridge_id FROM owners WHERE session_id = %s", (name,))
        return rows[0][0] if rows else None


@asynccontextmanager
async def owner(url, name, **limits):
    """Run one bridge, without commits of its own."""
    with opened(url, name) as database:
        one = Owner(database, **limits)
        async with one.taking.running():
            yield one
