"""What the tests of a shared database have in common."""

import pytest
from support.postgres import running_postgres
from support.proxy import proxying
from support.shared_database import opened


@pytest.fixture
def open_as():
    """Return how a test opens a database as one of several bridges; all are closed with their blocks."""
    return opened


@pytest.fixture
def database(postgres_url):
    """Yield a database of the test's own, as the bridge "a"."""
    with opened(postgres_url) as database:
        yield database


@pytest.fixture(scope="module")
def own_server():
    """Yield a server that may be made to fail; the test leaves it running."""
    with running_postgres() as server:
        yield server


@pytest.fixture
def own_url(own_server):
    """Yield a database on the server that may be made to fail."""
    with own_server.database() as url:
        yield url


@pytest.fixture
def network(postgres_server, postgres_url):
    """Yield a proxy before the server that all tests share, and the URL of a database of the test's own through it."""
    with proxying(postgres_server.address) as proxy:
        yield proxy, postgres_url.replace(postgres_server.address, proxy.address)
