"""A PostgreSQL that several bridges of one test share."""

from contextlib import contextmanager

from bridge.storage.postgres import BridgeDescription, open_postgres


@contextmanager
def opened(url, bridge_id="a", **options):
    """Open a database as one bridge."""
    database = open_postgres(url, BridgeDescription(bridge_id), wait_seconds=0, **options)
    try:
        yield database
    finally:
        database.close()
