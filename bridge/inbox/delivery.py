"""Gives the sessions of this bridge what others have left for them."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from typing import Protocol

from bridge.background import running_beside
from bridge.errors import BridgeError, StorageError
from bridge.session import Session
from bridge.sessions import Sessions
from bridge.sinks.inbox import InboxReceipts
from bridge.storage.inbox import ROWS_PER_QUERY, InboxMessage, InboxRow, InboxRows
from bridge.telemetry import Telemetry
from bridge.threads import run_in_daemon_thread

LOOK_SECONDS = 2.0
"""How often it is looked for messages that nobody has announced, or that could not be taken before."""

LOOKS_PER_CLEANUP = 30


class MessageReceiver(Protocol):
    """Takes messages of one kind."""

    def __call__(self, session: Session, message: InboxMessage, /) -> bool:
        """Take a message for a session in memory; False: it has to wait. Raises BridgeError for one that is refused."""


class InboxDelivery:
    """Reads messages in a thread, and gives them out on the event loop, each once."""

    def __init__(
        self,
        rows: InboxRows,
        receipts: InboxReceipts,
        sessions: Sessions,
        telemetry: Telemetry,
        *,
        request_commit: Callable[[], None],
    ) -> None:
        """Give messages to nobody yet: see `hand_to`."""
        self._rows = rows
        self._receipts = receipts
        self._sessions = sessions
        self._receivers: dict[str, MessageReceiver] = {}
        self._telemetry = telemetry
        self._request_commit = request_commit
        self._requested = asyncio.Event()
        self._turn = asyncio.Lock()

    def hand_to(self, receivers: Mapping[str, MessageReceiver]) -> None:
        """Give messages to the receiver of their kind; one of a kind that is not known waits for a newer bridge."""
        self._receivers.update(receivers)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Deliver until the block is left."""
        async with running_beside(self._run(), name="inbox"):
            yield

    def announce(self, session_id: str) -> None:
        """Look soon, if something may have come for a session of this bridge; "": for any."""
        if not session_id or self._sessions.find(session_id) is not None:
            self._requested.set()

    async def deliver(self) -> None:
        """Give out what waits for the sessions in memory by now, in the sequence in which it came; raises StorageError."""
        async with self._turn:
            removed = self._receipts.removed()
            rows = await self._read(0)
            while rows:
                for row in rows:
                    self._give(row)
                rows = await self._read(rows[-1].number) if len(rows) == ROWS_PER_QUERY else []
            self._receipts.forget(removed)

    async def drop_old(self) -> None:
        """Drop what has waited for too long, whoever it is for; raises StorageError."""
        count = await run_in_daemon_thread(self._rows.remove_old, name="inbox")
        if count:
            self._telemetry.dropped("message", "expired", count)

    async def _read(self, after: int) -> list[InboxRow]:
        return await run_in_daemon_thread(lambda: self._rows.waiting(after), name="inbox")

    async def _run(self) -> None:
        looks = 0
        while True:
            self._requested.clear()
            try:
                await self.deliver()
                looks += 1
                if looks % LOOKS_PER_CLEANUP == 0:
                    await self.drop_old()
            except StorageError as error:
                self._telemetry.storage_failed("inbox", error)
            except Exception as error:  # noqa: BLE001 -- the next look may succeed
                self._telemetry.unexpected_error("inbox", error)
            with suppress(TimeoutError):
                async with asyncio.timeout(LOOK_SECONDS):
                    await self._requested.wait()

    def _give(self, row: InboxRow) -> None:
        """Give a message to its session, unless it has to wait, or has been given."""
        message = row.message
        session = self._sessions.find(message.session_id)
        receive = self._receivers.get(message.kind)
        if session is None or receive is None or self._receipts.has(row.number):
            return
        try:
            if not receive(session, message):
                return
        except StorageError:
            self._telemetry.dropped("message", "damaged")
        except BridgeError as error:
            self._telemetry.dropped("message", "refused")
            self._telemetry.event(
                "message refused",
                session_id=session.id,
                kind=message.kind,
                message_id=message.message_id,
                reason=str(error),
            )
        except Exception as error:  # noqa: BLE001 -- one message must not stop those behind it
            self._telemetry.unexpected_error("inbox", error)
        self._receipts.add(row.number, session.id)
        self._request_commit()
