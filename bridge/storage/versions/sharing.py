"""Revision 4: bridges share the database, and each session has one of them for its owner."""

from typing import Any

from alembic import op
from sqlalchemy import (
    BigInteger,
    Column,
    Integer,
    LargeBinary,
    Text,
    column,
    insert,
    literal,
    select,
    table,
)
from sqlalchemy.types import TypeEngine

revision = "4"
down_revision = "3"

OLDEST_READER = 4
"""Bridges that know no later revision than 3 cannot go on with these tables: they know one journal alone."""

WHOLE = BigInteger().with_variant(Integer(), "sqlite")

TEXT = Text().with_variant(Text(collation="C"), "postgresql")


def upgrade() -> None:
    """Say of each row which bridge it is of, and make the tables that bridges meet in."""
    _share_journal()
    op.add_column("sessions", _value("journal", TEXT, ""))
    op.add_column("sessions", Column("summary", LargeBinary()))
    op.add_column("shards", _value("bridge_id", TEXT, ""))
    op.create_index("shards_by_session", "shards", ["session_id"])
    op.create_index("shards_by_bridge", "shards", ["bridge_id", "stored"])
    for name in ("session_id", "claimed_by"):
        op.add_column("spans", _value(name, TEXT, ""))
    op.add_column("spans", _value("claimed_until_ms", WHOLE, "0"))
    op.create_table(
        "bridges",
        _key("bridge_id", TEXT),
        Column("number", WHOLE, nullable=False, unique=True),
        *(_value("generation", WHOLE, "1"), _value("commits", WHOLE, "0")),
        *(_value(name, TEXT, "") for name in ("url", "fingerprint", "version")),
        *(_value(name, WHOLE, "0") for name in ("started_ms", "seen_ms")),
    )
    op.create_table("owners", _key("session_id", TEXT), _value("bridge_id", TEXT))
    op.create_index("owners_by_bridge", "owners", ["bridge_id"])
    op.create_table(
        "inbox",
        Column("number", WHOLE, primary_key=True, autoincrement=True),
        *(_value("session_id", TEXT), _value("message_id", TEXT), _value("kind", TEXT)),
        *(_value("payload", LargeBinary()), _value("queued_ms", WHOLE)),
        sqlite_autoincrement=True,
    )
    op.create_index("inbox_by_message", "inbox", ["session_id", "message_id"], unique=True)
    op.create_table("secrets", _key("name", TEXT), _value("value", LargeBinary()))
    revisions = op.create_table(
        "revisions", _key("revision", WHOLE), _value("oldest_reader", WHOLE)
    )
    op.execute(insert(revisions).values(revision=int(revision), oldest_reader=OLDEST_READER))
    _take_sessions_for_equal()


def _take_sessions_for_equal() -> None:
    """Have PostgreSQL keep no statistics of which sessions have how many images.

    One that it has not counted yet would seem to have next to none: any index that begins with the session would do to
    find a batch of it, and each write would walk through all its images, until the statistics are made anew.
    """
    if op.get_bind().dialect.name == "postgresql":
        for name in ("batches", "images"):
            op.execute(f"ALTER TABLE {name} ALTER COLUMN session_id SET STATISTICS 0")


def _share_journal() -> None:
    """Give each bridge a journal of its own; the groups that are there are those of the only one."""
    shared = op.create_table(
        "journal_shared",
        _key("bridge_id", TEXT, ""),
        _key("number", WHOLE),
        *(_value("sessions", TEXT, ""), _value("entries", LargeBinary())),
        sqlite_with_rowid=False,
    )
    before = table("journal", column("number"), column("entries"))
    rows = select(literal(""), before.c.number, literal(""), before.c.entries)
    op.execute(insert(shared).from_select(["bridge_id", "number", "sessions", "entries"], rows))
    op.drop_table("journal")
    op.rename_table("journal_shared", "journal")


def _key(name: str, kind: TypeEngine[Any], default: str | None = None) -> Column[Any]:
    return Column(name, kind, primary_key=True, autoincrement=False, server_default=default)


def _value(name: str, kind: TypeEngine[Any], default: str | None = None) -> Column[Any]:
    return Column(name, kind, nullable=False, server_default=default)
