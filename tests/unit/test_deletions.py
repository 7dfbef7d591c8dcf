"""A deleted session is gone at once and for good, and its images follow in steps that survive anything."""

import asyncio
import threading

import pytest
from support.images import NOON, NOON_MS, Bench, batch, session
from support.shared_database import opened
from support.stores import MemoryStore
from support.waiting import until

from bridge.commands import Commands
from bridge.committer import Committer
from bridge.deletions import SessionDeleter, carry_out_all, deletions
from bridge.errors import SessionRunningError, StorageError
from bridge.lifecycle import Connected, Ended
from bridge.model import Client, Config, Stage
from bridge.pipeline import Pipeline
from bridge.sessions import Sessions
from bridge.sinks.attempt_limit import AttemptLimit
from bridge.sinks.deletions import DeletionRequests
from bridge.sinks.journal import Archive, Journal
from bridge.storage import deletions as rows
from bridge.storage.deletions import Deletion, ImageScope, pending_deletions, put_deletion
from bridge.storage.index import ImageIndex
from bridge.storage.journal import JournalRows
from bridge.storage.shards import is_rebuilt, mark_rebuilt
from bridge.storage.sqlite.database import SqliteDatabase
from bridge.telemetry import Telemetry

LATER_MS = NOON_MS + 1


class Office:
    """A deleter with a real journal, and nothing else that consumes."""

    def __init__(self, folder):
        """Build it in a folder."""
        self.database = SqliteDatabase(folder / "deletions.db", durable=False)
        self.telemetry = Telemetry()
        self.sessions = Sessions()
        self.requests = DeletionRequests()
        self.journal = Journal(JournalRows(self.database), (), self.telemetry)
        self.committer = Committer((self.requests, self.journal), self.database, self.telemetry)
        self.archive = Archive(self.database)
        self.pipeline = Pipeline(
            sessions=self.sessions,
            commands=Commands(),
            sinks=(self.journal,),
            committer=self.committer,
            telemetry=self.telemetry,
        )
        self.deleter = self.deleting()

    def deleting(self, bring=None):
        """Return what deletes sessions; `bring` has other bridges give them up."""
        return SessionDeleter(
            sessions=self.sessions,
            pipeline=self.pipeline,
            committer=self.committer,
            requests=self.requests,
            forget=self.journal.discard,
            telemetry=self.telemetry,
            bring=bring,
        )

    def register(self, name="run"):
        """Register a session."""
        return self.pipeline.register(name, Client("tests", "1"), Config()).session

    def end(self, found):
        """End a session, as a status message does."""
        self.pipeline._emit(found, Ended(Stage.ENDED), found.registered_at)


@pytest.fixture
def office(tmp_path):
    """Return an office that is closed at the end."""
    office = Office(tmp_path)
    yield office
    office.database.close()


async def test_a_session_in_memory_is_gone_for_good(office):
    """From memory, from the archive, and from what the next start reads; another session stays."""
    async with office.committer.running():
        office.end(office.register("run"))
        office.register("other")
        await office.committer.commit()
        assert office.archive.find("run") is not None
        await office.deleter.delete("run", images=True, by="127.0.0.1")

        assert office.sessions.find("run") is None
    assert office.archive.find("run") is None
    assert office.archive.find("other") is not None
    assert [(d.session_id, d.images) for d in pending_deletions(office.database)] == [
        ("run", ImageScope.ALL)
    ]


async def test_a_session_of_the_archive_is_gone_too(office):
    """Also where it has left memory, and is about to be written, at this very moment."""
    async with office.committer.running():
        for name in ("archived", "leaving"):
            office.end(office.register(name))
        office.pipeline.drop(office.sessions.find("archived"))
        await office.committer.commit()
        office.pipeline.drop(office.sessions.find("leaving"))
        await office.deleter.delete("leaving")
        await office.deleter.delete("archived")

    assert [office.archive.find(name) for name in ("archived", "leaving")] == [None, None]


async def test_a_new_session_of_that_name_is_kept(office):
    """Registered while the deletion is on its way to the disk, it is neither lost nor the old one's attempt."""
    async with office.committer.running():
        office.end(office.register())
        await office.committer.commit()
        deleting = asyncio.create_task(office.deleter.delete("run"))
        await asyncio.sleep(0)  # up to its commit
        office.register()
        await deleting
        await office.committer.commit()

    found = office.archive.find("run")
    assert found is not None
    assert found.attempt == 1


async def test_what_runs_is_refused(office):
    """Connected: never. Silent: only with force, since its process may come back."""
    async with office.committer.running():
        found = office.register()
        office.pipeline._emit(found, Connected(), found.registered_at)
        for force in (False, True):
            with pytest.raises(SessionRunningError, match="still running: stop its training"):
                await office.deleter.delete("run", force=force)
        office.pipeline.disconnect("run")
        with pytest.raises(SessionRunningError, match="force deletes it now"):
            await office.deleter.delete("run")
        await office.deleter.delete("run", force=True)

    assert office.archive.find("run") is None


