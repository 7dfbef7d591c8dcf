"""The tables, the same in a folder's SQLite database and in a PostgreSQL database that bridges share."""

from sqlalchemy import (
    BigInteger,
    Column,
    Double,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    literal_column,
)
from sqlalchemy import Text as AnyText

METADATA = MetaData()

WHOLE = BigInteger().with_variant(Integer(), "sqlite")
"""A whole number of 64 bits: the type that SQLite makes a key of, and counts up, is INTEGER alone."""

Text = AnyText().with_variant(AnyText(collation="C"), "postgresql")
"""A text that both databases sort as Python does, by its characters, whatever language PostgreSQL was set up for."""


def _without_rowid(name: str, *columns: Column[object] | Index) -> Table:
    """Return a table that SQLite sorts by its key."""
    return Table(name, METADATA, *columns, sqlite_with_rowid=False)


SESSIONS = Table(
    "sessions",
    METADATA,
    Column("session_id", Text, primary_key=True),
    Column("attempt", WHOLE, primary_key=True, autoincrement=False),
    Column("registered_ms", WHOLE, nullable=False),
    Column("updated_ms", WHOLE, nullable=False),
    Column("ended_ms", WHOLE, nullable=False),
    Column("through", WHOLE, nullable=False),
    Column("state", LargeBinary, nullable=False),
    Column("journal", Text, nullable=False, server_default=""),
    Column("summary", LargeBinary),
    Index("sessions_by_time", "registered_ms"),
    Index("sessions_by_end", "ended_ms"),
)
"""One row an attempt of a session, as it stood when the group `through` of the bridge `journal` had been applied.

The highest attempt is what the session is now; the others are over. `ended_ms` is 0 while it lives; `state` is
MessagePack of what each part of the bridge knows of it, and `summary` of the little that lists say, which is there
only where bridges share the database: lists then read thousands of sessions that change all the time.
"""

JOURNAL = _without_rowid(
    "journal",
    Column("bridge_id", Text, primary_key=True, server_default=""),
    Column("number", WHOLE, primary_key=True, autoincrement=False),
    Column("sessions", Text, nullable=False, server_default=""),
    Column("entries", LargeBinary, nullable=False),
)
"""One row a bridge and commit: what has been accepted since the commit before, in order.

`sessions` are the ids in it, each between two spaces, where bridges share the database; `entries` is MessagePack, see
bridge/sinks/journal/records.py.
"""

SHARDS = Table(
    "shards",
    METADATA,
    Column("shard_id", WHOLE, primary_key=True, autoincrement=False),
    Column("session_id", Text, nullable=False),
    Column("key", Text, nullable=False, unique=True),
    Column("stored", WHOLE, nullable=False, server_default="0"),
    Column("closed", WHOLE, nullable=False, server_default="0"),
    Column("size_bytes", WHOLE, nullable=False, server_default="0"),
    Column("attempt", WHOLE, nullable=False, server_default="1"),
    Column("bridge_id", Text, nullable=False, server_default=""),
    Index("shards_by_session", "session_id"),
    Index("shards_by_bridge", "bridge_id", "stored"),
)
"""One row a shard: a tar file in the spool of a bridge until `stored` is 1, in the object store from then on.

2: it is lost, unless that bridge, which is gone, comes back with its disk.
`closed`: its index has been written; `size_bytes`: everything up to it has been committed; all its images are of one
attempt.
"""

BATCHES = _without_rowid(
    "batches",
    Column("session_id", Text, primary_key=True),
    Column("attempt", WHOLE, primary_key=True, autoincrement=False),
    Column("epoch", WHOLE, primary_key=True, autoincrement=False),
    Column("batch", WHOLE, primary_key=True, autoincrement=False),
    Column("received_ms", WHOLE, nullable=False),
    Column("loss", Double),
    Column("images", WHOLE, nullable=False),
)
"""One row a batch that has images; attempts may come past the same epoch and batch.

`loss`: NULL is not finite, -Infinity not reported.
"""

Index(
    "batches_by_place",
    BATCHES.c.session_id,
    BATCHES.c.epoch,
    BATCHES.c.batch,
    BATCHES.c.attempt,
)
Index("batches_by_time", BATCHES.c.session_id, BATCHES.c.received_ms)
Index(
    "batches_by_loss",
    BATCHES.c.session_id,
    literal_column("(loss IS NULL)").desc(),
    BATCHES.c.loss.desc(),
)

