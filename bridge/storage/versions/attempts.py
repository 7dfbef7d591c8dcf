"""Revision 3: the tables as one bridge with a folder has had them since sessions have attempts."""

from typing import Any

from alembic import op
from sqlalchemy import BigInteger, Column, Double, Integer, LargeBinary, Text, text
from sqlalchemy.types import TypeEngine

revision = "3"
down_revision = None

WHOLE = BigInteger().with_variant(Integer(), "sqlite")

TEXT = Text().with_variant(Text(collation="C"), "postgresql")

SORTED: dict[str, Any] = {"sqlite_with_rowid": False}


def upgrade() -> None:
    """Create those tables that there are not yet."""
    _create(
        "sessions",
        _key("session_id", TEXT),
        _key("attempt", WHOLE),
        *(_value(name, WHOLE) for name in ("registered_ms", "updated_ms", "ended_ms", "through")),
        _value("state", LargeBinary()),
    )
    _index("sessions_by_time", "sessions", "registered_ms")
    _index("sessions_by_end", "sessions", "ended_ms")
    _create("journal", _key("number", WHOLE), _value("entries", LargeBinary()))
    _create(
        "shards",
        _key("shard_id", WHOLE),
        _value("session_id", TEXT),
        Column("key", TEXT, nullable=False, unique=True),
        *(_value(name, WHOLE, "0") for name in ("stored", "closed", "size_bytes")),
        _value("attempt", WHOLE, "1"),
    )
    _create_images()
    _create(
        "spans",
        Column("number", WHOLE, primary_key=True, autoincrement=True),
        Column("span_id", TEXT, nullable=False, unique=True),
        _value("span", TEXT),
        sqlite_autoincrement=True,
    )
    _create(
        "tallies",
        *(_key("session_id", TEXT), _key("attempt", WHOLE), _key("result", TEXT)),
        *(_value("images", WHOLE), _value("at_ms", WHOLE)),
        **SORTED,
    )
    _create("windows", _key("session_id", TEXT), _value("offer", LargeBinary()))
    _create("rebuilt", _key("place", TEXT), **SORTED)
    _create(
        "deletions",
        *(_key("session_id", TEXT), _key("attempt", WHOLE)),
        *(_value("images", WHOLE), _key("requested_ms", WHOLE)),
        **SORTED,
    )


def _create_images() -> None:
    place = ("attempt", "epoch", "batch")
    _create(
        "batches",
        _key("session_id", TEXT),
        *(_key(name, WHOLE) for name in place),
        _value("received_ms", WHOLE),
        Column("loss", Double()),
        _value("images", WHOLE),
        **SORTED,
    )
    _index("batches_by_place", "batches", "session_id", "epoch", "batch", "attempt")
    _index("batches_by_time", "batches", "session_id", "received_ms")
    op.create_index(
        "batches_by_loss",
        "batches",
        ["session_id", text("(loss IS NULL) DESC"), text("loss DESC")],
        if_not_exists=True,
    )
    _create(
        "images",
        _key("session_id", TEXT),
        *(_key(name, WHOLE) for name in (*place, "position")),
        *(_value(name, WHOLE) for name in ("shard_id", "offset", "length")),
        *(Column("predicted_class", WHOLE), Column("confidence", Double())),
        *(Column("true_class", WHOLE), _value("received_ms", WHOLE)),
        **SORTED,
    )
    _index(
        "images_by_class", "images", "session_id", "true_class", "predicted_class", "received_ms"
    )


def _create(name: str, *columns: Column[Any], **options: Any) -> None:
    op.create_table(name, *columns, if_not_exists=True, **options)


def _index(name: str, table: str, *columns: str) -> None:
    op.create_index(name, table, list(columns), if_not_exists=True)


def _key(name: str, kind: TypeEngine[Any]) -> Column[Any]:
    return Column(name, kind, primary_key=True, autoincrement=False)


def _value(name: str, kind: TypeEngine[Any], default: str | None = None) -> Column[Any]:
    return Column(name, kind, nullable=False, server_default=default)
