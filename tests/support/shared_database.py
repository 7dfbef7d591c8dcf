"""A PostgreSQL that several bridges of one test share."""

from contextlib import contextmanager

import psycopg

from bridge.storage.migrate import migrate
from bridge.storage.postgres import BridgeDescription, open_postgres


@contextmanager
def opened(url, bridge_id="a", **options):
    """Open a database as one bridge."""
    database = open_postgres(url, BridgeDescription(bridge_id), wait_seconds=0, **options)
    try:
        yield database
    finally:
        database.close()


def make_tables(url):
    """Make the tables in an empty database as the first bridge does, without one."""
    with psycopg.connect(url) as connection:
        assert migrate(connection)
