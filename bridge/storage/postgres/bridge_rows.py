"""The row that a bridge has in a database that it shares."""

from sqlalchemy import and_, bindparam, func, select, update
from sqlalchemy.dialects.postgresql import insert

from bridge.storage.owners import NAMES, NOW_MS
from bridge.storage.schema import BRIDGES, OWNERS, SHARDS
from bridge.storage.statements import Statement

SHARD_NUMBER_BITS = 40
"""The id of a shard is the number of its bridge, and behind that so many bits of the bridge's own."""

IS_OURS = and_(
    BRIDGES.c.bridge_id == bindparam("bridge"), BRIDGES.c.started_ms == bindparam("started")
)
"""Of no row where another process runs as this bridge by now, or others have forgotten it."""

BEGIN_GROUP = Statement(
    update(BRIDGES)
    .values(seen_ms=NOW_MS, commits=BRIDGES.c.commits + 1)
    .where(IS_OURS)
    .returning(BRIDGES.c.generation, BRIDGES.c.commits)
)
"""Whoever takes a session from this bridge changes the same row: one of them waits for the other."""

OWNED = Statement(select(OWNERS.c.session_id).where(OWNERS.c.bridge_id == bindparam("bridge")))

COUNT_OWNED = Statement(
    select(func.count()).where(
        OWNERS.c.bridge_id == bindparam("bridge"), OWNERS.c.session_id == NAMES
    )
)

TOUCH = Statement(
    update(BRIDGES).values(seen_ms=NOW_MS).where(IS_OURS).returning(BRIDGES.c.commits)
)
"""Written, so that its own commit waits for whatever the commits before it wait for."""

_NEVER_USED = select(
    1
    + func.greatest(
        select(func.coalesce(func.max(BRIDGES.c.number), 0)).scalar_subquery(),
        select(
            func.coalesce(func.max(SHARDS.c.shard_id) // (1 << SHARD_NUMBER_BITS), 0)
        ).scalar_subquery(),
    )
).scalar_subquery()

_DESCRIPTION = ("url", "fingerprint", "version", "started_ms")

_REGISTRATION = insert(BRIDGES).values(
    bridge_id=bindparam("bridge"),
    number=_NEVER_USED,
    seen_ms=NOW_MS,
    **{name: bindparam(name) for name in _DESCRIPTION},
)

REGISTER = Statement(
    _REGISTRATION.on_conflict_do_update(
        index_elements=[BRIDGES.c.bridge_id],
        set_={
            "generation": BRIDGES.c.generation + 1,
            "seen_ms": NOW_MS,
            **{name: _REGISTRATION.excluded[name] for name in _DESCRIPTION},
        },
    ).returning(BRIDGES.c.number, BRIDGES.c.generation, BRIDGES.c.seen_ms)
)
"""A bridge that comes back keeps its number, and its generation is raised: what it held in memory is gone."""

DATABASE_SIZE = Statement(select(func.pg_database_size(func.current_database())))

LOCK_KEY = 0x7472_6169_6E62
"""Any number that other programs in the same database are not likely to have chosen."""

LOCK = Statement(select(func.pg_advisory_xact_lock(LOCK_KEY)))
"""Bridges that start together make or migrate tables, and register, one after the other."""