IMAGES = _without_rowid(
    "images",
    Column("session_id", Text, primary_key=True),
    Column("attempt", WHOLE, primary_key=True, autoincrement=False),
    Column("epoch", WHOLE, primary_key=True, autoincrement=False),
    Column("batch", WHOLE, primary_key=True, autoincrement=False),
    Column("position", WHOLE, primary_key=True, autoincrement=False),
    Column("shard_id", WHOLE, nullable=False),
    Column("offset", WHOLE, nullable=False),
    Column("length", WHOLE, nullable=False),
    Column("predicted_class", WHOLE),
    Column("confidence", Double),
    Column("true_class", WHOLE),
    Column("received_ms", WHOLE, nullable=False),
    Index("images_by_class", "session_id", "true_class", "predicted_class", "received_ms"),
)
"""One row an image, and where its bytes are."""

SPANS = Table(
    "spans",
    METADATA,
    Column("number", WHOLE, primary_key=True, autoincrement=True),
    Column("span_id", Text, nullable=False, unique=True),
    Column("span", Text, nullable=False),
    Column("session_id", Text, nullable=False, server_default=""),
    Column("claimed_by", Text, nullable=False, server_default=""),
    Column("claimed_until_ms", WHOLE, nullable=False, server_default="0"),
    sqlite_autoincrement=True,
)
"""One row a span that the OTLP backend has not confirmed yet, as JSON; `claimed_by` a bridge that is sending it."""

TALLIES = _without_rowid(
    "tallies",
    Column("session_id", Text, primary_key=True),
    Column("attempt", WHOLE, primary_key=True, autoincrement=False),
    Column("result", Text, primary_key=True),
    Column("images", WHOLE, nullable=False),
    Column("at_ms", WHOLE, nullable=False),
)
"""How many images of a session attempt came to what, and when the newest of them was received."""

WINDOWS = Table(
    "windows",
    METADATA,
    Column("session_id", Text, primary_key=True),
    Column("offer", LargeBinary, nullable=False),
)
"""The batch that is the best of its session's open window so far, JPEGs included, as MessagePack."""

REBUILT = _without_rowid("rebuilt", Column("place", Text, primary_key=True))
"""Where a new database has found the images that were there before it: "spool", "store"."""

DELETIONS = _without_rowid(
    "deletions",
    Column("session_id", Text, primary_key=True),
    Column("attempt", WHOLE, primary_key=True, autoincrement=False),
    Column("images", WHOLE, nullable=False),
    Column("requested_ms", WHOLE, primary_key=True, autoincrement=False),
)
"""A session, or one attempt of it, that is being deleted: its rows in `sessions` are gone, the rest follows in steps.

`attempt` 0 is all of them; `images`: which of its images go too, see ImageScope; what has been received since
`requested_ms` is kept.
"""

BRIDGES = Table(
    "bridges",
    METADATA,
    Column("bridge_id", Text, primary_key=True),
    Column("number", WHOLE, nullable=False, unique=True),
    Column("generation", WHOLE, nullable=False, server_default="1"),
    Column("commits", WHOLE, nullable=False, server_default="0"),
    Column("url", Text, nullable=False, server_default=""),
    Column("fingerprint", Text, nullable=False, server_default=""),
    Column("version", Text, nullable=False, server_default=""),
    Column("started_ms", WHOLE, nullable=False, server_default="0"),
    Column("seen_ms", WHOLE, nullable=False, server_default="0"),
)
"""One row a bridge that shares the database.

`number` begins the ids of its shards; `generation` rises when another bridge takes a session from it; `commits` counts
its groups; `url` is where other bridges reach it, and `fingerprint` the SHA-256 of its certificate there; `seen_ms` is
when it last committed, by the clock of the database.
"""

OWNERS = Table(
    "owners",
    METADATA,
    Column("session_id", Text, primary_key=True),
    Column("bridge_id", Text, nullable=False),
    Index("owners_by_bridge", "bridge_id"),
)
"""Which bridge has a session in memory, and alone may write it."""

INBOX = Table(
    "inbox",
    METADATA,
    Column("number", WHOLE, primary_key=True, autoincrement=True),
    Column("session_id", Text, nullable=False),
    Column("message_id", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("payload", LargeBinary, nullable=False),
    Column("queued_ms", WHOLE, nullable=False),
    Index("inbox_by_message", "session_id", "message_id", unique=True),
    sqlite_autoincrement=True,
)
"""What any bridge has accepted for a session, on its way to the bridge that has it; once for each `message_id`."""

SECRETS = Table(
    "secrets",
    METADATA,
    Column("name", Text, primary_key=True),
    Column("value", LargeBinary, nullable=False),
)
"""What bridges that share the database prove themselves to each other with."""

REVISIONS = Table(
    "revisions",
    METADATA,
    Column("revision", WHOLE, primary_key=True, autoincrement=False),
    Column("oldest_reader", WHOLE, nullable=False),
)
"""One row a revision of the tables: which revision a bridge must know at least to go on with them, see versions/."""
