"""What a database that bridges share knows of them: who has which session, who was seen when, and their secret."""

import secrets
from dataclasses import dataclass

from sqlalchemy import BigInteger, bindparam, func, select, update

from bridge.storage.database import SharedDatabase
from bridge.storage.owners import NOW_MS
from bridge.storage.schema import BRIDGES, OWNERS, SECRETS
from bridge.storage.statements import Statement, inserted

SECRET_NAME = "requests between bridges"  # noqa: S105 -- its name

SECRET_BYTES = 32

_SILENT_MS = NOW_MS - BRIDGES.c.seen_ms
_IS_ALIVE = bindparam("dead_ms", type_=BigInteger) >= _SILENT_MS
_IS_ANOTHER = BRIDGES.c.bridge_id != bindparam("bridge")
_ADDRESS = (BRIDGES.c.bridge_id, BRIDGES.c.url, BRIDGES.c.fingerprint)
_OWNED = OWNERS.join(BRIDGES, OWNERS.c.bridge_id == BRIDGES.c.bridge_id)

OWNER = Statement(
    select(*_ADDRESS)
    .select_from(_OWNED)
    .where(OWNERS.c.session_id == bindparam("name"), _IS_ANOTHER, _IS_ALIVE)
)
OTHERS = Statement(select(*_ADDRESS).where(_IS_ANOTHER, _IS_ALIVE))
ELSEWHERE = Statement(
    select(OWNERS.c.session_id, OWNERS.c.bridge_id)
    .select_from(_OWNED)
    .where(_IS_ANOTHER, _IS_ALIVE)
)
ALL = Statement(
    select(
        *_ADDRESS,
        BRIDGES.c.version,
        BRIDGES.c.started_ms,
        _SILENT_MS,
        select(func.count())
        .where(OWNERS.c.bridge_id == BRIDGES.c.bridge_id)
        .correlate(BRIDGES)
        .scalar_subquery(),
    ).order_by(BRIDGES.c.bridge_id)
)
PUT_FINGERPRINT = Statement(
    update(BRIDGES)
    .values(fingerprint=bindparam("shown"))
    .where(BRIDGES.c.bridge_id == bindparam("bridge"))
)
PUT_SECRET = Statement(inserted(SECRETS).on_conflict_do_nothing())
GET_SECRET = Statement(select(SECRETS.c.value).where(SECRETS.c.name == bindparam("name")))


@dataclass(frozen=True, slots=True)
class BridgeAddress:
    """Where another bridge is reached over HTTP."""

    bridge_id: str
    url: str
    fingerprint: str
    """Of its certificate there; "": it speaks plain text."""


@dataclass(frozen=True, slots=True)
class BridgeRow:
    """A bridge, as it has registered."""

    address: BridgeAddress
    version: str
    started_ms: int
    silent_ms: int
    """Since its last commit, by the clock of the database."""
    sessions: int
    """How many it has."""


class PeerRows:
    """Asks the database that bridges share; every method blocks, in any thread, and raises StorageError."""

    def __init__(self, database: SharedDatabase, *, dead_seconds: float) -> None:
        """Ask as the bridge of `database`; one that was not seen for `dead_seconds` is dead."""
        self.bridge_id = database.bridge_id
        self.dead_ms = round(dead_seconds * 1000)
        self._database = database
        self._others = {"bridge": self.bridge_id, "dead_ms": self.dead_ms}

    def owner_of(self, session_id: str) -> BridgeAddress | None:
        """Return the other bridge that has a session, and is alive; None: there is none."""
        rows = self._database.query(OWNER, {**self._others, "name": session_id})
        return BridgeAddress(*rows[0]) if rows else None

    def elsewhere(self) -> tuple[dict[str, str], dict[str, BridgeAddress]]:
        """Return by session the other bridge that has it, and those bridges by name; all of them are alive."""
        owners: dict[str, str] = dict(self._database.query(ELSEWHERE, self._others))
        rows = self._database.query(OTHERS, self._others)
        return owners, {row[0]: BridgeAddress(*row) for row in rows}

    def bridges(self) -> list[BridgeRow]:
        """Return all bridges, by name."""
        rows = self._database.query(ALL)
        return [BridgeRow(BridgeAddress(*row[:3]), *row[3:]) for row in rows]

    def put_fingerprint(self, fingerprint: str) -> None:
        """Have the others expect another certificate of this bridge."""
        with self._database.transaction() as transaction:
            transaction.execute(PUT_FINGERPRINT, {"bridge": self.bridge_id, "shown": fingerprint})

    def secret(self) -> bytes:
        """Return what bridges prove themselves to each other with; the first one makes it."""
        with self._database.transaction() as transaction:
            made = {"name": SECRET_NAME, "value": secrets.token_bytes(SECRET_BYTES)}
            transaction.execute(PUT_SECRET, made)
        [[value]] = self._database.query(GET_SECRET, {"name": SECRET_NAME})
        return bytes(value)
