"""Which revision the tables of a database are at, and whether this bridge may use them."""

from dataclasses import dataclass

from sqlalchemy import Column, MetaData, PrimaryKeyConstraint, String, Table, func, insert, select

from bridge.errors import SettingError
from bridge.storage.schema import REVISIONS
from bridge.storage.statements import Statement

NEWEST = 4
"""The last revision that this bridge knows; with SQLite it is `PRAGMA user_version`, too."""

OLDEST_READER = 4
"""A bridge that knows none from this one on cannot use the tables of the newest."""

CURRENT = Table(
    "alembic_version",
    MetaData(),
    Column("version_num", String(32), nullable=False),
    PrimaryKeyConstraint("version_num", name="alembic_version_pkc"),
)
"""The table that Alembic keeps; a new SQLite database is made without it, and must look as if by it."""

READ_CURRENT = select(CURRENT.c.version_num)
READ_OLDEST_READER = select(func.max(REVISIONS.c.oldest_reader))

STAMPS = (
    Statement(insert(CURRENT).values(version_num=str(NEWEST))),
    Statement(insert(REVISIONS).values(revision=NEWEST, oldest_reader=OLDEST_READER)),
)
"""What the revisions leave behind about themselves."""


@dataclass(frozen=True, slots=True)
class FoundRevision:
    """What a database says about its tables."""

    revision: int
    """0: it has none."""
    oldest_reader: int = 0
    """The revision that a bridge must know at least."""

    @property
    def is_due(self) -> bool:
        """Whether revisions are to be run.

        Raises SettingError where a newer bridge has changed the tables so that this one cannot use them.
        """
        if self.revision > NEWEST and self.oldest_reader > NEWEST:
            raise SettingError(
                f"state: the database was brought to revision {self.revision} by a newer trainbridge, and this one knows"
                f" revision {NEWEST} only; start the newer one, or give this one a database of its own"
            )
        return self.revision < NEWEST