async def test_one_attempt_is_deleted_by_itself(office):
    """A former one, at once and while a newer one runs; then the newest, once it is over."""
    async with office.committer.running():
        for _ in range(3):
            office.end(office.register())
        running = office.register()
        office.pipeline._emit(running, Connected(), running.registered_at)
        await office.deleter.delete("run", attempt=2)
        assert [one.attempt for one in office.archive.attempts("run")] == [1, 3, 4]
        with pytest.raises(SessionRunningError):
            await office.deleter.delete("run", attempt=4)
        office.end(running)
        await office.deleter.delete("run", attempt=4)

    assert office.sessions.find("run") is None
    assert [one.attempt for one in office.archive.attempts("run")] == [1, 3]
    assert office.archive.find("run").attempt == 3
    assert [(one.session_id, one.attempt) for one in pending_deletions(office.database)] == [
        ("run", 2),
        ("run", 4),
    ]


async def test_a_run_that_starts_over_and_over_keeps_its_last_attempts(office):
    """However often: what is on disk of it stays as large as so many attempts are, and its number goes on."""
    limit = AttemptLimit(3, ImageScope.NONE, office.requests, office.telemetry)
    office.pipeline._sinks = (*office.pipeline._sinks, limit)
    async with office.committer.running():
        for _ in range(40):
            office.end(office.register())
            await office.committer.commit()
        with office.database.transaction() as transaction:
            mark_rebuilt(transaction, "store")
        assert carry_out(office.database, MemoryStore()) == 0

    assert [one.attempt for one in office.archive.attempts("run")] == [38, 39, 40]
    assert pending_deletions(office.database) == []


async def test_all_attempts_go_with_their_session(office):
    """Those that are on disk, and one that is about to be written."""
    async with office.committer.running():
        office.end(office.register())
        await office.committer.commit()
        office.end(office.register())
        office.end(office.register())
        await office.deleter.delete("run")

    assert office.archive.attempts("run") == []


async def stored(bench, *names, epochs=3):
    """Have a bench store images of sessions."""
    async with bench.running():
        for epoch in range(1, epochs + 1):
            for name in names:
                bench.send(session(name), batch(epoch, 0))
            bench.commit()
        # Until then nothing is deleted: what the new database finds in the store could bring it back.
        await until(lambda: bench.commit() or is_rebuilt(bench.database, "store"))


@pytest.fixture
async def kept(tmp_path):
    """Return a database and a store with the images of two sessions whose names begin alike."""
    store = MemoryStore()
    await stored(Bench(tmp_path, store), "run", "run-2")
    database = SqliteDatabase(tmp_path / "trainbridge.db", durable=False)
    yield database, store
    database.close()


def request(database, *, images=ImageScope.ALL, at_ms=LATER_MS):
    """Record a deletion of "run"."""
    with database.transaction() as transaction:
        put_deletion(transaction, Deletion("run", images, at_ms))


def counts(database, name):
    """Return how many rows each table has of a session."""
    return [
        database.query(f"SELECT count(*) FROM {table} WHERE session_id = ?", (name,))[0][0]  # noqa: S608
        for table in ("images", "batches", "shards", "tallies", "deletions")
    ]


def carry_out(database, store, telemetry=None):
    """Carry out what is pending, and return how much is left."""
    return carry_out_all(database, store, telemetry or Telemetry(), threading.Event())


async def test_images_go_with_their_rows(kept, monkeypatch):
    """In bounded steps; a session whose name begins alike keeps everything; each is counted."""
    monkeypatch.setattr(rows, "ROWS_PER_STEP", 2)
    database, store = kept
    telemetry, other = Telemetry(), counts(database, "run-2")
    request(database)

    assert carry_out(database, store, telemetry) == 0
    assert counts(database, "run") == [0] * 5
    assert counts(database, "run-2") == other
    assert len(store.objects) == 3
    assert all(key.startswith("run-2/") for key in store.objects)
    value = telemetry.registry.get_sample_value
    assert value("bridge_shards_deleted_total") == 3
    assert value("bridge_sessions_deleted_total") == 1


async def test_the_images_of_one_attempt_go_by_themselves(tmp_path, monkeypatch):
    """Whatever wrote its shards: the key of an older bridge names no attempt, but the index knows whose they are."""
    monkeypatch.setattr(rows, "ROWS_PER_STEP", 2)
    store = MemoryStore()
    bench = Bench(tmp_path, store)
    async with bench.running():
        for attempt in (1, 2):
            bench.register(session("run", attempt=attempt))
            for epoch in (1, 2):
                bench.send(session("run", attempt=attempt), batch(epoch, 0))
            bench.commit()
    database = SqliteDatabase(tmp_path / "trainbridge.db", durable=False)
    [old] = [key for key in store.objects if "-a1-" in key][:1]
    renamed = old.replace("-a1-", "-")
    store.objects[renamed] = store.objects.pop(old)
    with database.transaction() as transaction:
        transaction.execute("UPDATE shards SET key = ? WHERE key = ?", (renamed, old))
        put_deletion(transaction, Deletion("run", ImageScope.ALL, LATER_MS, attempt=1))

    assert carry_out(database, store) == 0
    index = ImageIndex(database)
    assert index.attempts("run") == [2]
    assert names_of(index.page("run", limit=9)) == [(1, 0), (2, 0)]
    assert len(store.objects) == 2
    assert all("-a2-" in key for key in store.objects)
    assert database.query("SELECT DISTINCT attempt FROM tallies") == [(2,)]
    database.close()


