"""While a database that bridges share does not answer, pages show what is in memory, and say why the rest is missing."""

from dataclasses import dataclass, field

import pytest
from support.pages import FakeArchive, running
from support.peers import FakePeers

from bridge.errors import StorageError
from bridge.session_snapshot import session_from, snapshot_of
from bridge.storage.index import ImageIndex
from bridge.web.database_absence import AWAY_SECONDS, MISSING, DatabaseAbsence

NOTE = "The database does not answer at the moment"


@dataclass
class Database:
    """A database that a test takes away."""

    dialect: str = "sqlite"
    bridge_id: str = ""
    is_away: bool = False
    asked: int = 0

    def query(self, _statement, _parameters=None):
        self.asked += 1
        if self.is_away:
            raise StorageError("no answer")
        return []


@dataclass
class AwayArchive(FakeArchive):
    """An archive in that database."""

    database: Database = field(default_factory=Database)

    def entries(self, limit):
        self.database.query("entries")
        return super().entries(limit)

    def attempts(self, session_id):
        self.database.query("attempts")
        return super().attempts(session_id)

    def find(self, session_id, attempt=None):
        self.database.query("find")
        return super().find(session_id, attempt)


@pytest.fixture
def database():
    """Return a database that answers."""
    return Database()


@pytest.fixture
async def client(open_client, database):
    """Return a client of a bridge that shares it, with a run in memory and one that has ended."""
    client = await open_client(
        peers=FakePeers(), index=ImageIndex(database), archive=AwayArchive(database=database)
    )
    for name in ("live", "over"):
        running(client.deps, name)
    over = client.deps.sessions.get("over")
    client.deps.archive.kept["over"] = session_from(snapshot_of(over))
    client.deps.sessions.expire(over)
    live = client.deps.sessions.get("live")
    live.attempt = 2
    return client


async def text_of(client, path):
    """Return a page."""
    response = await client.get(path)
    assert response.status == 200, path
    return await response.text()


async def test_pages_go_on_with_what_is_in_memory(client, database):
    """The list has what it had; a run is shown without images and earlier attempts. Soon nobody waits for the database."""
    text = await text_of(client, "/")
    assert NOTE not in text
    assert 'href="./sessions/over"' in text
    database.is_away = True
    for path in ("/", "/sessions/live"):
        text = await text_of(client, path)
        assert NOTE in text
        assert "live" in text
    asked = database.asked
    for path in ("/", "/sessions/live"):
        await text_of(client, path)
    assert database.asked == asked


async def test_what_is_not_in_memory_is_an_error_that_says_why(client, database):
    """Programs and whoever looks at a run that is over learn that a storage backend is away."""
    database.is_away = True
    response = await client.get("/sessions/over")
    assert response.status == 503
    assert "storage backend" in await response.text()


async def test_a_database_of_its_own_is_another_case(open_client, database):
    """Its errors are errors."""
    client = await open_client(index=ImageIndex(database))
    running(client.deps, "live")
    database.is_away = True
    assert (await client.get("/")).status == 503
    assert (await client.get("/sessions/live")).status == 503


def test_it_is_asked_again_after_a_while():
    """An absence is known for seconds."""
    now = [100.0]
    absence = DatabaseAbsence(is_shared=True, monotonic=lambda: now[0])
    assert not absence.is_known
    absence.note()
    assert absence.is_known
    assert absence.problem == MISSING
    now[0] += AWAY_SECONDS
    assert not absence.is_known
    assert absence.problem == ""
