"""What bridges have accepted for sessions that others have, until those take it."""

from collections.abc import Iterable
from typing import NamedTuple

from sqlalchemy import BigInteger, bindparam, delete, func, select

from bridge.errors import LimitError
from bridge.storage.database import SharedDatabase
from bridge.storage.owners import NOW_MS
from bridge.storage.schema import INBOX, OWNERS
from bridge.storage.statements import Statement, inserted
from bridge.storage.transaction import Transaction

CHANNEL = "trainbridge_inbox"
"""Where it is announced, with the name of the session, that something waits for it."""

KEPT_PER_SESSION = 100
"""Messages that may wait for a session."""

LONGEST_MS = 3_600_000
"""After which a message is dropped: nobody has had its session for an hour."""

ROWS_PER_QUERY = 200

_NAMES = ("session_id", "message_id", "kind", "payload")
_OF_SESSION = INBOX.c.session_id == bindparam("session_id")
_MESSAGE = tuple(INBOX.c[name] for name in ("number", *_NAMES))

ADD = Statement(
    inserted(INBOX)
    .inline()
    .values(queued_ms=NOW_MS, **{name: bindparam(name) for name in _NAMES})
    .on_conflict_do_nothing(index_elements=["session_id", "message_id"])
)
ANNOUNCE = Statement(select(func.pg_notify(CHANNEL, bindparam("session_id"))))
COUNT_OF = Statement(select(func.count()).select_from(INBOX).where(_OF_SESSION))
OF_SESSION = Statement(select(*_MESSAGE).where(_OF_SESSION).order_by(INBOX.c.number))
FOR_BRIDGE = Statement(
    select(*_MESSAGE)
    .join(OWNERS, OWNERS.c.session_id == INBOX.c.session_id)
    .where(
        OWNERS.c.bridge_id == bindparam("bridge"),
        INBOX.c.number > bindparam("after", type_=BigInteger),
    )
    .order_by(INBOX.c.number)
    .limit(bindparam("most", type_=BigInteger))
)
REMOVE = Statement(delete(INBOX).where(INBOX.c.number == bindparam("number")))
REMOVE_OLD = Statement(
    delete(INBOX).where(INBOX.c.queued_ms < NOW_MS - bindparam("longest_ms", type_=BigInteger))
)


class InboxMessage(NamedTuple):
    """Something for a session."""

    session_id: str
    message_id: str
    """What makes it the same however often, and to whichever bridge, it is sent."""
    kind: str
    payload: bytes


class InboxRow(NamedTuple):
    """A message that waits, and its number; the lower ones came first."""

    number: int
    message: InboxMessage


class InboxRows:
    """The messages of all bridges; every method but `remove` blocks, and raises StorageError."""

    def __init__(self, database: SharedDatabase) -> None:
        """Read and write `database`."""
        self._database = database

    def add(self, message: InboxMessage) -> InboxMessage:
        """Keep a message, and announce it; return it, or the one of the same id that waits already.

        Raises LimitError where too many wait for the session.
        """
        session = {"session_id": message.session_id}
        with self._database.transaction() as transaction:
            if transaction.execute(ADD, message._asdict()).rowcount:
                [[count]] = transaction.query(COUNT_OF, session)
                if count > KEPT_PER_SESSION:
                    raise LimitError(
                        f"{KEPT_PER_SESSION} messages wait for the bridge that has this session"
                    )
                transaction.query(ANNOUNCE, session)
                return message
            waiting = [row.message for row in _rows(transaction.query(OF_SESSION, session))]
        return next((one for one in waiting if one.message_id == message.message_id), message)

    def of(self, session_id: str) -> list[InboxMessage]:
        """Return what waits for a session, whoever has it, oldest first."""
        rows = self._database.query(OF_SESSION, {"session_id": session_id})
        return [row.message for row in _rows(rows)]

    def waiting(self, after: int) -> list[InboxRow]:
        """Return the first messages above a number for the sessions of this bridge: fewer than ROWS_PER_QUERY, or more follow."""
        parameters = {"bridge": self._database.bridge_id, "after": after, "most": ROWS_PER_QUERY}
        return list(_rows(self._database.query(FOR_BRIDGE, parameters)))

    def remove(self, transaction: Transaction, numbers: Iterable[int]) -> None:
        """Remove messages that have been taken."""
        transaction.executemany(REMOVE, [{"number": number} for number in sorted(numbers)])

    def remove_old(self) -> int:
        """Remove what has waited for too long, and return how many messages that were."""
        with self._database.transaction() as transaction:
            return transaction.execute(REMOVE_OLD, {"longest_ms": LONGEST_MS}).rowcount


def _rows(rows: Iterable[tuple[int, str, str, str, bytes]]) -> Iterable[InboxRow]:
    for number, session_id, message_id, kind, payload in rows:
        yield InboxRow(number, InboxMessage(session_id, message_id, kind, bytes(payload)))
