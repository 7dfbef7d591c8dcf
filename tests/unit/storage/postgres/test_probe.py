"""Whether a PostgreSQL can be used, in one sentence."""

import pytest
from support.ports import free_port

from bridge.errors import SettingError, StorageError
from bridge.storage.postgres.probe import probe_database

SECRET = "hunter2-hunter2"


def test_a_database_that_can_be_used_is_left_as_it_was(postgres_url):
    """Trying it makes nothing."""
    probe_database(postgres_url)
    probe_database(postgres_url)


def test_a_server_that_is_away_is_named_without_the_password():
    """The cause and what to look at, and nothing that must not be in a log."""
    url = f"postgresql://bridge:{SECRET}@127.0.0.1:{free_port()}/bridges"
    with pytest.raises(StorageError, match=r"bridges at 127.0.0.1:\d+ cannot be used") as caught:
        probe_database(url)

    assert SECRET not in str(caught.value)
    assert "check that it runs" in str(caught.value)


def test_a_url_that_cannot_be_read_is_not_repeated():
    """What libpq says of it quotes the part that it does not understand."""
    with pytest.raises(SettingError, match="not a URL of PostgreSQL") as caught:
        probe_database(f"postgresql://db/x?passwort={SECRET}")

    assert SECRET not in str(caught.value)


def test_a_user_without_the_right_to_make_tables_is_found(postgres_server, postgres_url):
    """PostgreSQL 15 gives nobody that right in the schema `public`."""
    database = postgres_url.rpartition("/")[2].partition("?")[0]
    postgres_server.query("CREATE ROLE reader LOGIN")
    try:
        with pytest.raises(StorageError, match="may not make tables"):
            probe_database(f"postgresql://reader@{postgres_server.address}/{database}")
    finally:
        postgres_server.query("DROP ROLE reader")
