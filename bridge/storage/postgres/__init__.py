"""A database in PostgreSQL, which several bridges share."""

from bridge.storage.postgres.acknowledgement import (
    AcknowledgementMeaning,
    acknowledgement_meaning,
)
from bridge.storage.postgres.database import PostgresDatabase
from bridge.storage.postgres.opening import open_postgres
from bridge.storage.postgres.registration import BridgeDescription

__all__ = [
    "AcknowledgementMeaning",
    "BridgeDescription",
    "PostgresDatabase",
    "acknowledgement_meaning",
    "open_postgres",
]
