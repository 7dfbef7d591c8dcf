"""A database in one file of a folder, which one bridge alone holds."""

from bridge.storage.sqlite.database import SqliteDatabase

__all__ = ["SqliteDatabase"]
