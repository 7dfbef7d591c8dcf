"""Lets one of the bridges that share a new database read the index of the object store, and the others wait."""

from sqlalchemy import BigInteger, Text, bindparam, delete, select

from bridge.storage.database import Database
from bridge.storage.owners import NOW_MS
from bridge.storage.schema import BRIDGES, REBUILT
from bridge.storage.shards import FIND_REBUILT, MARK_REBUILT
from bridge.storage.statements import Statement, inserted

CLAIM = "store, by "
"""Behind it the bridge that does it."""

LOCKED = "store, claimed"
"""A row that whoever claims it changes first: one after the other."""

SILENT_MS = 60_000
"""A bridge that was not seen for so long does nothing any more."""

_lock = inserted(REBUILT)
LOCK = Statement(
    _lock.on_conflict_do_update(
        index_elements=[REBUILT.c.place], set_={"place": _lock.excluded.place}
    )
)
OTHERS_ALIVE = Statement(
    select(BRIDGES.c.bridge_id)
    .join(REBUILT, REBUILT.c.place == bindparam("claim", type_=Text) + BRIDGES.c.bridge_id)
    .where(
        BRIDGES.c.bridge_id != bindparam("bridge", type_=Text),
        BRIDGES.c.seen_ms >= NOW_MS - bindparam("silent_ms", type_=BigInteger),
    )
)
CLEAR = Statement(delete(REBUILT).where(REBUILT.c.place.startswith(bindparam("claim", type_=Text))))


def claim_rebuild(database: Database, *, silent_ms: int = SILENT_MS) -> bool:
    """Return whether this bridge is to read the index of the store, which no other that lives does; blocks.

    Raises StorageError.
    """
    with database.transaction() as transaction:
        transaction.execute(LOCK, {"place": LOCKED})
        others = {"claim": CLAIM, "bridge": database.bridge_id, "silent_ms": silent_ms}
        if transaction.query(FIND_REBUILT, {"place": "store"}) or transaction.query(
            OTHERS_ALIVE, others
        ):
            return False
        transaction.execute(CLEAR, {"claim": CLAIM})
        transaction.execute(MARK_REBUILT, {"place": f"{CLAIM}{database.bridge_id}"})
        return True
