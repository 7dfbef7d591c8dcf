"""What the tests of the journal share."""

import pytest

from bridge.storage.database import Database


@pytest.fixture
def database(tmp_path):
    """Return an open database."""
    database = Database(tmp_path / "bridge.db", durable=False)
    yield database
    database.close()