def names_of(batches):
    """Return which batches these are."""
    return [(one.epoch, one.batch) for one in batches]


async def test_images_stay_where_they_were_not_asked_for(kept):
    """The rows go, the shards stay as a data set."""
    database, store = kept
    request(database, images=ImageScope.NONE)

    assert carry_out(database, store) == 0
    assert counts(database, "run") == [0] * 5
    assert len(store.objects) == 6


async def test_only_what_this_bridge_knows_of(kept):
    """What another bridge has stored of the session stays where the scope says so."""
    database, store = kept
    foreign = "run/2023-11-14/1699999999999-ffffffff-000001.tar"
    store.objects[foreign] = b"tar"
    request(database, images=ImageScope.OWN)

    assert carry_out(database, store) == 0
    assert [key for key in store.objects if key.startswith("run/")] == [foreign]


async def test_what_came_after_the_request_stays(kept):
    """A new session of the same name may be on its way already."""
    database, store = kept
    request(database, at_ms=NOON_MS)
    before = counts(database, "run")[:4]

    assert carry_out(database, store) == 0
    assert counts(database, "run")[:4] == before
    assert len(store.objects) == 6


async def test_a_store_that_is_away_is_asked_again(kept):
    """A kill or an outage in the middle costs nothing: what is left follows."""
    database, store = kept
    request(database)
    deleted, delete = [], store.delete

    def fail_second(key):
        if deleted:
            raise StorageError("away")
        deleted.append(key)
        delete(key)

    store.delete = fail_second
    assert carry_out(database, store) == 1
    assert len(store.objects) == 5
    assert counts(database, "run")[4] == 1
    store.delete = delete
    assert carry_out(database, store) == 0
    assert len(store.objects) == 3


@pytest.mark.parametrize("images", [ImageScope.ALL, ImageScope.OWN])
async def test_each_deletion_of_a_name_is_carried_out(kept, images):
    """While the store is away a new session has the name, and is deleted without its images: those before still go."""
    database, store = kept
    delete = store.delete

    def fail(_key):
        raise StorageError("away")

    store.delete = fail
    request(database, images=images, at_ms=LATER_MS)
    assert carry_out(database, store) == 1
    request(database, images=ImageScope.NONE, at_ms=LATER_MS + 1)
    assert carry_out(database, store) == 2

    store.delete = delete
    assert carry_out(database, store) == 0
    assert all(key.startswith("run-2/") for key in store.objects)
    assert counts(database, "run") == [0] * 5


async def test_uploads_come_first(tmp_path):
    """A shard that is still in the spool would arrive after its deletion."""
    store = MemoryStore()
    store.fault = StorageError("away")
    bench = Bench(tmp_path, store)
    async with bench.running(drain_seconds=0):
        bench.send(session(), batch(1, 0), NOON)
        bench.commit()
        request(bench.database)
        assert carry_out(bench.database, store) == 1
        store.fault = None
        bench.images.flush()
        await until(lambda: bench.commit() or not bench.spooled())
        await until(lambda: bench.commit() or carry_out(bench.database, store) == 0)

    assert store.objects == {}


async def test_a_start_goes_on_with_what_was_left(kept):
    """The deletions of a bridge that was killed are carried out by the next one."""
    database, store = kept
    request(database)
    telemetry = Telemetry()
    async with deletions(DeletionRequests(), database, store, telemetry):
        await until(lambda: counts(database, "run") == [0] * 5)
        await until(lambda: telemetry.registry.get_sample_value("bridge_deletions_pending") == 0)


async def test_a_session_is_brought_here_before_it_is_deleted(office):
    """Where another bridge that is away may have it, it runs as one in memory does, and is not deleted unseen."""
    running = office.register("other")
    brought = []

    async def bring(session_id):
        brought.append(session_id)
        return running

    with pytest.raises(SessionRunningError):
        await office.deleting(bring).delete("run")

    assert brought == ["run"]
    assert office.requests.collect() is None


async def test_what_a_bridge_has_left_unfinished_another_one_completes(postgres_url):
    """It is found by looking: the bridge that was asked may never come back."""
    with opened(postgres_url, "gone") as database, database.transaction() as transaction:
        mark_rebuilt(transaction, "store")
        put_deletion(transaction, Deletion("before", ImageScope.ALL, LATER_MS), "gone")
    with opened(postgres_url, "lives") as database:
        requests = DeletionRequests("lives")
        async with deletions(requests, database, MemoryStore(), Telemetry(), look_seconds=0.05):
            await until(lambda: not pending_deletions(database))
            with database.transaction() as transaction:
                put_deletion(transaction, Deletion("later", ImageScope.ALL, LATER_MS), "gone")
            await until(lambda: not pending_deletions(database))
