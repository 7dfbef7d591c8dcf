"""What the tests of the journal share."""

import pytest

from bridge.storage.sqlite.database import SqliteDatabase


@pytest.fixture
def database(tmp_path):
    """Return an open database."""
    database = SqliteDatabase(tmp_path / "bridge.db", durable=False)
    yield database
    database.close()
