"""Whether a PostgreSQL can be used, in one sentence."""

import pytest
from support.ports import free_port

from bridge.errors import SettingError, StorageError
from bridge.storage.postgres.probe import probe_database

SECRET = "hunter2-hunter2"


@pytest.fixture
def postgres_url(empty_postgres_url):
    """Here no bridge has been before."""
    return empty_postgres_url


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


@pytest.mark.parametrize(
    "url", [f"postgresql://me:pa?ss={SECRET}@db/x?foo=1", f"postgresql://db:{SECRET}/x"]
)
def test_a_url_that_cannot_be_read_is_not_repeated(url):
    """What libpq says of it quotes the part that it does not understand."""
    with pytest.raises(SettingError, match="not a URL of PostgreSQL") as caught:
        probe_database(url)

    assert SECRET not in str(caught.value)


@pytest.mark.parametrize(
    ("url", "says"),
    [
        (f"postgresql://db/x?passwort={SECRET}", "'passwort': did you mean password?"),
        ("postgresql://me@db/x?sslmode=require&foo=1", "'foo': remove it."),
        ("postgresql://db/x?connect_timeot=3", "'connect_timeot': did you mean connect_timeout?"),
    ],
)
def test_an_unknown_parameter_is_named(url, says):
    """Its name, and no value."""
    with pytest.raises(SettingError, match="parameter that PostgreSQL does not know") as caught:
        probe_database(url)

    assert says in str(caught.value)
    assert SECRET not in str(caught.value)
