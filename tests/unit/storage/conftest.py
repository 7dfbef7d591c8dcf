"""What the tests of storage have in common: most promises hold for both databases."""

import pytest
from support.shared_database import opened

from bridge.storage.sqlite.database import SqliteDatabase


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request, tmp_path):
    """Yield an empty database of each kind."""
    if request.param == "sqlite":
        database = SqliteDatabase(tmp_path / "trainbridge.db", durable=False)
        yield database
        database.close()
        return
    with opened(request.getfixturevalue("postgres_url")) as database:
        yield database
