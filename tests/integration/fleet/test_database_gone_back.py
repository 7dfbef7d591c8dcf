"""The database goes back to an earlier moment while bridges run on it, as after a failover to a standby that lagged behind."""

import json
import urllib.request

import pytest
from support.fleet.member import running_pair
from support.known_run import KnownRun
from support.raw_client import RawClient
from support.waiting import until_true

BATCHES = 5

COPY = "as_it_was"

ENDED = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s"


@pytest.fixture
def pair(tmp_path, postgres_url):
    """Yield two bridges that run on one database."""
    with running_pair(tmp_path, postgres_url) as members:
        yield members


def alone(server, name, *statements):
    """Run statements while nobody else is in a database."""
    server.query(f"ALTER DATABASE {name} ALLOW_CONNECTIONS false")
    server.query(ENDED, name)
    in_it = "SELECT count(*) FROM pg_stat_activity WHERE datname = %s"
    until_true(lambda: server.query(in_it, name) == [(0,)], what="everybody has left")
    for statement in statements:
        server.query(statement)
    server.query(f"ALTER DATABASE {name} ALLOW_CONNECTIONS true")


def owners(member):
    """Return how many sessions each bridge has, by the database."""
    url = f"http://{member.server.http}/api/v1/bridges"
    with urllib.request.urlopen(url, timeout=60) as response:
        bridges = json.loads(response.read())["bridges"]
    return sorted(bridge["sessions"] for bridge in bridges)


def test_what_bridges_have_in_memory_outlives_it(pair, postgres_server, postgres_url):
    """A session that the database has never heard of is its bridge's again, with all that was acknowledged."""
    one, two = pair
    name = postgres_url.rpartition("/")[2]
    alone(postgres_server, name, f"CREATE DATABASE {COPY} TEMPLATE {name}")
    client = RawClient(one.server.grpc, KnownRun("run"))
    # Several commits: the database that comes back is more than one of them behind.
    until_true(client.try_to_register, what="the database is back")
    client.open()
    for number in range(1, BATCHES + 1):
        client.stream(*client.run.requests(number, number))

    alone(
        postgres_server,
        name,
        f"DROP DATABASE {name}",
        f"ALTER DATABASE {COPY} RENAME TO {name}",
    )
    client.say(*client.run.requests(BATCHES + 1, 2 * BATCHES))
    client.send_new()
    client.settle(60)

    until_true(lambda: owners(two) == [0, 1], what="the session has an owner again")
    one.kill()
    client.cut()
    client.address = two.server.grpc
    response = until_true(client.try_to_register, what="the other bridge takes it")
    assert response.resume_sequence == client.acknowledged == 2 * BATCHES
    assert response.attempt == 1
    client.cut()
