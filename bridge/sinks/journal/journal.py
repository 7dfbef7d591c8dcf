"""Write every event with the commit that acknowledges it, and each session whole now and then."""

import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from bridge.model import Event, Forgotten, Heartbeat, Registered, SequenceAdvanced
from bridge.session import Session
from bridge.sinks.journal.archive import SESSION, checkpoint_of
from bridge.sinks.journal.records import VERSION, JournalRecord, encode
from bridge.sinks.journal.replay import Replayed
from bridge.storage.database import Transaction
from bridge.storage.journal import Checkpoint, JournalRows
from bridge.storage.packed import packed
from bridge.telemetry import Telemetry

CHECKPOINT_SECONDS = 30.0
"""A session is written whole so long after its first entry that no checkpoint includes.

Often enough for a quick start, seldom enough for the disk: a session may take 70 KB.
"""

ENTRIES_LIMIT = 200_000
"""Above so many entries sessions are written whole earlier: the next start must be quick."""

HEARD_SECONDS = 10.0
"""How often it is written down when sessions that only send heartbeats were heard of."""

CHECKPOINTING_SECONDS = 0.002
"""Of the event loop, for one commit; sessions that are left follow with the next."""


class Remembering(Protocol):
    """A part of the bridge that knows something of each session which must outlive the process."""

    name: str
    """Under which a checkpoint has it, and `Session.parts` hands it back."""

    def snapshot(self, session: Session) -> object:
        """Return plain values, none of which changes any more, or None; runs on the event loop."""


@dataclass(frozen=True, slots=True)
class Unwritten:
    """A session with entries that its checkpoint does not include."""

    session: Session
    number: int
    """Of the group with the first of them."""
    since: float


