"""What is said of a PostgreSQL that fails: why, in one line, and what to do."""

import psycopg
from support.ports import free_port

from bridge.storage.postgres.connecting import DatabaseAddress
from bridge.storage.postgres.failures import READ_ONLY, UNREACHABLE, reason

ADDRESS = DatabaseAddress("postgresql://bridge:hunter2@db-a,db-b/bridges")

FAILOVER = """connection failed: connection to server at "10.0.0.2", port 5432 failed: session is read-only
Multiple connection attempts failed. All failures were:
- host: 'db-a', port: '5432', hostaddr: '10.0.0.1': connection failed: connection to server at "10.0.0.1", port 5432 failed: Connection refused
\tIs the server running on that host and accepting TCP/IP connections?
- host: 'db-b', port: '5432', hostaddr: '10.0.0.2': connection failed: connection to server at "10.0.0.2", port 5432 failed: session is read-only"""


def test_each_server_is_named_once_with_its_cause():
    """What psycopg and libpq say of several servers fills ten lines; during a failover somebody has to read it."""
    found = reason(psycopg.OperationalError(FAILOVER), ADDRESS)

    assert (
        found
        == f"10.0.0.1:5432: Connection refused; 10.0.0.2:5432: session is read-only: {READ_ONLY}"
    )


def test_a_server_that_refuses_somebody_says_so():
    """The text of the server stays."""
    text = 'connection failed: connection to server at "10.0.0.1", port 5432 failed: FATAL:  password authentication failed for user "bridge"'

    found = reason(psycopg.OperationalError(text), ADDRESS)

    assert (
        found == f'10.0.0.1:5432: password authentication failed for user "bridge": {UNREACHABLE}'
    )


def test_it_is_what_psycopg_says_of_servers_that_are_away():
    """Another version of it may word this otherwise: then these lines are its own again."""
    ports = free_port(), free_port()
    places = ",".join(f"127.0.0.1:{port}" for port in ports)
    address = DatabaseAddress(f"postgresql://bridge@{places}/bridges")
    try:
        address.connect()
    except psycopg.OperationalError as error:
        found = reason(error, address)

    refused = "; ".join(f"127.0.0.1:{port}: Connection refused" for port in ports)
    assert found == f"{refused}: {UNREACHABLE}"


def test_what_is_not_about_a_connection_stays_as_it_is():
    """Only its lines are joined."""
    assert reason(psycopg.ProgrammingError("one\n  two"), ADDRESS) == "one; two"