class Journal:
    """A durable sink of all events; it takes each before the other sinks do.

    A session is its checkpoint and, applied to it, the entries behind: see `replay`.
    """

    def __init__(
        self,
        rows: JournalRows,
        parts: Sequence[Remembering],
        telemetry: Telemetry,
        *,
        keeps_entries: bool = True,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Continue the rows given; checkpoints hold what `parts` know.

        Not `keeps_entries`: nothing but checkpoints is written, for the pages of sessions that are over.
        """
        self._keeps_entries = keeps_entries
        self._rows = rows
        self._parts = tuple(parts)
        self._telemetry = telemetry
        self._clock = clock
        self._number = rows.last_number()
        self._entries: list[JournalRecord] = []
        self._touched: dict[str, Session] = {}
        self._whole: dict[str, Session] = {}
        self._leaving: dict[str, tuple[Session, dict[str, Any]]] = {}
        """What was known of sessions when they were forgotten, until it is on disk."""
        self._heard: dict[str, Session] = {}
        """Sessions whose heartbeats nobody has written down."""
        self._heard_at = 0.0
        self._keeps_all = False
        self._unwritten: dict[str, Unwritten] = {}
        """By session, the lowest number first."""
        self._kept: deque[tuple[int, int]] = deque()
        """Number and length of the groups that are not trimmed yet."""
        self._kept_entries = 0
        self._trimmed = 0

    def consume(self, session: Session, event: Event, received: float) -> None:
        """Note what has happened, to be written with the next commit."""
        kind = type(event)
        if kind is Heartbeat:
            self._heard[session.id] = session
            return
        if kind is Forgotten:
            self._part_with(session)
            return
        self._touched[session.id] = session
        if kind is Registered:
            self._whole[session.id] = session
        elif self._keeps_entries:
            if kind is SequenceAdvanced:
                self._drop_outdated_advance(session)
            self._entries.append(JournalRecord(session.id, session.accepted, received, event))

    def is_leaving(self, session_id: str) -> bool:
        """Tell whether a session is forgotten, and what was known of it is not on disk yet."""
        return session_id in self._leaving

    def resume(self, replayed: Replayed) -> None:
        """Take up the sessions that were replayed, and the groups they need."""
        if not replayed.groups:
            return
        first, now = replayed.groups[0][0], self._clock()
        self._unwritten = {s.id: Unwritten(s, first, now) for s in replayed.sessions}
        self._kept.extend(replayed.groups)
        self._kept_entries = sum(entries for _, entries in replayed.groups)

    def settle(self) -> None:
        """Write every session whole with the next commit, which is the last one."""
        self._whole |= {name: unwritten.session for name, unwritten in self._unwritten.items()}
        self._whole |= self._touched
        self._whole |= self._heard

    def collect(self) -> "JournalWrite | None":
        """Hand over the events since the last call, and the sessions that are due to be written whole."""
        now, number = self._clock(), self._number + 1
        for name, session in self._touched.items():
            if name not in self._unwritten:
                self._unwritten[name] = Unwritten(session, number, now)
        states = self._checkpoints(number, now)
        heard = self._heard_lately(now)
        if not (self._entries or states or heard):
            return None
        entries, self._entries = self._entries, []
        touched, self._touched = self._touched, {}
        self._number = number
        if entries:
            self._kept.append((number, len(entries)))
            self._kept_entries += len(entries)
        return JournalWrite(
            self,
            number,
            entries,
            states,
            heard,
            trim_below=self._trim(),
            sequences=[(session, session.accepted) for session in touched.values()],
        )

    def _drop_outdated_advance(self, session: Session) -> None:
        """Let the next entry stand for the last one where both say only how far the session is."""
        last = self._entries[-1] if self._entries else None
        if last is not None and last.event == SequenceAdvanced() and last.session_id == session.id:
            self._entries.pop()

    def _part_with(self, session: Session) -> None:
        """Take down what is known now, since the others forget it next; it may be resumed all the same."""
        state = self._state(session)
        if state is None:
            return
        self._leaving[session.id] = (session, state)
        for known in (self._whole, self._unwritten, self._touched, self._heard):
            known.pop(session.id, None)

    def _checkpoints(self, number: int, now: float) -> list[tuple[Session, dict[str, Any]]]:
        states = list(self._leaving.values())
        whole, self._whole = self._whole, {}
        for name, session in whole.items():
            state = self._state(session)
            if state is not None:
                states.append((session, state))
                self._unwritten.pop(name, None)
        until = time.perf_counter() + CHECKPOINTING_SECONDS
        for name, unwritten in list(self._unwritten.items()):
            is_late = self._kept_entries > ENTRIES_LIMIT and unwritten.number < number
            if not is_late and now - unwritten.since < CHECKPOINT_SECONDS:
                break
            state = self._state(unwritten.session)
            if state is None:
                continue
            states.append((unwritten.session, state))
            del self._unwritten[name]
            if time.perf_counter() > until:
                break
        return states

    def _heard_lately(self, now: float) -> list[tuple[float, str]]:
        """Return when silent sessions were heard of last, now and then: their leases outlive the bridge."""
        if not self._heard or now - self._heard_at < HEARD_SECONDS:
            return []
        heard, self._heard, self._heard_at = self._heard, {}, now
        return [(session.updated_at, name) for name, session in heard.items()]

    def _state(self, session: Session) -> dict[str, Any] | None:
        """Return all that is known of a session, or None where a part fails: its entries stay."""
        try:
            told = {part.name: part.snapshot(session) for part in self._parts}
            known = {name: state for name, state in told.items() if state is not None}
            return {SESSION: session.snapshot(), **session.parts, **known}
        except Exception as error:  # noqa: BLE001 -- one session must not keep the others from the disk
            self._telemetry.unexpected_error("checkpoint", error)
            return None

    def _trim(self) -> int:
        """Return below which number no group is needed any more, 0 where nothing has changed."""
        first = next(iter(self._unwritten.values()), None)
        below = self._number + 1 if first is None else first.number
        if below <= self._trimmed:
            return 0
        self._trimmed = below
        while self._kept and self._kept[0][0] < below:
            self._kept_entries -= self._kept.popleft()[1]
        return below


@dataclass(slots=True)
class JournalWrite:
    """The entries and checkpoints of one commit."""

    journal: Journal
    number: int
    entries: list[JournalRecord]
    states: list[tuple[Session, dict[str, Any]]]
    heard: list[tuple[float, str]]
    trim_below: int
    sequences: list[tuple[Session, int]]
    """How far each session is when this is on disk."""
    packed_entries: bytes = b""
    lost: int = 0
    checkpoints: list[Checkpoint] | None = None

    def write(self, transaction: Transaction) -> None:
        """Write them; what has been packed for a commit that failed is used again."""
        rows = self.journal._rows
        if self.checkpoints is None:
            self.checkpoints = self._packed()
        if self.packed_entries:
            rows.put(transaction, self.number, self.packed_entries)
        if not rows.put_checkpoints(transaction, self.checkpoints):
            # As where one cannot be packed: its entries must go on saying it.
            self.journal._keeps_all = True
        rows.put_heard(transaction, self.heard)
        if self.trim_below and not self.journal._keeps_all:
            rows.trim(transaction, self.trim_below)

    def on_committed(self) -> None:
        """Tell each session how far it is on disk, and let go of those that left."""
        for session, sequence in self.sequences:
            session.committed = max(session.committed, sequence)
        leaving = self.journal._leaving
        for session, state in self.states:
            if leaving.get(session.id, (None, None))[1] is state:
                del leaving[session.id]
        if self.lost:
            self.journal._telemetry.dropped("entry", "unwritable", self.lost)

    def _packed(self) -> list[Checkpoint]:
        if self.entries:
            self.packed_entries, self.lost = _packed_rows(self.entries)
        checkpoints = []
        for session, state in self.states:
            is_held = self.journal._leaving.get(session.id, (None, None))[1] is not state
            try:
                checkpoints.append(checkpoint_of(session, self.number, state, is_held=is_held))
            except Exception as error:  # noqa: BLE001 -- whatever it is, the next try would fail likewise
                # What it cannot say, its entries must go on saying: nothing is deleted any more.
                self.journal._keeps_all = True
                self.journal._telemetry.unexpected_error("checkpoint", error)
        return checkpoints


def _packed_rows(entries: Sequence[JournalRecord]) -> tuple[bytes, int]:
    """Pack the entries, and count those that cannot be: one of them must not stop all commits for ever."""
    try:
        return packed((VERSION, list(map(encode, entries)))), 0
    except Exception:  # noqa: BLE001 -- each is tried by itself
        rows = [row for entry in entries if (row := _plain_row(entry)) is not None]
        return packed((VERSION, rows)), len(entries) - len(rows)


def _plain_row(entry: JournalRecord) -> tuple[Any, ...] | None:
    try:
        row = encode(entry)
        packed(row)
    except Exception:  # noqa: BLE001 -- counted by whoever asked
        return None
    return row
